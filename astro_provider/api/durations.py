"""Intervals and timeouts that users give, in seconds, and the interval between two checks of a wait."""

from __future__ import annotations

import math
from datetime import timedelta

from astro_provider.api.errors import InvalidParameterError

DEFAULT_POKE_INTERVAL_SECONDS = 5.0
"""The ``poke_interval``, unless a user chooses another one."""

MIN_POKE_INTERVAL_SECONDS = 0.5
"""The shortest ``poke_interval``; a shorter one is raised to it."""

FIRST_INTERVAL_SECONDS = 1.0
"""The interval between two checks at the beginning of a wait, unless the ``poke_interval`` is shorter."""

INTERVAL_PER_AGE = 0.1
"""The interval between two checks of a wait, as a part of the time for which it has lasted."""


def check_interval(age: float, poke_interval: float, first: float = FIRST_INTERVAL_SECONDS) -> float:
    """
    Choose the interval between two checks of a wait, which grows with the age of the wait.

    The end of a short run is thus noticed soon, and a long wait is not checked more often than its user has chosen.

    :param age: seconds since the wait began
    :param poke_interval: the longest interval in seconds
    :param first: the interval at the beginning of the wait in seconds, unless ``poke_interval`` is shorter
    :return: seconds
    """
    return min(poke_interval, max(first, INTERVAL_PER_AGE * age))


def poke_interval_seconds(value: float | timedelta) -> float:
    """
    Validate a ``poke_interval``.

    :param value: seconds, or a ``timedelta``
    :return: seconds, at least ``MIN_POKE_INTERVAL_SECONDS``
    :raise InvalidParameterError: the value is not a number, or is negative, NaN or infinite
    """
    return max(_seconds("poke_interval", value), MIN_POKE_INTERVAL_SECONDS)


def timeout_seconds(value: float | timedelta) -> float:
    """
    Validate a ``timeout``.

    :param value: seconds, or a ``timedelta``
    :return: seconds, 0 or more
    :raise InvalidParameterError: the value is not a number, or is negative, NaN or infinite
    """
    return _seconds("timeout", value)


def _seconds(name: str, value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    # A bool is an int in Python; a comparison with NaN is always false.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise InvalidParameterError(f"{name} must be a number of seconds, 0 or more and finite, not {value!r}")
    return seconds

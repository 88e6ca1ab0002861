"""Limits the number of periodic checks, which are made whatever the lists of finished runs contain. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUND_SECONDS = 600.0
"""Seconds within which every wait is checked once, however many waits there are. A wait whose interval is longer than
half of this is checked once in two intervals."""

POLLS_PER_CHECK = 2
"""Number of polls per periodic check if there are only a few waits."""

MIN_CHECKS_WITHOUT_LISTS = 10
"""Minimum number of checks per poll while lists fail and checks succeed."""


class PeriodicCheckRate:
    """
    Spreads periodic checks evenly over time.

    One check is one request. It checks a single wait, or a batch of as many waits as a page of a list has rows.

    With ``n`` waits whose interval is ``s`` seconds (at most half of ``ROUND_SECONDS``), ``n * s / ROUND_SECONDS``
    waits are checked per poll. For 10,000 waits with an interval of 5 seconds, that takes 83 checks of single waits, or
    0.83 checks of a hundred waits each.
    However few waits there are, one check is made per ``polls_per_check`` polls. The interval of a wait is its
    ``poke_interval`` here, so that more frequent polls, which are made for young waits, do not make more checks.

    :param polls_per_check: number of polls per check if there are only a few waits
    """

    def __init__(self, polls_per_check: int = POLLS_PER_CHECK) -> None:
        self._polls_per_check = polls_per_check
        self._credit = 0.0
        self._round_elapsed = 0.0
        self._peak_rates = (0.0, 0.0)  # checks per second: the maximum of the previous round, and of this one

    def take(self, elapsed: float, intervals: Mapping[float, int], waits_per_check: float = 1) -> int:
        """
        Take the checks that are due.

        :param elapsed: seconds since the last call
        :param intervals: the number of waits by their interval in seconds
        :param waits_per_check: the number of waits that one check covers
        :return: the number of checks to make now
        """
        # A wait is never checked more than once in two intervals, even if it is one of the last of many.
        rate = min(self._rate(elapsed, intervals), _checks_per_second(intervals, min_seconds=0))
        seconds_per_check = self._polls_per_check * min(intervals, default=math.inf)
        self._credit += max(elapsed * rate / waits_per_check, elapsed / seconds_per_check)
        due = int(self._credit)
        self._credit -= due
        return min(due, math.ceil(sum(intervals.values()) / waits_per_check))

    def take_without_lists(self, elapsed: float, intervals: Mapping[float, int]) -> int:
        """
        Return how many checks of single waits are due while lists of finished runs fail.

        :param elapsed: seconds since the last call
        :param intervals: the number of waits by their interval in seconds
        """
        return max(MIN_CHECKS_WITHOUT_LISTS, round(elapsed * self._rate(elapsed, intervals)))

    def _rate(self, elapsed: float, intervals: Mapping[float, int]) -> float:
        """Use the maximum of the last round, so that the last of many waits are still checked within one round."""
        previous, current = self._peak_rates
        self._round_elapsed += elapsed
        if self._round_elapsed >= ROUND_SECONDS:
            self._round_elapsed, previous, current = 0.0, current, 0.0
        self._peak_rates = (previous, max(current, _checks_per_second(intervals, min_seconds=ROUND_SECONDS)))
        return max(self._peak_rates)


def _checks_per_second(intervals: Mapping[float, int], *, min_seconds: float) -> float:
    """Check each wait once in two of its intervals, but not more often than once in ``min_seconds``."""
    return sum(number / max(min_seconds, 2 * interval) for interval, number in intervals.items())

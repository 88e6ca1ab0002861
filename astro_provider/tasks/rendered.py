"""Templated fields at run time: text, or whatever native rendering makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.template_values import is_empty

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")


def is_resolved_later(value: object) -> bool:
    """Say whether a value is only known when the task runs: a template, or the result of another task."""
    return hasattr(value, "iter_references") or (isinstance(value, str) and ("{{" in value or "{%" in value))


def rendered_id(parameter: str, value: object) -> str:
    """
    Read an id as text; ``render_template_as_native_obj=True`` makes a number of one that looks like a number.

    :param parameter: the parameter that gives the id, for the error
    :param value: what it was rendered to
    :return: the id
    :raise InvalidParameterError: it is ``None``, ``""``, ``"None"``, or not a single value
    """
    if is_empty(value):
        raise InvalidParameterError(
            f"{parameter} was rendered to {value!r}: it names nothing. "
            "Correct the template, or the task that it takes the value from"
        )
    if isinstance(value, (dict, list, tuple, set)):
        raise InvalidParameterError(f"{parameter} must be text, but was rendered to {value!r}")
    return str(value)


def as_text(value: object) -> str | None:
    """
    Read as text what may also be left out.

    :param value: what was rendered
    :return: the text; ``None`` for ``None``, and for ``"None"``, which a template makes of it
    """
    return None if value is None or str(value).strip() == "None" else str(value)


def as_bool(parameter: str, value: object) -> bool:
    """
    Read a parameter that is true or false.

    :param parameter: its name, for the error
    :param value: a bool, or what a template makes of one: ``true``, ``yes``, ``on``, ``1`` and their opposites
    :raise InvalidParameterError: it is neither
    """
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidParameterError(f"{parameter} must be true or false, not {value!r}")


def as_choice(parameter: str, value: object, choices: Sequence[str]) -> str:
    """
    Read a parameter that is one of several words.

    :param parameter: its name, for the error
    :param value: what was given
    :param choices: the words
    :raise InvalidParameterError: it is none of them
    """
    if isinstance(value, str) and value in choices:
        return value
    raise InvalidParameterError(f"{parameter} must be one of {', '.join(choices)}, not {value!r}")

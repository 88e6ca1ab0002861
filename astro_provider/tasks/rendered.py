"""Reading templated fields when a task runs. A field is text, or another type with native rendering."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from astro_provider.api.dates import iso
from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.template_values import is_empty

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")

Choice = TypeVar("Choice", bound=str)


def is_template(value: object) -> bool:
    """Check whether Airflow renders a value when the task runs: Jinja text, or the result of another task."""
    return hasattr(value, "iter_references") or (isinstance(value, str) and ("{{" in value or "{%" in value))


def stored_value(value: datetime | str | int | Sequence[Any] | None) -> Any:
    """
    Convert the value of a template field, before it is rendered, so that Airflow can store it in a trigger.

    :param value: the value
    """
    if isinstance(value, datetime):
        return iso("date", value)
    return [stored_value(each) for each in value] if isinstance(value, (list, tuple, set)) else value


def rendered_id(parameter: str, value: object) -> str:
    """
    Read a required id. With native rendering, an id that looks like a number is rendered to a number.

    :param parameter: name of the parameter, for the error
    :param value: what the parameter was rendered to
    :return: the id as text
    :raise InvalidParameterError: the value is ``None``, ``""``, ``"None"``, or not a single value
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
    Read an optional text.

    :param value: what the parameter was rendered to
    :return: the text; ``None`` for ``None`` and for ``"None"``, to which a template renders ``None``
    """
    return None if value is None or str(value).strip() == "None" else str(value)


def as_bool(parameter: str, value: object) -> bool:
    """
    Read a parameter that is true or false.

    :param parameter: name of the parameter, for the error
    :param value: a bool, or a text or number for one: ``true``, ``t``, ``yes``, ``y``, ``on``, ``1``, or the opposite
    :raise InvalidParameterError: the value is neither true nor false
    """
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidParameterError(f"{parameter} must be true or false, not {value!r}")


def as_choice(parameter: str, value: object, choices: Sequence[Choice]) -> Choice:
    """
    Read a parameter that is one of several words.

    :param parameter: name of the parameter, for the error
    :param value: what the parameter was rendered to
    :param choices: the words
    :raise InvalidParameterError: the value is not one of the words
    """
    for choice in choices:
        if value == choice:
            return choice
    raise InvalidParameterError(f"{parameter} must be one of {', '.join(choices)}, not {value!r}")

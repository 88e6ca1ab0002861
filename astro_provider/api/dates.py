"""Dates in the form of the REST API: ISO 8601 text with a UTC offset."""

from __future__ import annotations

from datetime import datetime, timezone

from astro_provider.api.errors import InvalidParameterError, UnexpectedAnswerError
from astro_provider.api.template_values import is_empty

NOW = "now"
"""The logical date of a run that is to have the current time: a text, so that it can be stored and be a template."""


def iso(parameter: str, value: datetime | str | None) -> str | None:
    """
    Convert a user's date to the form that the REST API requires.

    :param parameter: name of the parameter, for the error
    :param value: a datetime or ISO 8601 text; without a UTC offset, it is in UTC. ``None``, ``""`` and ``"None"`` (a
        template renders this in a run without a logical date) mean no date
    :return: ISO 8601 text with a UTC offset, or ``None``
    :raise InvalidParameterError: the value is not a date
    """
    if value is None or is_empty(value):
        return None
    date = _parse(parameter, value.strip()) if isinstance(value, str) else value
    if not isinstance(date, datetime):
        raise InvalidParameterError(f"{parameter}: expected a datetime or ISO 8601 text, got {type(date).__name__}")
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).isoformat()


def iso_or_now(parameter: str, value: datetime | str | None) -> str | None:
    """
    Convert a date like :func:`iso`, but leave ``NOW`` as it is.

    :param parameter: name of the parameter, for the error
    :param value: the date, or ``NOW``
    :raise InvalidParameterError: the value is neither
    """
    return NOW if isinstance(value, str) and value.strip() == NOW else iso(parameter, value)


def _parse(parameter: str, text: str) -> datetime:
    try:
        # Python 3.10 does not accept a Z.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InvalidParameterError(
            f"{parameter}: {text!r} is no ISO 8601 date, such as 2026-01-31T06:00:00Z"
        ) from None


def parse_date(text: str) -> datetime:
    """
    Parse a date of a response.

    :param text: ISO 8601 text; without a UTC offset, it is in UTC
    :return: the date, with a time zone
    :raise UnexpectedAnswerError: the text is not a date
    """
    try:
        date = _parse("date", text)
    except InvalidParameterError:
        raise UnexpectedAnswerError(f"Expected an ISO 8601 date, but got {text[:100]!r}") from None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)

"""Dates as the REST API wants them: ISO 8601 with an offset."""

from __future__ import annotations

from datetime import datetime, timezone

from astro_provider.api.errors import InvalidParameterError, UnexpectedAnswerError
from astro_provider.api.template_values import is_empty


def iso(parameter: str, value: datetime | str | None) -> str | None:
    """
    Write a date for the REST API.

    :param parameter: what the date is for, for the error
    :param value: a datetime, or ISO 8601 text; without an offset it is UTC. ``None``, ``""`` and ``"None"`` (what a
        template gives in a run without a logical date) mean none
    :return: ISO 8601 text with an offset, or ``None``
    :raise InvalidParameterError: naming the parameter, for a text that is no date
    """
    if value is None or is_empty(value):
        return None
    date = _parse(parameter, value.strip()) if isinstance(value, str) else value
    if not isinstance(date, datetime):
        raise InvalidParameterError(f"{parameter}: expected a datetime or ISO 8601 text, got {type(date).__name__}")
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).isoformat()


def _parse(parameter: str, text: str) -> datetime:
    try:
        # Python 3.10 does not read the Z.
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InvalidParameterError(
            f"{parameter}: {text!r} is no ISO 8601 date, such as 2026-01-31T06:00:00Z"
        ) from None


def parse_date(text: str) -> datetime:
    """
    Read a date that a target has answered with.

    :param text: ISO 8601 text, UTC where it has no offset
    :return: the date, with an offset
    :raise UnexpectedAnswerError: the text is not a date
    """
    try:
        date = _parse("date", text)
    except InvalidParameterError:
        raise UnexpectedAnswerError(f"Expected an ISO 8601 date, but got {text[:100]!r}") from None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)

"""Parsing of responses, with checks of the form that is expected."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from astro_provider.api.dates import parse_date
from astro_provider.api.errors import UnexpectedAnswerError
from astro_provider.api.sanitize import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_provider.api.types import JSON

T = TypeVar("T")

DATE_FIELDS = (
    "data_interval_end",
    "data_interval_start",
    "end_date",
    "execution_date",
    "logical_date",
    "queued_at",
    "run_after",
    "start_date",
)
"""Fields of dag runs and task instances that hold a date."""


class Unexpected(ValueError):  # noqa: N818  never leaves the api package: Reply makes an UnexpectedAnswerError of it
    """A response has another form than expected; the message is the expected form."""


class NotJSONError(ValueError):
    """A target has replaced a value that JSON does not have; the message says what kind of value it was."""


def parse_json(body: bytes) -> JSON:
    """
    Parse the body of a response.

    NaN and infinite numbers, which Airflow 2 writes although JSON does not have them, become null, as in Airflow 3. The
    result could not be stored as JSON otherwise. Other encodings than UTF-8 are refused, because credentials would not
    be found in them.

    :param body: JSON text in UTF-8
    :raise ValueError: the body is not JSON
    :raise RecursionError: the body is nested too deeply
    """
    return cast("JSON", json.loads(body.decode("utf-8-sig"), parse_constant=lambda _: None, parse_float=_finite))


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def with_valid_fields(row: Mapping[str, JSON]) -> dict[str, JSON]:
    """
    Replace malformed values in the fields of a dag run or task instance that this package uses.

    A malformed date becomes null, so that one such row does not make a whole list unusable. The state is made
    printable, because messages contain it.

    :param row: a dag run or a task instance
    :return: a copy
    """
    valid = {**row, **{key: None for key in DATE_FIELDS if key in row and not _is_date(row[key])}}
    state = row.get("state")
    if state is not None:
        valid["state"] = plain(state) if isinstance(state, str) else None
    return valid


def _is_date(value: JSON) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parse_date(value)
    except UnexpectedAnswerError:
        return False
    return True


def mapping(raw: JSON, what: str, **required: type | tuple[type, ...]) -> dict[str, JSON]:
    """
    Check that parsed JSON is an object with certain keys.

    :param raw: parsed JSON
    :param what: what is expected, for the error, e.g. ``a dag run``
    :param required: the keys that must exist, with the type of their values
    :return: the object
    :raise Unexpected: the JSON is not an object, a key is missing, or a value has another type
    """
    if isinstance(raw, dict) and all(key in raw and isinstance(raw[key], kind) for key, kind in required.items()):
        return raw
    raise Unexpected(f"{what} with {', '.join(required)}" if required else what)


def collection_reader(key: str, read_row: Callable[[JSON], T]) -> Callable[[JSON], tuple[list[T], int]]:
    """
    Make the function that reads one page of a list.

    :param key: the key that holds the rows, e.g. ``dag_runs``
    :param read_row: function that reads one row
    :return: function that returns the rows of the page, and the number of rows on all pages
    """
    return partial(_read_collection, key=key, read_row=read_row)


def _read_collection(raw: JSON, key: str, read_row: Callable[[JSON], T]) -> tuple[list[T], int]:
    page = mapping(raw, f"a collection of {key}", **{key: list})
    rows = page[key]
    total = page.get("total_entries")
    assert isinstance(rows, list)  # mapping() checks it; this is for the type checker
    return [read_row(row) for row in rows], total if isinstance(total, int) else len(rows)


def collection_key(raw: JSON) -> str:
    """Return the key that holds the rows of any collection: the only one whose value is a list."""
    page = mapping(raw, "a collection", total_entries=int)
    lists = [key for key, value in page.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise Unexpected("a collection: total_entries and one list")
    return lists[0]

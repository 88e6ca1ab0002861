"""Reading answers: what is expected of one is said here, in the words that an error shows."""

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


class Unexpected(ValueError):  # noqa: N818  never leaves this package: the exchange makes an error of it
    """An answer is not what was expected; the message says what was."""


def parse_json(body: bytes) -> JSON:
    """
    Parse the body of an answer.

    NaN and the infinities, which JSON does not have and Airflow 2 writes all the same, become null, as Airflow 3
    writes them: whatever stores the result as JSON would refuse them.

    UTF-8 only, as JSON between systems is: credentials would not be recognised in another encoding.

    :param body: JSON text in UTF-8
    :raise ValueError: the body is not JSON
    :raise RecursionError: the body is nested too deeply
    """
    return cast("JSON", json.loads(body.decode("utf-8-sig"), parse_constant=lambda _: None, parse_float=_finite))


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def readable(row: Mapping[str, JSON]) -> dict[str, JSON]:
    """
    Make what is used of a dag run or a task instance fit for use, whatever else it has.

    A list of many rows stays usable when one of them has a malformed date, which becomes null. A state is shown as it
    is, so it is made printable.

    :param row: a dag run or a task instance
    """
    fit = {**row, **{key: None for key in DATE_FIELDS if key in row and not _is_date(row[key])}}
    state = row.get("state")
    if state is not None:
        fit["state"] = plain(state) if isinstance(state, str) else None
    return fit


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
    Read a JSON object.

    :param raw: what came
    :param what: what it should be, for the error
    :param required: keys that must be there, with the type of their values
    :return: the object
    :raise Unexpected: it is none, or a key is missing or of another type
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
    """Find where a collection of an unknown kind has its items: the one list beside ``total_entries``."""
    page = mapping(raw, "a collection", total_entries=int)
    lists = [key for key, value in page.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise Unexpected("a collection: total_entries and one list")
    return lists[0]

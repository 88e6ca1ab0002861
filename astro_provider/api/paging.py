"""Paging: reads a list page by page until it is complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSONInput, Page

T = TypeVar("T")

MAX_READINGS = 5
"""How many times a list is read from its beginning before it counts as incomplete."""

MAX_ROWS = 1_000_000
"""Rows after which reading a list is an error: a target that sends pages without end would fill the memory."""

DAG_KEYS = ("dag_id",)
POOL_KEYS = ("name",)
RUN_KEYS = ("dag_id", "dag_run_id")
XCOM_KEYS = ("task_id", "map_index")
TASK_INSTANCE_KEYS = ("dag_id", "dag_run_id", "task_id", "map_index")
"""The keys that identify a task instance."""


def read_list(
    get_page: Callable[[Page], Flow[tuple[list[T], int]]],
    keys: Sequence[str] = (),
    limit: JSONInput = None,
) -> Flow[list[T]]:
    """
    Read a list until it is complete.

    Airflow 2 lists task instances in no particular order, so a row can appear on two pages and another row on none. A
    list is therefore complete if it has as many distinct rows as the target counts; otherwise it is read again.

    :param get_page: returns the flow that gets one page: its rows, and the number of rows on all pages
    :param keys: keys that identify a row; by default, rows that are equal count as one
    :param limit: maximum number of rows; by default all
    :return: the rows
    :raise UnexpectedAnswerError: the list was incomplete ``MAX_READINGS`` times, or has more than ``MAX_ROWS`` rows
    """
    max_rows = None if limit is None else int(str(limit))
    union: dict[str, T] = {}
    rows: list[T] = []
    total = 0
    for _ in range(MAX_READINGS):
        rows, total, pages = yield from _read_once(get_page, max_rows)
        if pages <= 1 and (rows or not total):
            return rows
        distinct = {_identity(row, keys): row for row in rows}
        if len(distinct) >= (total if max_rows is None else min(total, max_rows)):
            return rows
        union.update(distinct)
    if not keys:  # different rows of an unknown kind can be equal
        return rows
    if max_rows is None and len(union) >= total:
        return list(union.values())
    raise UnexpectedAnswerError(
        f"A list of {total} rows was not whole in {MAX_READINGS} readings: the last one had "
        f"{len({_identity(row, keys) for row in rows})} distinct rows. It changes while it is read."
    )


def read_start(get_page: Callable[[Page], Flow[tuple[list[T], int]]], max_rows: int) -> Flow[list[T]]:
    """
    Read the first rows of a list. If the list changes meanwhile, a row can be missing or be there twice.

    :param get_page: see :func:`read_list`
    :param max_rows: maximum number of rows
    """
    rows, _, _ = yield from _read_once(get_page, max_rows)
    return rows


def _read_once(
    get_page: Callable[[Page], Flow[tuple[list[T], int]]], max_rows: int | None
) -> Flow[tuple[list[T], int, int]]:
    """Read all pages once; the offset counts the rows received, because a target can send fewer than ``limit``."""
    rows: list[T] = []
    total = pages = 0
    while max_rows is None or len(rows) < max_rows:
        size = PAGE_SIZE if max_rows is None else min(PAGE_SIZE, max_rows - len(rows))
        page, total = yield from get_page({"limit": size, "offset": len(rows)})
        rows += page
        pages += 1
        if len(rows) > MAX_ROWS:
            raise UnexpectedAnswerError(f"A list has more than {MAX_ROWS} rows: the target counts {total}.")
        if not page or len(rows) >= total:
            break
    return rows, total, pages


def _identity(row: object, keys: Sequence[str]) -> str:
    if keys and isinstance(row, dict):
        row = [row.get(key) for key in keys]
    return json.dumps(row, sort_keys=True)

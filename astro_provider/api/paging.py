"""Reading a list page after page until it is whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON

T = TypeVar("T")

MAX_READINGS = 5
"""How many times a list is read from its beginning, before it is an error that it was never whole."""

MAX_ROWS = 1_000_000
"""A list is read up to so many rows: a target that never comes to its end would fill the memory."""

DAG_KEYS = ("dag_id",)
POOL_KEYS = ("name",)
RUN_KEYS = ("dag_id", "dag_run_id")
TASK_INSTANCE_KEYS = ("dag_id", "dag_run_id", "task_id", "map_index")
"""What tells one task instance from all others."""


def read_list(
    ask_page: Callable[[dict[str, JSON]], Flow[tuple[list[T], int]]],
    keys: Sequence[str] = (),
    limit: JSON = None,
) -> Flow[list[T]]:
    """
    Read a list until all of its rows have come.

    Airflow 2 lists task instances in no particular order, so that a row can come twice and another one not at all.
    Only as many distinct rows as the target counts are a whole list; otherwise it is read again.

    :param ask_page: asks for one page, given ``limit`` and ``offset``; returns its rows and how many there are in all
    :param keys: what tells one row from all others; without it, rows that are equal are taken for the same
    :param limit: how many rows are wanted, by default all
    :return: the rows
    :raise UnexpectedAnswerError: the list was not whole in ``MAX_READINGS`` readings
    """
    end_states = None if limit is None else int(str(limit))
    union: dict[str, T] = {}
    rows: list[T] = []
    total = 0
    for _ in range(MAX_READINGS):
        rows, total, pages = yield from _read_once(ask_page, end_states)
        if pages <= 1 and (rows or not total):
            return rows
        distinct = {_identity(row, keys): row for row in rows}
        if len(distinct) >= (total if end_states is None else min(total, end_states)):
            return rows
        union.update(distinct)
    if not keys:  # rows of a kind that nothing is known of may be equal
        return rows
    if end_states is None and len(union) >= total:
        return list(union.values())
    raise UnexpectedAnswerError(
        f"A list of {total} rows was not whole in {MAX_READINGS} readings: the last one had "
        f"{len({_identity(row, keys) for row in rows})} distinct rows. It changes while it is read."
    )


def _read_once(
    ask_page: Callable[[dict[str, JSON]], Flow[tuple[list[T], int]]], end_states: int | None
) -> Flow[tuple[list[T], int, int]]:
    """Read from the beginning to the end, by what came: a target may send shorter pages than it was asked for."""
    rows: list[T] = []
    total = pages = 0
    while end_states is None or len(rows) < end_states:
        size = PAGE_SIZE if end_states is None else min(PAGE_SIZE, end_states - len(rows))
        page, total = yield from ask_page({"limit": size, "offset": len(rows)})
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

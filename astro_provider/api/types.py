"""
What the hook returns: plain dicts, JSON-serialisable, with the v2 names whichever API version answered.

Every answer keeps whatever else the target sent; these are the keys that are always there.
Dates are ISO 8601 text as the target wrote them (UTC).
"""

from __future__ import annotations

from typing import TypeAlias, TypedDict

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


class DagRun(TypedDict):
    """A dag run. ``run_after``, ``queued_at``, ``duration`` and ``partition_key`` are null on an Airflow 2 target."""

    dag_id: str
    dag_run_id: str
    state: str
    run_type: str
    logical_date: str | None
    data_interval_start: str | None
    data_interval_end: str | None
    run_after: str | None
    queued_at: str | None
    start_date: str | None
    end_date: str | None
    duration: float | None
    conf: dict[str, JSON] | None
    note: str | None
    partition_key: str | None


class TaskInstance(TypedDict):
    """A task instance; ``state`` is null until the scheduler has looked at it."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start_date: str | None
    end_date: str | None


class Dag(TypedDict):
    """A dag, as the lists of dags have it."""

    dag_id: str
    is_paused: bool | None


class Pool(TypedDict):
    """A pool."""

    name: str
    slots: int


class LogEntry(TypedDict):
    """One entry of a task log; ``timestamp`` and ``level`` are null where the target logs plain text."""

    event: str
    timestamp: str | None
    level: str | None
    error: str | None
    """The exception's class and message where the entry carries one."""

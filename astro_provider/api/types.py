"""
The types of results: plain, JSON-serialisable dicts.

They have the key names of API v2, whichever API version the target has (``logical_date``, never ``execution_date``).
A result keeps every other key that the target sends, too; the keys below are always present.

Dates are ISO 8601 text as the target wrote them; Airflow writes UTC. A date is null if it does not exist yet, or if the
target sent something that is not a date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypedDict

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""Parsed JSON."""

JSONInput: TypeAlias = "Mapping[str, JSONInput] | Sequence[JSONInput] | str | int | float | bool | None"
"""What can be sent as JSON or as a query parameter: like ``JSON``, but other mappings and sequences as well."""

Page: TypeAlias = Mapping[str, int]
"""The ``limit`` and ``offset`` of one page of a list."""


class DagRun(TypedDict):
    """A dag run."""

    dag_id: str
    dag_run_id: str
    state: str
    """``queued``, ``running``, ``success`` or ``failed``."""
    run_type: str
    """``manual``, ``scheduled``, ``backfill`` and others, as Airflow's ``DagRunType``."""
    logical_date: str | None
    """Null for a run without a logical date (Airflow 3.0 and later)."""
    data_interval_start: str | None
    data_interval_end: str | None
    run_after: str | None
    """The earliest time at which the run can start; null before Airflow 3.0."""
    queued_at: str | None
    """When the run was last queued; null before Airflow 3.0."""
    start_date: str | None
    """When the run started."""
    end_date: str | None
    """When the run ended."""
    duration: float | None
    """Seconds from start to end; null if the target does not send it, as Airflow 2."""
    conf: dict[str, JSON] | None
    note: str | None
    partition_key: str | None
    """The partition of a run of a partitioned dag; null before Airflow 3.2."""


class TaskInstance(TypedDict):
    """A task instance."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    """-1 for a task that is not mapped."""
    state: str | None
    """A state of Airflow's ``TaskInstanceState``; null until the scheduler has handled the task instance."""
    try_number: int
    """The latest try, counted from 1; 0 before the first try."""
    start_date: str | None
    """When the latest try started."""
    end_date: str | None
    """When the latest try ended."""


class Dag(TypedDict):
    """A dag."""

    dag_id: str
    is_paused: bool | None


class ChangedDag(Dag):
    """A dag that was paused or unpaused."""

    was_paused: bool
    """Whether it was paused before."""


class Pool(TypedDict):
    """A pool."""

    name: str
    slots: int
    """The size of the pool; -1 for an unlimited pool."""


class LogEntry(TypedDict):
    """One entry of a task log: a structured entry, or a line of text (from an Airflow 2 target, always)."""

    event: str
    """The message, or the line of text."""
    timestamp: str | None
    """Null for a line of text."""
    level: str | None
    """``info``, ``error`` and so on; null for a line of text."""
    error: str | None
    """Class and message of the exception that the entry carries, if it carries one."""


class Backfill(TypedDict):
    """A backfill (Airflow 3.0 and later)."""

    id: int
    dag_id: str
    from_date: str
    to_date: str
    dag_run_conf: dict[str, JSON] | None
    is_paused: bool
    """Whether it was paused or cancelled."""
    reprocess_behavior: str
    """``none``, ``failed`` or ``completed``."""
    max_active_runs: int
    created_at: str
    completed_at: str | None
    """When Airflow found that all its runs had finished, or when it was cancelled; null until then."""


class BackfillResult(Backfill):
    """A backfill that is over, with the numbers of its runs."""

    total_runs: int
    """The runs that the backfill created or cleared, without dates that it left as they are."""
    succeeded_runs: int
    failed_runs: list[str]
    """The run ids of the runs that failed."""

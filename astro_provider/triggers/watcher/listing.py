"""The request and the result of one list of what has finished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from astro_provider.api.types import DagRun, TaskInstance

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = TypeVar("Row", DagRun, TaskInstance)


class TaskFilter(NamedTuple):
    """
    The filter of a list of task instances.

    :param dag_ids: the dags
    :param run_ids: the runs; ``None`` for any
    :param task_ids: the tasks; ``None`` for any
    """

    dag_ids: Sequence[str]
    run_ids: Sequence[str] | None
    task_ids: Sequence[str] | None


@dataclass(frozen=True)
class ListRequest:
    """
    What to list. It is made before the first request, because waits join and leave while a list is under way.

    :param requested_at: when it was made, in seconds since the epoch
    :param by_dag: whether to list dag by dag without trying to list across dags
    :param dag_ids: all dags
    :param ended_after: the earliest end date of the rows of a list across dags, in seconds since the epoch
    :param oldest_dags: the dags to list if dags are listed one by one, which are those whose last list is the oldest,
        each with the earliest end date of its rows
    :param due_after: only runs that are due at this date (ISO 8601) or later are listed
    :param task_filters: one list of task instances is requested for each of these
    """

    requested_at: float
    by_dag: bool
    dag_ids: Sequence[str]
    ended_after: float
    oldest_dags: Sequence[tuple[str, float]]
    due_after: str
    task_filters: Sequence[TaskFilter] = ()


@dataclass(frozen=True)
class ListResult(Generic[Row]):
    """
    What a list has returned.

    :param rows: the dag runs or task instances
    :param dag_ids: the dags that were listed
    :param by_dag: whether they were listed one by one
    """

    rows: list[Row]
    dag_ids: Sequence[str]
    by_dag: bool

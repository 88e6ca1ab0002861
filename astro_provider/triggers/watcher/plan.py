"""What a poll is to list, and what it has brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from astro_provider.api.types import DagRun, TaskInstance

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = TypeVar("Row", DagRun, TaskInstance)


@dataclass(frozen=True)
class Plan:
    """
    What to list, taken down before the first request: waits come and go while a list is under way.

    :param by_dag: whether to list dag by dag at once
    :param dag_ids: all dags
    :param since: end date of the earliest row to list across dags
    :param oldest: the dags to list dag by dag, those that were listed longest ago, and since when
    :param due_after: the earliest date at which a run that is waited for was due (ISO 8601)
    :param filters: filters of the lists of task instances: (dag ids, run ids, task ids), ``None`` for any
    """

    by_dag: bool
    dag_ids: Sequence[str]
    since: float
    oldest: Sequence[tuple[str, float]]
    due_after: str
    filters: Sequence[tuple[Sequence[str], Sequence[str] | None, Sequence[str] | None]] = ()


@dataclass(frozen=True)
class Listed(Generic[Row]):
    """What a list brought: the rows, of these dags, and whether the dags were listed one by one."""

    rows: list[Row]
    dag_ids: Sequence[str]
    by_dag: bool

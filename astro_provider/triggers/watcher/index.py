"""An index of waits. Finding the waits for a row takes the same time for any number of waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from astro_provider.api.dates import parse_date
from astro_provider.api.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.triggers.watcher.subscription import Subscription

Range: TypeAlias = "tuple[datetime, ...]"
"""Start and end of a range of logical dates; the end is not part of it."""


class Partition(NamedTuple):
    """
    A partition, as part of a key that no run id is equal to.

    :param key: the partition key
    """

    key: str


RunKey: TypeAlias = "str | datetime | Range | Partition | None"
"""Run id, logical date, range of logical dates, partition, or ``None`` for the newest run."""

Key: TypeAlias = "tuple[str, RunKey, str | None]"
"""Dag id; what names the run; task id, or ``None`` for the run itself or any task."""


class SubscriptionIndex:
    """Finds the waits that might be over, according to a row of a list. A feed calls it for each new row."""

    def __init__(self) -> None:
        self._by_key: dict[Key, set[Subscription]] = {}
        self._waits_by_date_per_dag: Counter[str] = Counter()
        self._ranges_per_dag: defaultdict[str, Counter[Range]] = defaultdict(Counter)

    def add(self, subscription: Subscription) -> None:
        """
        Add a wait.

        :param subscription: the wait
        """
        for key in self._keys(subscription):
            self._by_key.setdefault(key, set()).add(subscription)
        self._count_dates(subscription, 1)

    def discard(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait, which was added before
        """
        for key in self._keys(subscription):
            subscriptions = self._by_key[key]
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._by_key[key]
        self._count_dates(subscription, -1)

    def _count_dates(self, subscription: Subscription, number: int) -> None:
        """Count the waits by date and the ranges of a dag, so that the dates of its rows are only parsed if needed."""
        dag_id = subscription.wait.dag_id
        if subscription.logical_dates or subscription.logical_date_range:
            self._waits_by_date_per_dag[dag_id] += number
            self._waits_by_date_per_dag += Counter()  # drops dags without such waits
        if subscription.logical_date_range:
            self._ranges_per_dag[dag_id][subscription.logical_date_range] += number
            self._ranges_per_dag[dag_id] += Counter()  # drops ranges without waits
            if not self._ranges_per_dag[dag_id]:
                del self._ranges_per_dag[dag_id]

    def find(self, row: DagRun | TaskInstance) -> set[Subscription]:
        """
        Find the waits that might be over, according to a row.

        :param row: a dag run or a task instance
        """
        dag_id, task_id = row["dag_id"], row.get("task_id")
        tasks = (None, task_id) if isinstance(task_id, str) else (None,)
        found: set[Subscription] = set()
        for run in self._run_keys(row):
            for task in tasks:
                found |= self._by_key.get((dag_id, run, task), set())
        return found

    def _run_keys(self, row: DagRun | TaskInstance) -> Iterator[RunKey]:
        """Yield all that can name the run of a row in a wait."""
        yield from (row["dag_run_id"], None)
        if isinstance(partition_key := row.get("partition_key"), str):
            yield Partition(partition_key)
        # Dates are only parsed if they are needed, because parsing is slow.
        if self._waits_by_date_per_dag[row["dag_id"]] and isinstance(text := row.get("logical_date"), str):
            with suppress(UnexpectedAnswerError):  # other rows are still useful
                date = parse_date(text)
                yield date
                yield from (each for each in self._ranges_per_dag.get(row["dag_id"], ()) if each[0] <= date < each[1])

    @staticmethod
    def _keys(subscription: Subscription) -> Iterator[Key]:
        wait = subscription.wait
        runs: Iterable[RunKey] = subscription.logical_dates
        if wait.run_id:
            runs = [wait.run_id]
        elif wait.partition_key is not None and not wait.waits_for_tasks:
            runs = [Partition(wait.partition_key)]
        elif wait.logical_date_range:
            runs = [subscription.logical_date_range]
        elif wait.latest or wait.partition_key is not None:  # rows of task instances have no partition
            runs = [None]
        for run in runs:
            for task_id in wait.task_ids or (None,):
                yield wait.dag_id, run, task_id

"""An index of waits. Finding the waits for a row takes the same time for any number of waits."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from astro_provider.api.dates import parse_date
from astro_provider.api.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.triggers.watcher.subscription import Subscription

Key: TypeAlias = "tuple[str, str | datetime | None, str | None]"
"""Dag id; run id, logical date, or ``None`` for the newest run; task id, or ``None`` for the run itself or any task."""


class SubscriptionIndex:
    """Finds the waits that might be over, according to a row of a list. A feed calls it for each new row."""

    def __init__(self) -> None:
        self._by_key: dict[Key, set[Subscription]] = {}
        self._waits_by_date_per_dag: Counter[str] = Counter()

    def add(self, subscription: Subscription) -> None:
        """
        Add a wait.

        :param subscription: the wait
        """
        for key in self._keys(subscription):
            self._by_key.setdefault(key, set()).add(subscription)
        self._waits_by_date_per_dag[subscription.wait.dag_id] += bool(subscription.logical_dates)

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
        self._waits_by_date_per_dag[subscription.wait.dag_id] -= bool(subscription.logical_dates)
        self._waits_by_date_per_dag += Counter()  # drops dags without such waits

    def find(self, row: DagRun | TaskInstance) -> set[Subscription]:
        """
        Find the waits that might be over, according to a row.

        :param row: a dag run or a task instance
        """
        dag_id = row["dag_id"]
        runs: list[str | datetime | None] = [row["dag_run_id"], None]
        # Dates are only parsed if they are needed, because parsing is slow.
        if self._waits_by_date_per_dag[dag_id] and isinstance(date := row.get("logical_date"), str):
            with suppress(UnexpectedAnswerError):  # other rows are still useful
                runs.append(parse_date(date))
        task_id = row.get("task_id")
        tasks = (None, task_id) if isinstance(task_id, str) else (None,)
        found: set[Subscription] = set()
        for run in runs:
            for task in tasks:
                found |= self._by_key.get((dag_id, run, task), set())
        return found

    @staticmethod
    def _keys(subscription: Subscription) -> Iterator[Key]:
        wait = subscription.wait
        runs = [wait.run_id] if wait.run_id else [None] if wait.latest else subscription.logical_dates
        for run in runs:
            for task_id in wait.task_ids or (None,):
                yield wait.dag_id, run, task_id

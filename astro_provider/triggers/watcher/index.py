"""Which waits a row of a list concerns, found by what it says, so that a row costs the same however many wait."""

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
"""Dag; run id, logical date, or ``None`` for the newest run; task, or ``None`` for a run or any task."""


class SubscriptionIndex:
    """Subscriptions by what they wait for."""

    def __init__(self) -> None:
        self._by_key: dict[Key, set[Subscription]] = {}
        self._dates_of_dag: Counter[str] = Counter()

    def add(self, subscription: Subscription) -> None:
        """Find it from now on."""
        for key in self._keys(subscription):
            self._by_key.setdefault(key, set()).add(subscription)
        self._dates_of_dag[subscription.wait.dag_id] += bool(subscription.dates)

    def discard(self, subscription: Subscription) -> None:
        """Find it no more."""
        for key in self._keys(subscription):
            found = self._by_key[key]
            found.discard(subscription)
            if not found:
                del self._by_key[key]
        self._dates_of_dag[subscription.wait.dag_id] -= bool(subscription.dates)
        self._dates_of_dag += Counter()  # drops what nobody has any more

    def find(self, row: DagRun | TaskInstance) -> set[Subscription]:
        """Find those whose wait a row may end."""
        dag_id = row["dag_id"]
        runs: list[str | datetime | None] = [row["dag_run_id"], None]
        if self._dates_of_dag[dag_id] and isinstance(date := row.get("logical_date"), str):
            with suppress(UnexpectedAnswerError):  # a row that is wrong is no reason to lose the others
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
        runs = [wait.run_id] if wait.run_id else [None] if wait.latest else subscription.dates
        for run in runs:
            for task_id in wait.task_ids or (None,):
                yield wait.dag_id, run, task_id

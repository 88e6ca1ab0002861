"""Waits that are checked in turn by lists of what has not finished, many at once. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.states import FINISHED_TASK_STATES
from astro_provider.triggers.watcher.check_rate import CheckRate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.triggers.watcher.subscription import Subscription

POLLS_PER_LIST = 4
"""Polls for every list of unfinished runs, where one or two pages hold them all."""

Order: TypeAlias = "tuple[str, float, str, str, int]"


@dataclass(frozen=True)
class Batch:
    """
    Waits that one list checks.

    :param subscriptions: the waits, each for one run that has been seen
    :param by_dag: whether all of them are of one dag, and it is to be listed alone
    """

    subscriptions: Sequence[Subscription]
    by_dag: bool

    @property
    def dag_ids(self) -> list[str]:
        """The dags."""
        return sorted({each.wait.dag_id for each in self.subscriptions})

    @property
    def run_ids(self) -> list[str]:
        """The runs."""
        return sorted({each.run_id for each in self.subscriptions if each.run_id})

    @property
    def task_ids(self) -> list[str]:
        """The tasks, of waits for tasks."""
        return sorted({task_id for each in self.subscriptions for task_id in each.wait.task_ids})

    @property
    def due(self) -> tuple[str, str]:
        """When the first and the last of the runs were due (ISO 8601)."""
        dates = [each.due_after for each in self.subscriptions]
        return min(dates).isoformat(), max(dates).isoformat()


class Batches:
    """The waits that lists check. All the others are checked individually."""

    def __init__(self) -> None:
        self._subscriptions: dict[Subscription, None] = {}
        self._check_rate = CheckRate(POLLS_PER_LIST)
        self._by_dag = False
        self._round: list[Batch] = []
        self._batches_per_round = 0

    def __contains__(self, subscription: Subscription) -> bool:
        """Say whether lists check it."""
        return subscription in self._subscriptions

    def add(self, subscription: Subscription) -> None:
        """Let lists check it from the next round on."""
        self._subscriptions[subscription] = None

    def discard(self, *subscriptions: Subscription) -> None:
        """Let no list check these any more."""
        for subscription in subscriptions:
            self._subscriptions.pop(subscription, None)

    def clear(self) -> None:
        """Let no list check any more."""
        self._subscriptions.clear()

    def take(self, elapsed: float, *, by_dag: bool) -> list[Batch]:
        """
        Take the batches that are due, some seconds after the last time.

        :param elapsed: how many seconds
        :param by_dag: whether the token may list dag by dag only
        """
        if by_dag != self._by_dag or not self._round:
            self._begin_round(by_dag=by_dag)
        intervals = Counter(each.poke_interval for each in self._subscriptions)
        size = len(self._subscriptions) / max(self._batches_per_round, 1)
        number = self._check_rate.take(elapsed, intervals, max(size, 1.0))
        taken: list[Batch] = []
        while self._round and len(taken) < number:
            batch = self._round.pop()
            if left := [each for each in batch.subscriptions if each in self]:
                taken.append(Batch(left, batch.by_dag))
        return taken

    def _begin_round(self, *, by_dag: bool) -> None:
        self._by_dag = by_dag
        batches = batched(self._subscriptions, by_dag=by_dag)
        self._round = [batch for batch in batches if len(batch.subscriptions) > 1]
        self._batches_per_round = len(self._round)
        for batch in batches:
            if len(batch.subscriptions) == 1:  # a list costs as much as its own check
                self.discard(*batch.subscriptions)


def batched(subscriptions: Iterable[Subscription], *, by_dag: bool) -> list[Batch]:
    """
    Divide waits into batches whose lists have no more rows than a page, if nobody else runs the same dags.

    :param subscriptions: the waits
    :param by_dag: whether each batch is to be of one dag
    """
    batches: list[list[Subscription]] = []
    runs: set[str | None] = set()
    tasks: set[str] = set()
    for each in sorted(subscriptions, key=lambda each: _order(each, by_dag=by_dag)):
        runs.add(each.run_id)
        tasks.update(each.wait.task_ids)
        last = batches[-1] if batches else []
        rows = max(len(last) + 1, len(runs) * len(tasks))
        if not last or rows > PAGE_SIZE or (by_dag and each.wait.dag_id != last[0].wait.dag_id):
            batches.append([])
            runs, tasks = {each.run_id}, set(each.wait.task_ids)
        batches[-1].append(each)
    return [Batch(batch, by_dag) for batch in batches]


def in_doubt(batch: Batch, rows: Iterable[DagRun | TaskInstance]) -> list[Subscription]:
    """
    Say which waits of a batch need a check of their own: all but those that are as their last check has found them.

    :param batch: the batch
    :param rows: the runs that have not finished, or the instances of its tasks
    """
    states: dict[tuple[str, str | None, object], list[str | None]] = defaultdict(list)
    for row in rows:
        states[row["dag_id"], row["dag_run_id"], row.get("task_id")].append(row["state"])
    doubtful = []
    for each in batch.subscriptions:
        keys = [(each.wait.dag_id, each.run_id, task_id) for task_id in each.wait.task_ids or (None,)]
        found = [states.get(key, []) for key in keys]
        seen = [state for of_key in found for state in of_key]
        if not all(found) or not _unchanged(each, seen):
            doubtful.append(each)
    return doubtful


def _unchanged(subscription: Subscription, states: Sequence[str | None]) -> bool:
    if not subscription.waits_for_tasks:
        return states == [subscription.state]
    # One that has finished without ending the wait may fail it as soon as its run is over.
    finished = [state for state in states if state in FINISHED_TASK_STATES]
    pending = len(finished) < len(states) and set(finished) <= set(subscription.wait.end_states.allowed)
    return pending and ", ".join(sorted({state or "none" for state in states})) == subscription.state


def _order(subscription: Subscription, *, by_dag: bool) -> Order:
    wait, run_id = subscription.wait, subscription.run_id or ""
    if subscription.waits_for_tasks:
        return wait.dag_id, 0.0, " ".join(wait.task_ids), run_id, id(subscription)
    first = wait.dag_id if by_dag else ""
    return first, subscription.due_after.timestamp(), wait.dag_id, run_id, id(subscription)

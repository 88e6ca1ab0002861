"""Batches of waits: one list of unfinished runs, or of tasks, checks all waits of a batch. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.states import FINISHED_TASK_STATES
from astro_provider.triggers.watcher.periodic_check_rate import PeriodicCheckRate
from astro_provider.waits.wait import format_task_states

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.triggers.watcher.subscription import Subscription

POLLS_PER_BATCH = 4
"""Number of polls per check of a batch, if there are only a few batches."""

SortKey: TypeAlias = "tuple[str, float, str, str, int]"


@dataclass(frozen=True)
class Batch:
    """
    Waits that one list checks.

    :param subscriptions: the waits, each for a single run that a check has found; or all for ranges of logical dates
    :param by_dag: whether all waits are for the same dag, because the token is not allowed to list across dags
    """

    subscriptions: Sequence[Subscription]
    by_dag: bool

    @property
    def dag_ids(self) -> list[str]:
        """The ids of the dags."""
        return sorted({each.wait.dag_id for each in self.subscriptions})

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs."""
        return sorted({each.run_id for each in self.subscriptions if each.run_id})

    @property
    def task_ids(self) -> list[str]:
        """The ids of the tasks; empty for waits for runs."""
        return sorted({task_id for each in self.subscriptions for task_id in each.wait.task_ids})

    @property
    def logical_date_range(self) -> tuple[str, str] | None:
        """The first and the last logical date (ISO 8601) of waits for ranges; ``None`` for other waits."""
        ranges = [each.logical_date_range for each in self.subscriptions if each.logical_date_range]
        if not ranges:
            return None
        last = max(end for _, end in ranges) - timedelta.resolution  # the end is not part of a range
        return min(start for start, _ in ranges).isoformat(), last.isoformat()

    @property
    def due_range(self) -> tuple[str, str]:
        """The dates (ISO 8601) at which the first and the last of the runs are due."""
        dates = [each.due_after for each in self.subscriptions]
        return min(dates).isoformat(), max(dates).isoformat()


class Batches:
    """
    The waits that are checked in batches; all other waits are checked individually.

    In each round, every wait is in one batch; a wait that would be alone in a batch is checked individually.
    ``PeriodicCheckRate`` spreads the batches over the round.
    """

    def __init__(self) -> None:
        self._subscriptions: dict[Subscription, None] = {}
        self._rate = PeriodicCheckRate(POLLS_PER_BATCH)
        self._by_dag = False
        self._left_in_round: list[Batch] = []
        self._batches_per_round = 0

    def __contains__(self, subscription: Subscription) -> bool:
        """Return whether a wait is checked in batches."""
        return subscription in self._subscriptions

    def add(self, subscription: Subscription) -> None:
        """
        Add a wait. It is checked in a batch from the next round on.

        :param subscription: the wait
        """
        self._subscriptions[subscription] = None

    def discard(self, *subscriptions: Subscription) -> None:
        """
        Remove waits, so that they are checked individually.

        :param subscriptions: the waits
        """
        for subscription in subscriptions:
            self._subscriptions.pop(subscription, None)

    def clear(self) -> None:
        """Remove all waits, so that they are checked individually."""
        self._subscriptions.clear()

    def take(self, elapsed: float, *, by_dag: bool) -> list[Batch]:
        """
        Take the batches that are due.

        :param elapsed: seconds since the last call
        :param by_dag: whether the token is only allowed to list the runs of one dag at a time
        """
        if by_dag != self._by_dag or not self._left_in_round:
            self._begin_round(by_dag=by_dag)
        intervals = Counter(each.poke_interval for each in self._subscriptions)
        waits_per_batch = len(self._subscriptions) / max(self._batches_per_round, 1)
        number = self._rate.take(elapsed, intervals, max(waits_per_batch, 1.0))
        taken: list[Batch] = []
        while self._left_in_round and len(taken) < number:
            batch = self._left_in_round.pop()
            if remaining := [each for each in batch.subscriptions if each in self]:
                taken.append(Batch(remaining, batch.by_dag))
        return taken

    def _begin_round(self, *, by_dag: bool) -> None:
        self._by_dag = by_dag
        batches = divide(self._subscriptions, by_dag=by_dag)
        self._left_in_round = [batch for batch in batches if len(batch.subscriptions) > 1]
        self._batches_per_round = len(self._left_in_round)
        for batch in batches:
            if len(batch.subscriptions) == 1:  # a list for a single wait costs as much as its own check
                self.discard(*batch.subscriptions)


def divide(subscriptions: Iterable[Subscription], *, by_dag: bool) -> list[Batch]:
    """
    Divide waits into batches whose rows fit on one page. Waits for ranges of logical dates have batches of their own.

    Mapped tasks, and other unfinished runs of the same dags, add rows, so that a list might take more pages.

    :param subscriptions: the waits
    :param by_dag: whether all waits of a batch must be for the same dag
    """
    all_waits = list(subscriptions)
    for_ranges = [each for each in all_waits if each.logical_date_range]
    others = [each for each in all_waits if not each.logical_date_range]
    batches = [*_divide_ranges(for_ranges, by_dag=by_dag), *_divide_others(others, by_dag=by_dag)]
    return [Batch(batch, by_dag) for batch in batches]


def _divide_ranges(subscriptions: Iterable[Subscription], *, by_dag: bool) -> list[list[Subscription]]:
    batches: list[list[Subscription]] = []
    row_counts: dict[tuple[str, Sequence[datetime]], int] = {}  # waits for the same range share their rows
    for each in sorted(subscriptions, key=lambda each: _range_sort_key(each, by_dag=by_dag)):
        dag_id = each.wait.dag_id
        last = batches[-1] if batches else []
        row_counts[dag_id, each.logical_date_range] = max(each.run_count, 1)
        if not last or sum(row_counts.values()) > PAGE_SIZE or (by_dag and dag_id != last[0].wait.dag_id):
            batches.append([])
            row_counts = {(dag_id, each.logical_date_range): max(each.run_count, 1)}
        batches[-1].append(each)
    return batches


def _divide_others(subscriptions: Iterable[Subscription], *, by_dag: bool) -> list[list[Subscription]]:
    batches: list[list[Subscription]] = []
    runs: set[str | None] = set()
    tasks: set[str] = set()
    for each in sorted(subscriptions, key=lambda each: _sort_key(each, by_dag=by_dag)):
        runs.add(each.run_id)
        tasks.update(each.wait.task_ids)
        last = batches[-1] if batches else []
        # A list of runs has one row per wait. A list of task instances has every task of the batch in every run of it.
        row_count = max(len(last) + 1, len(runs) * len(tasks))
        if not last or row_count > PAGE_SIZE or (by_dag and each.wait.dag_id != last[0].wait.dag_id):
            batches.append([])
            runs, tasks = {each.run_id}, set(each.wait.task_ids)
        batches[-1].append(each)
    return batches


def waits_to_check(
    batch: Batch, rows: Iterable[DagRun | TaskInstance], going_on: Collection[Subscription] = ()
) -> list[Subscription]:
    """
    Return the waits of a batch that need an individual check.

    A wait needs none if its run or all of its tasks are listed with the same states as at the last check, and these
    states cannot end the wait.

    :param batch: the batch
    :param rows: the runs that have not finished, or the instances of the tasks of the batch
    :param going_on: the waits for ranges that go on
    """
    if batch.logical_date_range is not None:
        return [each for each in batch.subscriptions if each not in going_on]
    states: dict[tuple[str, str | None, object], list[str | None]] = defaultdict(list)
    for row in rows:
        states[row["dag_id"], row["dag_run_id"], row.get("task_id")].append(row["state"])
    found = []
    for each in batch.subscriptions:
        keys = [(each.wait.dag_id, each.run_id, task_id) for task_id in each.wait.task_ids or (None,)]
        states_by_key = [states.get(key, []) for key in keys]
        all_states = [state for states_of_key in states_by_key for state in states_of_key]
        if not all(states_by_key) or _needs_check(each, all_states):
            found.append(each)
    return found


def _needs_check(subscription: Subscription, states: Sequence[str | None]) -> bool:
    if not subscription.waits_for_tasks:
        return states != [subscription.state]
    # When all tasks have finished, the wait might be over. When one has finished in a state that is not allowed, the
    # wait fails as soon as the run finishes, which this list does not show. An individual check decides both.
    finished = [state for state in states if state in FINISHED_TASK_STATES]
    is_pending = len(finished) < len(states) and set(finished) <= set(subscription.wait.end_states.allowed)
    return not is_pending or format_task_states(states) != subscription.state


def _range_sort_key(subscription: Subscription, *, by_dag: bool) -> SortKey:
    """Sort waits for ranges so that those for the same time, and then those of the same dag, are together."""
    start, end = subscription.logical_date_range
    dag_id = subscription.wait.dag_id
    return dag_id if by_dag else "", start.timestamp(), end.isoformat(), dag_id, id(subscription)


def _sort_key(subscription: Subscription, *, by_dag: bool) -> SortKey:
    """Sort waits for runs by the dates at which their runs are due, and waits for tasks by dag and task ids."""
    wait, run_id = subscription.wait, subscription.run_id or ""
    if subscription.waits_for_tasks:
        return wait.dag_id, 0.0, " ".join(wait.task_ids), run_id, id(subscription)
    first = wait.dag_id if by_dag else ""
    return first, subscription.due_after.timestamp(), wait.dag_id, run_id, id(subscription)

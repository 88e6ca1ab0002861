"""Lists what has finished in a target, and finds the waits that might be over."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Generic

from astro_provider.api.errors import AccessDeniedError, InvalidRequestError, NotFoundError
from astro_provider.triggers.watcher.batches import waits_to_check
from astro_provider.triggers.watcher.index import SubscriptionIndex
from astro_provider.triggers.watcher.listing import ListRequest, ListResult, Row
from astro_provider.triggers.watcher.polled_waits import (
    MAX_DAGS_LISTED_PER_POLL,
    RETRY_LIST_SECONDS,
    PolledWaits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.listing import TaskFilter
    from astro_provider.triggers.watcher.subscription import Subscription

OVERLAP_SECONDS = 30.0
"""Seconds by which a list overlaps the one before, because Airflow sets an end date before it commits the row."""


class Feed(PolledWaits, Generic[Row]):
    """
    Lists the dag runs or the task instances that have finished, and finds the waits that might be over.

    The poller calls ``prepare_list`` and ``list_finished`` at each poll, then ``note_list``, which returns the waits to
    wake.

    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._index = SubscriptionIndex()
        self._waits_per_dag: Counter[str] = Counter()
        self._listed_until: dict[str, float] = {}  # by dag: when its last successful list was requested
        self._seen_rows: dict[Hashable, tuple[str | None, float]] = {}  # by row: its end date, and when it was listed
        self._no_batches_until = float("-inf")

    def join(self, subscription: Subscription) -> None:
        """
        Add a wait; polls from now on include its dag.

        :param subscription: the wait
        """
        super().join(subscription)
        dag_id = subscription.wait.dag_id
        self._waits_per_dag[dag_id] += 1
        self._listed_until.setdefault(dag_id, self._clock())  # its own first check covers what ended before
        self._index.add(subscription)

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        super().leave(subscription)
        dag_id = subscription.wait.dag_id
        self._index.discard(subscription)
        self._waits_per_dag[dag_id] -= 1
        if not self._waits_per_dag[dag_id]:
            del self._waits_per_dag[dag_id], self._listed_until[dag_id]

    def move_back(self, seconds: float) -> None:
        """
        Shift all stored times after the clock moved backwards.

        :param seconds: by how many seconds
        """
        super().move_back(seconds)
        self._listed_until = {dag_id: at - seconds for dag_id, at in self._listed_until.items()}
        self._no_batches_until -= seconds

    def note_state(self, subscription: Subscription) -> None:
        """
        Note that the state of a run or of tasks is known, by a check or without one.

        :param subscription: the wait
        """
        self.checks.note_check(subscription, can_be_batched=subscription.can_be_batched and self.can_batch())

    # Checks of batches.

    def take_batches(self, elapsed: float) -> list[Batch]:
        """
        Take the batches of waits that are to be checked now.

        :param elapsed: seconds since the last call
        """
        if not self.can_batch():
            self.checks.batches.clear()
        return self.checks.take_batches(elapsed, by_dag=self.lists_by_dag)

    @abstractmethod
    def list_batch(self, client: Client, batch: Batch) -> Flow[list[Row]]:
        """
        List the rows that show which waits of a batch are unchanged since their last check.

        :param client: the target
        :param batch: the batch
        :raise AstroError: the list failed
        """

    def note_batch(self, batch: Batch, rows: list[Row], going_on: Collection[Subscription]) -> None:
        """
        Note the list of a batch.

        Waits that have changed leave the batches: their next check is individual. When it succeeds, they can join a
        batch again.

        :param batch: the batch
        :param rows: the rows of the list
        :param going_on: the waits that go on according to these rows, as far as ``Checker.note_runs`` has found out
        """
        self.checks.batches.discard(*waits_to_check(batch, rows, going_on))

    def note_failed_batch(self, batch: Batch, error: Exception) -> None:
        """
        Note that the list of a batch has failed.

        The next check of each of its waits is individual. If the target refused the request (400, 403 or 422), all
        waits are checked individually for ``RETRY_LIST_SECONDS``.

        :param batch: the batch
        :param error: the error
        """
        self.checks.batches.discard(*batch.subscriptions)
        if isinstance(error, InvalidRequestError) or (isinstance(error, AccessDeniedError) and error.status == 403):
            self.note_invalid_list()

    def note_invalid_list(self) -> None:
        """Request no list of what has not finished for ``RETRY_LIST_SECONDS``, because the target refused one."""
        self._no_batches_until = self._clock() + RETRY_LIST_SECONDS

    def can_batch(self) -> bool:
        """Return whether the target answers lists of what has not finished, as far as is known."""
        return self._clock() >= self._no_batches_until

    # Lists of what has finished.

    def prepare_list(self, now: float) -> ListRequest:
        """
        Decide what to list.

        :param now: seconds since the epoch
        """
        return ListRequest(
            requested_at=now,
            by_dag=self._must_list_by_dag(now),
            dag_ids=sorted(self._listed_until),
            ended_after=min(self._listed_until.values()),
            oldest_dags=heapq.nsmallest(
                MAX_DAGS_LISTED_PER_POLL, self._listed_until.items(), key=lambda dag_and_time: dag_and_time[1]
            ),
            due_after=min(each.due_after for each in self.subscriptions).isoformat(),
            task_filters=self._task_filters(),
        )

    def list_finished(self, client: Client, request: ListRequest) -> Flow[ListResult[Row]]:
        """
        List what has finished, across dags, or dag by dag if the token is not allowed to list across dags.

        :param client: the target
        :param request: what to list
        :raise AstroError: a list failed
        """
        if not request.by_dag:
            try:
                rows = yield from self._list_across_dags(
                    client, request, client.at_target(request.ended_after - OVERLAP_SECONDS)
                )
                return ListResult(rows, request.dag_ids, by_dag=False)
            except AccessDeniedError as error:
                if error.status != 403:  # a 401 is about the token itself, not about what it is allowed to list
                    raise
        return (yield from self._list_by_dag(client, request))

    def _list_by_dag(self, client: Client, request: ListRequest) -> Flow[ListResult[Row]]:
        rows: list[Row] = []
        refused_count = 0
        for dag_id, listed_until in request.oldest_dags:
            ended_after = client.at_target(listed_until - OVERLAP_SECONDS)
            # A dag that does not exist (404) or is forbidden (403) does not fail the list, unless all dags are
            # forbidden. The waits for this dag are checked individually, and these checks decide how they end.
            try:
                rows += yield from self._list_dag(client, dag_id, ended_after, request)
            except NotFoundError:
                continue
            except AccessDeniedError as error:
                refused_count += 1
                if error.status != 403 or refused_count == len(request.oldest_dags):
                    raise
        return ListResult(rows, [dag_id for dag_id, _ in request.oldest_dags], by_dag=True)

    def note_list(self, request: ListRequest, result: ListResult[Row]) -> set[Subscription]:
        """
        Note the result of a list.

        :param request: what was to be listed
        :param result: what the target has returned
        :return: the waits that might be over, according to the rows that no earlier list has returned
        """
        now = request.requested_at
        self.availability.note_list()
        self._note_listed_dags(request, result)
        found: set[Subscription] = set()
        for row in result.rows:
            key, end_date = self._key(row), row["end_date"]  # what has finished again has another end date
            seen = self._seen_rows.get(key)
            if seen is None or seen[0] != end_date:
                found |= self._index.find(row)
            self._seen_rows[key] = (end_date, now)
        # Forget the rows that no later list can return: the next lists begin one overlap before the oldest time in
        # _listed_until. One more overlap is kept, because a row is stored with the time of the request, and may have
        # ended after that time.
        oldest = min(self._listed_until.values(), default=now) - 2 * OVERLAP_SECONDS
        self._seen_rows = {key: seen for key, seen in self._seen_rows.items() if seen[1] > oldest}
        return found

    def _note_listed_dags(self, request: ListRequest, result: ListResult[Row]) -> None:
        for dag_id in result.dag_ids:
            if dag_id in self._listed_until:
                self._listed_until[dag_id] = request.requested_at
        if not result.by_dag:
            self._note_list_across_dags()
        elif not request.by_dag:  # a list across dags was tried, and refused
            self._note_refused_list(request.requested_at)

    def _task_filters(self) -> Sequence[TaskFilter]:
        return ()

    @abstractmethod
    def _list_across_dags(self, client: Client, request: ListRequest, ended_after: str) -> Flow[list[Row]]:
        """List across dags what has finished since a date (ISO 8601, by the target's clock)."""

    @abstractmethod
    def _list_dag(self, client: Client, dag_id: str, ended_after: str, request: ListRequest) -> Flow[list[Row]]:
        """List what has finished in one dag since a date (ISO 8601, by the target's clock)."""

    @abstractmethod
    def _key(self, row: Row) -> Hashable:
        """Identify a row, to recognize it in the next list."""

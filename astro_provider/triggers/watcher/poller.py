"""The polls that answer waits of one kind, and the checks of the batches of a feed."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias

from astro_provider.api.errors import AstroError
from astro_provider.triggers.watcher.listing import Row
from astro_provider.triggers.watcher.polled_waits import MAX_DAGS_LISTED_PER_POLL
from astro_provider.triggers.watcher.subscription import wake_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.feed import Feed
    from astro_provider.triggers.watcher.polled_waits import PolledWaits
    from astro_provider.triggers.watcher.subscription import Subscription
    from astro_provider.triggers.watcher.target import Target

    NoteRows: TypeAlias = Callable[[Mapping[Subscription, int], Iterable[Row]], Awaitable[set[Subscription]]]

log = logging.getLogger(__name__)


class BasePoller(ABC):
    """
    Requests lists once per poll, and wakes the waits that must be checked.

    The watcher calls ``poll`` whenever a poll is due. Polls run in asyncio tasks of their own, so that a target that
    does not respond delays neither deadlines nor other polls.

    :param waits: the waits that the polls answer
    :param target: the target
    """

    def __init__(self, waits: PolledWaits, target: Target) -> None:
        self.waits = waits
        self._target = target
        self._poll_task: asyncio.Task[None] | None = None

    def poll(self, now: float, elapsed: float) -> None:
        """
        Begin a poll, unless the last one is still under way.

        If it is, and only lists fail, the checks that are due are made without a poll: the list might hang.

        :param now: seconds since the epoch
        :param elapsed: seconds since a poll was last due
        """
        if self._poll_task is None or self._poll_task.done():
            if self.waits.subscriptions:
                self._poll_task = asyncio.create_task(self._poll(now, elapsed))
        elif self.waits.availability.only_lists_fail:
            wake_all(self.waits.checks.take_single(elapsed))

    async def close(self) -> None:
        """End the poll that is under way."""
        await _cancel(self._poll_task)
        self._poll_task = None

    async def _poll(self, now: float, elapsed: float) -> None:
        self.waits.availability.count_poll()
        if self.waits.availability.should_list:
            await self._try_list(now)
        self._begin_checks(elapsed)

    @abstractmethod
    async def _list_and_wake(self, now: float) -> None:
        """Request lists, and wake the waits that might be over."""

    @abstractmethod
    def _begin_checks(self, elapsed: float) -> None:
        """Begin the checks that are due although no list has shown a change."""

    async def _try_list(self, now: float) -> None:
        """Request lists. If that succeeds, also wake the waits whose check was postponed."""
        waits = self.waits
        was_failing = waits.availability.lists_fail
        try:
            if waits.subscriptions:  # else the last wait has left since the poll began
                await self._list_and_wake(now)
                if waits.lists_by_dag:
                    self._warn_of_lists(await self._target.name())
        except AstroError as error:
            self._note_failed_list(error, tolerated=waits.availability.tolerates(error))
            await self._target.reload_if_outdated(error)
        except Exception as error:  # only a bug of this package; the waits are checked individually
            log.exception("A list of %s failed", waits.rows_name)
            self._note_failed_list(error, tolerated=True)
        else:
            if was_failing:
                # The outage is over: each wait may warn of the next one.
                deployment = await self._target.name()
                for subscription in waits.subscriptions:
                    subscription.note_end_of_outage(deployment)
            wake_all(waits.checks.take_postponed(is_outage_over=was_failing))

    def _warn_of_lists(self, deployment: str) -> None:
        for subscription in self.waits.subscriptions:
            if not subscription.is_warned_of_lists:
                subscription.is_warned_of_lists = True
                subscription.warn(
                    f"The token may not list across dags in {deployment}: the dags are listed one by one, "
                    f"{MAX_DAGS_LISTED_PER_POLL} per poll."
                )

    def _note_failed_list(self, error: Exception, *, tolerated: bool) -> None:
        """Warn all waits of an outage that begins. The list ends none of them; their own checks decide."""
        if self.waits.availability.note_failed_list(tolerated=tolerated):
            for subscription in self.waits.subscriptions:
                subscription.warn_of_outage(error)


class Poller(BasePoller, Generic[Row]):
    """
    Lists what has finished, and checks the batches of a feed.

    The checks of batches run in an asyncio task of their own, too.

    :param feed: decides what is listed, and finds the waits to wake
    :param target: the target
    :param note_rows: uses the rows of the list of a batch in place of checks, see ``Checker.note_runs``; ``None`` if
        the rows only show which waits must be checked
    """

    def __init__(
        self,
        feed: Feed[Row],
        target: Target,
        note_rows: NoteRows[Row] | None = None,
    ) -> None:
        super().__init__(feed, target)
        self.feed: Feed[Row] = feed
        self._note_rows: NoteRows[Row] | None = note_rows
        self._batch_task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End the poll and the checks of batches that are under way."""
        await super().close()  # first, because the poll could start another task for batches
        await _cancel(self._batch_task)
        self._batch_task = None

    async def _list_and_wake(self, now: float) -> None:
        request = self.feed.prepare_list(now)
        result = await self._target.run(partial(self.feed.list_finished, request=request))
        wake_all(self.feed.note_list(request, result))

    def _begin_checks(self, elapsed: float) -> None:
        wake_all(self.feed.checks.take_single(elapsed))
        if self._batch_task is None or self._batch_task.done():
            batches = self.feed.take_batches(elapsed)
            if batches:
                self._batch_task = asyncio.create_task(self._check_batches(batches))

    async def _check_batches(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            await self._check_batch(batch)

    async def _check_batch(self, batch: Batch) -> None:
        check_counts = {each: each.check_count for each in batch.subscriptions}
        try:
            rows = await self._target.run(partial(self.feed.list_batch, batch=batch))
            going_on = await self._note_rows(check_counts, rows) if self._note_rows else set()
        except AstroError as error:
            self.feed.note_failed_batch(batch, error)
        except Exception as error:  # only a bug of this package; the waits are checked individually
            log.exception("A list for a batch of %s failed", self.feed.rows_name)
            self.feed.note_failed_batch(batch, error)
        else:
            self.feed.note_batch(batch, rows, going_on)


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

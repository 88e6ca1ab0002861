"""The first checks of waits that join together, which one list of unfinished runs replaces."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api import poll_lists
from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.errors import AstroError, InvalidRequestError
from astro_provider.triggers.watcher.batches import divide
from astro_provider.triggers.watcher.subscription import wake_all

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from astro_provider.api.types import DagRun
    from astro_provider.triggers.watcher.checker import Checker
    from astro_provider.triggers.watcher.finished import FinishedRuns
    from astro_provider.triggers.watcher.subscription import Subscription
    from astro_provider.triggers.watcher.target import Target

log = logging.getLogger(__name__)

JOIN_SECONDS = 0.25
"""Seconds during which waits are collected, again and again while ``MIN_WAITS`` or more of them join in this time."""

MAX_JOIN_SECONDS = 2.0
"""Maximum number of seconds for which waits are collected."""

MIN_WAITS = 4
"""Minimum number of waits that a list answers. Fewer are checked individually, because a list might not show them."""


class Joins:
    """
    Answers waits for runs that join together, by one list of the unfinished runs of their dags.

    The first of several waits is checked at once, and so is a wait that joins alone. A list never ends a wait: those
    that it does not show as unfinished are woken, and then checked individually.

    :param feed: the feed of the waits
    :param checker: notes what the list shows
    :param target: the target
    :param sleep: coroutine function that sleeps for a number of seconds
    """

    def __init__(
        self,
        feed: FinishedRuns,
        checker: Checker,
        target: Target,
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._feed = feed
        self._checker = checker
        self._target = target
        self._sleep = sleep
        self._joined: dict[Subscription, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, subscription: Subscription) -> bool:
        """
        Add a wait that has joined the feed, unless it should be checked at once.

        :param subscription: the wait
        :return: whether the wait is answered together with others. If the list does not show that it goes on, it is
            woken
        """
        if not (subscription.can_be_listed and self._can_list):
            return False
        if self._task is None or self._task.done():
            # In an empty context, so that its requests do not log in the log of a waiting task.
            self._task = contextvars.Context().run(asyncio.create_task, self._answer())
            return False
        self._joined[subscription] = None
        return True

    def discard(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        self._joined.pop(subscription, None)

    async def close(self) -> None:
        """End the list that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _can_list(self) -> bool:
        return self._feed.can_batch() and not self._feed.lists_by_dag and not self._feed.availability.lists_fail

    async def _answer(self) -> None:
        while True:
            await self._collect()
            if not self._joined:
                return
            group, self._joined = list(self._joined), {}
            answered = await self._try_list(group) if len(group) >= MIN_WAITS and self._can_list else set()
            wake_all(each for each in group if each not in answered)

    async def _collect(self) -> None:
        """Sleep until fewer waits join, or ``MAX_JOIN_SECONDS`` have passed."""
        for _ in range(round(MAX_JOIN_SECONDS / JOIN_SECONDS)):
            before = len(self._joined)
            await self._sleep(JOIN_SECONDS)
            if len(self._joined) < before + MIN_WAITS:
                return

    async def _try_list(self, group: Collection[Subscription]) -> set[Subscription]:
        """List the unfinished runs, and return the waits that are answered; none if the list fails."""
        check_counts = {each: each.check_count for each in group}
        try:
            answered: set[Subscription] = set()
            for_ranges = [each for each in group if each.logical_date_range]
            for batch in divide(for_ranges, by_dag=False):
                rows = await self._target.run(partial(self._feed.list_batch, batch=batch))
                counts = {each: check_counts[each] for each in batch.subscriptions}
                answered |= await self._checker.note_runs(self._feed, counts, rows)
            if others := {each: count for each, count in check_counts.items() if not each.logical_date_range}:
                answered |= await self._checker.note_runs(self._feed, others, await self._list(others))
            return answered
        except InvalidRequestError:
            self._feed.note_invalid_list()
        except AstroError:
            pass  # the next poll, or the checks, show whether the target is down or refuses lists
        except Exception:  # only a bug of this package; the waits are checked individually
            log.exception("A list for waits that have joined failed")
        return set()

    async def _list(self, group: Collection[Subscription]) -> list[DagRun]:
        # Not more pages than there are waits, and about as many rows as there are waits on the connection.
        max_rows = min(PAGE_SIZE * len(group), 2 * len(self._feed.subscriptions) + PAGE_SIZE)
        dag_ids = sorted({each.wait.dag_id for each in group})
        return await self._target.run(partial(poll_lists.oldest_unfinished_runs, dag_ids=dag_ids, max_rows=max_rows))

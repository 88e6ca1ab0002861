"""Checks of single waits."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api.errors import AstroError
from astro_provider.triggers.watcher.index import SubscriptionIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from astro_provider.api.client import Client
    from astro_provider.api.types import DagRun
    from astro_provider.triggers.watcher.paused_dags import PausedDags
    from astro_provider.triggers.watcher.poll_loop import PollLoop
    from astro_provider.triggers.watcher.polled_waits import PolledWaits
    from astro_provider.triggers.watcher.subscription import Subscription
    from astro_provider.triggers.watcher.target import Target
    from astro_provider.waits.wait import Verdict

MAX_CHECKS_AT_ONCE = 10
"""Maximum number of checks of one watcher that are under way at the same time."""

ROWS_PER_STEP = 50
"""Number of rows of a list that are noted before other tasks of the event loop run."""

MAX_SECONDS_PAST_DEADLINE = 10.0
"""Seconds after the deadline of a wait at which a check that is still under way is cancelled."""


class Checker:
    """
    Checks single waits for ``Watcher.watch``, at most ``MAX_CHECKS_AT_ONCE`` at the same time.

    :param target: the target
    :param poll_loop: schedules the next check of waits that need one at a certain time
    :param paused_dags: warns waits whose run stays queued
    :param clock: returns the time in seconds since the epoch
    :param sleep: coroutine function that sleeps for a number of seconds
    """

    def __init__(
        self,
        target: Target,
        poll_loop: PollLoop,
        paused_dags: PausedDags,
        clock: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._target = target
        self._poll_loop = poll_loop
        self._paused_dags = paused_dags
        self._clock = clock
        self._sleep = sleep
        self._slots = asyncio.Semaphore(MAX_CHECKS_AT_ONCE)

    async def check(self, feed: PolledWaits, subscription: Subscription) -> Verdict | None:
        """
        Check a wait once.

        :param feed: the feed of the wait
        :param subscription: the wait
        :return: the verdict; ``None`` if the check failed with an error that is tolerated, was not made because the
            target is down, or took too long. The check is then repeated as soon as the target answers
        :raise AstroError: an error that is not tolerated
        """
        try:
            verdict = await self._check_in_time(feed, subscription)
        except AstroError as error:
            feed.availability.note_failed_check()
            # The feed might have tolerated errors for long enough although this wait has seen only one.
            is_tolerated = subscription.tolerance.tolerates(error, subscription.warn_of_outage)
            if not is_tolerated or not feed.availability.tolerates(error):
                raise
            await self._target.reload_if_outdated(error)
            verdict = None
        if verdict is None:
            feed.checks.postpone(subscription)
            return None
        feed.note_check(subscription)
        subscription.note_answer()
        if not feed.availability.lists_fail:
            subscription.note_end_of_outage(await self._target.name())
        return verdict

    def note_run(self, feed: PolledWaits, subscription: Subscription, client: Client, run: DagRun) -> bool:
        """
        Use the state of a run in place of a check, if it shows that the wait goes on.

        :param feed: the feed of the wait
        :param subscription: the wait
        :param client: the target
        :param run: the run as the target has just described it, which is a run that the wait is for
        :return: whether it does; if not, only a check can decide
        """
        return self._note_listed(feed, subscription, subscription.note_run(client, run))

    def _note_listed(self, feed: PolledWaits, subscription: Subscription, verdict: Verdict | None) -> bool:
        if verdict is None:
            return False
        self._note_verdict(subscription, verdict)
        feed.note_state(subscription)
        return True

    async def note_runs(
        self, feed: PolledWaits, check_counts: Mapping[Subscription, int], rows: Iterable[DagRun]
    ) -> set[Subscription]:
        """
        Use the rows of a list in place of checks, where they show that a wait goes on.

        :param feed: the feed of the waits
        :param check_counts: the waits, each with its number of checks before the list was requested. A wait that was
            checked since then is not changed
        :param rows: unfinished runs; for waits for ranges, all runs in them
        :return: the waits that go on
        """
        client = await self._target.client()
        index = SubscriptionIndex()
        for subscription in check_counts:
            index.add(subscription)
        going_on: set[Subscription] = set()
        in_ranges: dict[Subscription, list[DagRun]] = {each: [] for each in check_counts if each.logical_date_range}

        def can_note(subscription: Subscription) -> bool:
            is_current = subscription.check_count == check_counts[subscription]
            return is_current and subscription in feed.subscriptions

        for number, row in enumerate(rows, start=1):
            for subscription in index.find(row):
                if subscription in in_ranges:
                    in_ranges[subscription].append(row)
                elif can_note(subscription) and self.note_run(feed, subscription, client, row):
                    going_on.add(subscription)
            if number % ROWS_PER_STEP == 0:
                await asyncio.sleep(0)  # lets the event loop run other triggers
        for number, (subscription, runs) in enumerate(in_ranges.items(), start=1):
            if can_note(subscription) and self._note_listed(feed, subscription, subscription.note_listed(client, runs)):
                going_on.add(subscription)
            if number % ROWS_PER_STEP == 0:
                await asyncio.sleep(0)
        return going_on

    async def _check_in_time(self, feed: PolledWaits, subscription: Subscription) -> Verdict | None:
        """Check, including the time in the queue, until ``MAX_SECONDS_PAST_DEADLINE`` at the latest."""
        check = self._check_when_free(feed, subscription)
        if subscription.deadline is None:
            return await check
        seconds = max(subscription.deadline - self._clock(), 0) + MAX_SECONDS_PAST_DEADLINE
        checking, sleeping = asyncio.ensure_future(check), asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((checking, sleeping), return_when=asyncio.FIRST_COMPLETED)
            return checking.result() if checking.done() else None
        finally:
            checking.cancel()
            sleeping.cancel()
            await asyncio.gather(checking, sleeping, return_exceptions=True)

    async def _check_when_free(self, feed: PolledWaits, subscription: Subscription) -> Verdict | None:
        was_queued = self._slots.locked()
        async with self._slots:
            if was_queued and subscription.has_answered and feed.availability.is_down:
                return None  # an outage began while the check was queued
            verdict = await self._target.run(partial(subscription.progress.check, wait=subscription.wait))
        self._note_verdict(subscription, verdict)
        return verdict

    def _note_verdict(self, subscription: Subscription, verdict: Verdict) -> None:
        self._poll_loop.schedule_check(subscription, subscription.note_verdict(verdict))
        if subscription.check_count == 1:
            self._paused_dags.note_first(subscription, verdict)

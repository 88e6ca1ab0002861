"""The coroutines of a Deployment's watcher: waiting, checking, polling."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from astro_provider.api.errors import AstroError
from astro_provider.triggers.watcher.feed import MAX_DAGS_LISTED_PER_POLL
from astro_provider.triggers.watcher.feeds import FinishedRuns, FinishedTasks
from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.triggers.watcher.timetable import Timetable
from astro_provider.waits.transient import OUTDATED
from astro_provider.waits.wait import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.hooks.astro_async import AsyncAstroHook
    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.feed import Feed
    from astro_provider.waits.wait import RunWait

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_OVERTIME_SECONDS = 10.0
"""Seconds that a check may last beyond the deadline: no target that hangs keeps a wait for longer."""

MAX_CHECKS_AT_ONCE = 10

PAUSE_AFTER_DEFECT_SECONDS = 5.0


class Watcher:
    """
    Watches one Deployment for any number of waits; made by :func:`registry.watching`.

    :param hook: whose connection leads to the Deployment; the watcher closes it
    :param clock: seconds since the epoch
    :param sleep: sleeps for so many seconds
    """

    def __init__(
        self,
        hook: AsyncAstroHook,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
    ) -> None:
        self.users = 0
        self._hook = hook
        self._clock = clock
        self._sleep = sleep
        self._timetable = Timetable(clock())
        self._runs = FinishedRuns(clock)
        self._tasks = FinishedTasks(clock)
        self._feeds: tuple[Feed[Any], ...] = (self._runs, self._tasks)  # of dag runs, and of task instances
        self._checks = asyncio.Semaphore(MAX_CHECKS_AT_ONCE)
        self._wake = asyncio.Event()
        self._sleeps_until = float("inf")
        self._keeping_time: asyncio.Task[None] | None = None
        # Tasks of their own, as nobody who is due must wait for a list that does not come.
        self._polls: dict[Feed[Any], asyncio.Task[None]] = {}
        self._batches: dict[Feed[Any], asyncio.Task[None]] = {}
        self._reloaded_at = float("-inf")

    async def wait(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        on_change: Callable[[Verdict], None],
        warn: Callable[[str], None],
        first_check_after: float = 0,
        has_answered: bool = False,
    ) -> Verdict:
        """
        Wait until the target says that it is over; what ``RunWait.watch`` does for one wait alone.

        :param wait: what is waited for
        :param poke_interval: seconds within which to learn that it is over
        :param deadline: when to give up, in seconds since the epoch; ``None`` never
        :param on_change: called with every change that is seen before it is over
        :param warn: called when an outage begins that is tolerated (see ``Tolerance``), and with what keeps a run
            queued; in the context variables of whoever called this
        :param first_check_after: seconds before the first check; 0 checks at once, because the wait may be over
            already
        :param has_answered: whether the target is known to have answered this wait before (see ``Tolerance``)
        :return: the verdict; ``pending`` where ``deadline`` came first
        :raise AstroError: the check of this wait failed with an error that is not tolerated
        """

        def report(verdict: Verdict) -> None:
            if verdict.outcome == "pending":
                on_change(verdict)

        subscription = Subscription(
            wait, poke_interval=poke_interval, deadline=deadline, clock=self._clock, on_change=report, warn=warn
        )
        if first_check_after or has_answered:
            subscription.note_answer()
        feed = self._join(subscription)
        try:
            if first_check_after:
                await self._settle(subscription, first_check_after)
            while True:
                subscription.wake.clear()
                # A target that answers nothing would only keep a wait beyond its deadline.
                in_vain = feed.answers_nothing and subscription.is_late(self._clock())
                verdict = None if in_vain else await self._check(feed, subscription)
                if verdict is not None and verdict.outcome != "pending":
                    return verdict
                if subscription.is_late(self._clock()):
                    return subscription.progress.last or Verdict.never_checked(wait)
                await subscription.wake.wait()
        finally:
            self._timetable.leave(subscription)
            feed.leave(subscription)

    async def close(self) -> None:
        """End the polls, and close the session."""
        under_way = [*self._polls.values(), *([self._keeping_time] if self._keeping_time else [])]
        for task in under_way:  # a poll begins batches
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for task in self._batches.values():
            task.cancel()
        await asyncio.gather(*self._batches.values(), return_exceptions=True)
        self._polls.clear()
        self._batches.clear()
        self._keeping_time = None
        await self._hook.close()

    def _join(self, subscription: Subscription) -> Feed[Any]:
        feed: Feed[Any] = self._tasks if subscription.waits_for_tasks else self._runs
        feed.join(subscription)
        if self._keeping_time is None:
            self._timetable = Timetable(self._clock())
        self._timetable.join(subscription)
        if self._keeping_time is None:
            self._keeping_time = _in_no_context(self._keep_time())
        self._wake_before(self._timetable.next)
        return feed

    async def _settle(self, subscription: Subscription, seconds: float) -> None:
        self._check_again(subscription, seconds)
        while subscription.is_early(self._clock()):
            await subscription.wake.wait()
            subscription.wake.clear()

    # Checks.

    async def _check(self, feed: Feed[Any], subscription: Subscription) -> Verdict | None:
        """Check; ``None`` where that failed, is tolerated, and will be done again."""
        try:
            verdict = await self._in_time(subscription, self._check_target(feed, subscription))
        except AstroError as error:
            feed.checks_answered = False
            # Nobody was answered for so long: that may be known before this wait has been checked often enough.
            tolerated = subscription.tolerance.tolerates(error, subscription.warn_of_outage) and feed.tolerates(error)
            if not tolerated:
                raise
            await self._reload_if_outdated(error)
            verdict = None
        if verdict is None:
            feed.missed[subscription] = None
            return None
        feed.checked(subscription)
        subscription.note_answer()
        if not feed.failing:
            subscription.is_warned_of_outage = False
        return verdict

    async def _check_target(self, feed: Feed[Any], subscription: Subscription) -> Verdict | None:
        queued = self._checks.locked()
        async with self._checks:
            if queued and subscription.has_answered and feed.answers_nothing:
                return None  # an outage that has begun while it queued
            verdict = await self._run(partial(subscription.progress.check, wait=subscription.wait))
        self._check_again(subscription, subscription.checked(verdict))
        return verdict

    async def _in_time(
        self, subscription: Subscription, check: Coroutine[None, None, Verdict | None]
    ) -> Verdict | None:
        """Check, but not for long beyond the deadline, nor queue for it; ``None`` where that was too short."""
        if subscription.deadline is None:
            return await check
        left = max(subscription.deadline - self._clock(), 0) + MAX_OVERTIME_SECONDS
        checking, sleeping = asyncio.ensure_future(check), asyncio.ensure_future(self._sleep(left))
        try:
            await asyncio.wait((checking, sleeping), return_when=asyncio.FIRST_COMPLETED)
            return checking.result() if checking.done() else None
        finally:
            checking.cancel()
            sleeping.cancel()
            await asyncio.gather(checking, sleeping, return_exceptions=True)

    def _check_again(self, subscription: Subscription, pause: float | None) -> None:
        """Wake it after a pause, and no more at the time that was set before: else checks would add up."""
        self._timetable.check_at(subscription, None if pause is None else self._clock() + pause)
        self._wake_before(self._timetable.next)

    async def _run(self, question: Callable[[Client], Flow[T]]) -> T:
        return await self._hook.run(question(await self._hook.client()))

    async def _reload_if_outdated(self, error: AstroError) -> None:
        """Read the connection again, at most once per poll: it may have another token by then."""
        since = self._clock() - self._reloaded_at
        if isinstance(error, OUTDATED) and not 0 <= since < self._timetable.shortest_interval:
            self._reloaded_at = self._clock()
            await self._hook.reload_connection()

    # Time.

    async def _keep_time(self) -> None:
        while True:
            await self._sleep_until(self._timetable.next)
            await self._do_what_is_due()

    async def _do_what_is_due(self) -> None:
        try:
            self._take_due(self._clock())
        except Exception:  # a defect of ours must leave nobody waiting for good
            log.exception("The timetable of a watcher failed, and goes on")
            await self._sleep(PAUSE_AFTER_DEFECT_SECONDS)

    def _take_due(self, now: float) -> None:
        due = self._timetable.advance(now)
        if due.set_back:
            for feed in self._feeds:
                feed.set_back(due.set_back)
        _wake(due.late)
        for subscription in due.checks:
            feed = self._tasks if subscription.waits_for_tasks else self._runs
            # One that has joined meanwhile is checked once, to warn of the outage.
            if subscription.tolerance.is_tolerating or (feed.answers_nothing and subscription.is_warned_of_outage):
                feed.missed[subscription] = None
            else:
                _wake([subscription])
        if due.elapsed is None:
            return
        for feed in self._feeds:
            under_way = self._polls.get(feed)
            if under_way is None or under_way.done():
                if feed.subscriptions:
                    self._polls[feed] = asyncio.create_task(self._poll(feed, now, due.elapsed))
            elif feed.only_lists_fail:
                _wake(feed.take_turns(due.elapsed))

    async def _sleep_until(self, at: float) -> None:
        """Sleep; a wait that joins may be in more of a hurry, and a clock that is set back must be noticed."""
        self._wake.clear()
        self._sleeps_until = at
        waking: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        seconds = min(max(at - self._clock(), 0), self._timetable.shortest_interval)
        if seconds < float("inf"):
            waking.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waking:
                future.cancel()

    def _wake_before(self, at: float) -> None:
        if at < self._sleeps_until:
            self._wake.set()

    # Polls.

    async def _poll(self, feed: Feed[Any], now: float, elapsed: float) -> None:
        if feed.begin_poll():
            was_failing = feed.failing
            try:
                await self._list(feed, now)
            except AstroError as error:
                self._note_failed_list(feed, error, tolerated=feed.tolerates(error))
                await self._reload_if_outdated(error)
            except Exception as error:  # a defect of ours; the checks of the waits go on without the list
                log.exception("A list of finished %s failed", feed.rows_named)
                self._note_failed_list(feed, error, tolerated=True)
            else:
                if was_failing:
                    for subscription in feed.subscriptions:
                        subscription.is_warned_of_outage = subscription.tolerance.is_tolerating
                _wake(feed.take_missed(was_failing=was_failing))
        _wake(feed.take_turns(elapsed))
        under_way = self._batches.get(feed)
        if (under_way is None or under_way.done()) and (batches := feed.take_batches(elapsed)):
            self._batches[feed] = asyncio.create_task(self._check_batches(feed, batches))

    async def _check_batches(self, feed: Feed[Any], batches: Iterable[Batch]) -> None:
        """Check many waits by lists; one that is not as it was is checked individually, as its turn comes."""
        for batch in batches:
            await self._check_batch(feed, batch)

    async def _check_batch(self, feed: Feed[Any], batch: Batch) -> None:
        try:
            rows = await self._run(partial(feed.unfinished, batch=batch))
        except AstroError as error:
            feed.batch_failed(batch, error)
        except Exception as error:  # a defect of ours; the checks of the waits go on without the list
            log.exception("A list of unfinished %s failed", feed.rows_named)
            feed.batch_failed(batch, error)
        else:
            feed.batch_listed(batch, rows)

    async def _list(self, feed: Feed[T], now: float) -> None:  # type: ignore[type-var]
        """List what has finished, and wake whom it concerns."""
        if not feed.subscriptions:
            return  # the last wait has left since the poll began
        plan = feed.plan(now)
        listed = await self._run(lambda client: feed.finished(client, plan))
        _wake(feed.listed(listed, plan, now))
        if feed.lists_by_dag:
            self._warn_of_lists(feed, (await self._hook.client()).deployment)

    def _warn_of_lists(self, feed: Feed[Any], deployment: object) -> None:
        for subscription in feed.subscriptions:
            if not subscription.is_warned_of_lists:
                subscription.is_warned_of_lists = True
                subscription.warn(
                    f"The token may not list across dags in {deployment}: the dags are listed one by one, "
                    f"{MAX_DAGS_LISTED_PER_POLL} per poll."
                )

    def _note_failed_list(self, feed: Feed[Any], error: Exception, *, tolerated: bool) -> None:
        """Go on with checks: a list decides no wait."""
        if feed.failed(tolerated=tolerated):
            for subscription in feed.subscriptions:
                subscription.warn_of_outage(error)


def _wake(subscriptions: Iterable[Subscription]) -> None:
    for subscription in subscriptions:
        subscription.wake.set()


def _in_no_context(coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Begin a task that does not log as whoever happens to begin it: Airflow routes logs by context variables."""
    return contextvars.Context().run(asyncio.create_task, coroutine)

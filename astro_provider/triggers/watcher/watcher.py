"""The watcher of a connection: the entry point for waits."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from astro_provider.triggers.watcher.checker import Checker
from astro_provider.triggers.watcher.finished import FinishedRuns, FinishedTasks
from astro_provider.triggers.watcher.idle_dags import IdleDags
from astro_provider.triggers.watcher.idle_poller import IdlePoller
from astro_provider.triggers.watcher.joins import Joins
from astro_provider.triggers.watcher.paused_dags import PausedDags
from astro_provider.triggers.watcher.poll_loop import PollLoop
from astro_provider.triggers.watcher.poll_timetable import PollTimetable
from astro_provider.triggers.watcher.poller import Poller
from astro_provider.triggers.watcher.shared_checks import SharedChecks
from astro_provider.triggers.watcher.subscription import Subscription, wake_all
from astro_provider.triggers.watcher.target import Target
from astro_provider.waits.wait import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.hooks.astro_async import AsyncAstroHook
    from astro_provider.triggers.watcher.poll_timetable import Due
    from astro_provider.triggers.watcher.polled_waits import PolledWaits
    from astro_provider.triggers.watcher.poller import BasePoller
    from astro_provider.waits.wait import RunWait

T = TypeVar("T")

MAX_REQUESTS_AT_ONCE = 5
"""
Maximum number of requests of a watcher's other flows that are under way at the same time.

Measured: an API server of 3.3.2 can open 15 database connections by default, and needs more than one for a request that
triggers a dag run. With 16 such requests at the same time, one of 200 failed with a 500 after 30 seconds; with 100, the
API server did not respond for minutes. Check: raise this, and run ``python -m tests.benchmarks triggering``.
"""


class Watcher:
    """
    Watches the target of one connection for any number of waits.

    ``registry.shared_watcher`` creates and closes it; triggers call ``watch``, or ``shared_checks.check_until`` for
    waits that are for neither runs nor tasks.

    :param hook: the hook of the connection; ``close`` closes it
    :param clock: returns the time in seconds since the epoch
    :param sleep: coroutine function that sleeps for a number of seconds
    """

    def __init__(
        self,
        hook: AsyncAstroHook,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
    ) -> None:
        self.user_count = 0
        """Number of blocks of ``registry.shared_watcher`` that use this watcher."""
        self._slots = asyncio.Semaphore(MAX_REQUESTS_AT_ONCE)
        self._clock = clock
        self._timetable = PollTimetable(clock())
        self._target = Target(hook, self._timetable, clock)
        self._poll_loop = PollLoop(self._timetable, self._handle_due, clock, sleep)
        self._runs = FinishedRuns(clock)
        self._paused_dags = PausedDags(self._target, self._runs.availability, clock)
        self._checker = Checker(self._target, self._poll_loop, self._paused_dags, clock, sleep)
        self._tasks = FinishedTasks(clock)
        self._idle_dags = IdleDags(clock)
        self._joins = Joins(self._runs, self._checker, self._target, sleep)
        note_runs = partial(self._checker.note_runs, self._runs)
        self.shared_checks = SharedChecks(self._target, clock, sleep)
        """Checks the waits that are for neither runs nor tasks."""
        self._pollers: tuple[BasePoller, ...] = (
            Poller(self._runs, self._target, note_runs),
            Poller(self._tasks, self._target),
            IdlePoller(self._idle_dags, self._target),
        )

    async def watch(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        on_change: Callable[[Verdict], None],
        warn: Callable[[str], None],
        has_answered: bool = False,
        started_at: float | None = None,
        run: DagRun | None = None,
    ) -> Verdict:
        """
        Watch a wait, and return when it is over or its deadline has passed.

        On a worker, :func:`astro_provider.waits.loop.watch` does the same with a loop for a single wait.

        :param wait: the wait
        :param poke_interval: seconds between two polls
        :param deadline: when to give up, in seconds since the epoch; ``None`` for never
        :param on_change: called with each verdict that differs from the one before, until the wait is over
        :param warn: called with a message when the wait begins to tolerate errors, and if the run stays queued because
            its dag is paused. It runs with the context variables of the caller, by which Airflow finds the task's log
        :param has_answered: whether the target is known to have answered this wait before (see ``Tolerance``)
        :param started_at: when the wait began, in seconds since the epoch; by default now
        :param run: the run that the wait is for, if the caller has seen it within the last ``OVERLAP_SECONDS``. If it
            shows that the wait goes on, it replaces the first check
        :return: the verdict; its outcome is ``pending`` if the deadline came first
        :raise AstroError: a check of this wait failed with an error that is not tolerated
        """

        def report_if_pending(verdict: Verdict) -> None:
            if verdict.outcome == "pending":
                on_change(verdict)

        subscription = Subscription(
            wait,
            poke_interval=poke_interval,
            deadline=deadline,
            started_at=started_at,
            clock=self._clock,
            on_change=report_if_pending,
            warn=warn,
        )
        if run is not None or has_answered:
            subscription.note_answer()
        feed = self._feed_for(subscription)
        feed.join(subscription)
        self._poll_loop.join(subscription)
        try:
            is_known = run is not None and await self._note_run(feed, subscription, run)
            if is_known or self._joins.add(subscription):
                await subscription.woken.wait()
            return await self._check_until_over(feed, subscription)
        finally:
            self._joins.discard(subscription)
            self._paused_dags.leave(subscription)
            self._poll_loop.leave(subscription)
            feed.leave(subscription)

    async def run(self, make_flow: Callable[[Client], Flow[T]]) -> T:
        """
        Run a flow that is not part of a wait, with the session of the connection.

        At most ``MAX_REQUESTS_AT_ONCE`` requests of such flows are under way at the same time.

        :param make_flow: makes the flow from a client of the target
        :return: the result of the flow
        :raise AstroError: a request failed, or the connection cannot be read
        """
        return await self._target.run(make_flow, self._slots)

    async def deployment(self) -> str:
        """Return the name of the target, for messages."""
        return await self._target.name()

    async def close(self) -> None:
        """End the polls, and close the session."""
        await self._poll_loop.close()
        await self._joins.close()
        await self._paused_dags.close()
        await self.shared_checks.close()
        for poller in self._pollers:
            await poller.close()
        await self._target.close()

    def _feed_for(self, subscription: Subscription) -> PolledWaits:
        if subscription.wait.idle:
            return self._idle_dags
        return self._tasks if subscription.waits_for_tasks else self._runs

    async def _note_run(self, feed: PolledWaits, subscription: Subscription, run: DagRun) -> bool:
        client = await self._target.client()
        # A poll might have listed the run as finished before the wait joined. Then, no poll would wake the wait.
        return not self._runs.has_listed(run) and self._checker.note_run(feed, subscription, client, run)

    async def _check_until_over(self, feed: PolledWaits, subscription: Subscription) -> Verdict:
        while True:
            subscription.woken.clear()
            verdict = None
            # While the target is down, a check after the deadline would only delay the end of the wait.
            if not (feed.availability.is_down and subscription.is_past_deadline(self._clock())):
                verdict = await self._checker.check(feed, subscription)
            if verdict is not None and verdict.outcome != "pending":
                return verdict
            if subscription.is_past_deadline(self._clock()):
                return subscription.progress.last or Verdict.never_answered(subscription.wait)
            await subscription.woken.wait()

    def _handle_due(self, due: Due) -> None:
        """Wake the waits that are due, and begin the polls if these are due. The poll loop calls this."""
        if due.clock_moved_back:
            for poller in self._pollers:
                poller.waits.move_back(due.clock_moved_back)
        wake_all(due.past_deadline)
        for subscription in due.to_check:
            self._begin_scheduled_check(subscription)
        if due.elapsed is not None:
            for poller in self._pollers:
                poller.poll(due.now, due.elapsed)
            self._paused_dags.poll(due.now)

    def _begin_scheduled_check(self, subscription: Subscription) -> None:
        """
        Wake a wait whose scheduled check is due.

        The check is postponed instead if the last check of the wait has failed, or if the target is down and the wait
        has already warned of that.
        """
        feed = self._feed_for(subscription)
        is_known_outage = feed.availability.is_down and subscription.is_warned_of_outage
        if subscription.tolerance.is_tolerating or is_known_outage:
            feed.checks.postpone(subscription)
        else:
            subscription.wake()

"""The loop of a watcher: sleeps until something is due."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from astro_provider.triggers.watcher.poll_timetable import Due, PollTimetable
    from astro_provider.triggers.watcher.subscription import Subscription

log = logging.getLogger(__name__)

PAUSE_AFTER_BUG_SECONDS = 5.0
"""Seconds before the loop continues after an exception that only a bug of this package can cause."""


class PollLoop:
    """
    Runs a loop that sleeps until a poll, a check or a deadline is due, and then calls ``on_due``.

    ``Watcher.watch`` adds and removes waits. The first wait starts the loop, in an asyncio task of its own.

    :param timetable: knows what is due at which time
    :param on_due: called with what is due; must not block
    :param clock: returns the time in seconds since the epoch
    :param sleep: coroutine function that sleeps for a number of seconds
    """

    def __init__(
        self,
        timetable: PollTimetable,
        on_due: Callable[[Due], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._timetable = timetable
        self._on_due = on_due
        self._clock = clock
        self._sleep = sleep
        self._sleeps_until = float("inf")
        self._timetable_changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def join(self, subscription: Subscription) -> None:
        """
        Add the interval and the deadline of a wait to the timetable.

        :param subscription: the wait
        """
        self._timetable.join(subscription, self._clock())
        if self._loop is None:
            # In an empty context: otherwise, polls would log in the log of the task whose wait came first.
            self._loop = contextvars.Context().run(asyncio.create_task, self._run())
        self._interrupt_sleep()

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        self._timetable.leave(subscription)

    def schedule_check(self, subscription: Subscription, seconds: float | None) -> None:
        """
        Schedule the next check of a wait. This replaces an earlier schedule.

        :param subscription: the wait
        :param seconds: seconds from now; ``None`` for no scheduled check
        """
        self._timetable.schedule_check(subscription, None if seconds is None else self._clock() + seconds)
        self._interrupt_sleep()

    async def close(self) -> None:
        """End the loop."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None

    async def _run(self) -> None:
        while True:
            await self._sleep_until(self._timetable.next_due)
            try:
                self._on_due(self._timetable.advance(self._clock()))
            except Exception:  # if the loop ended, no wait would ever be woken again
                log.exception("A watcher failed to handle what was due, and continues")
                await self._sleep(PAUSE_AFTER_BUG_SECONDS)

    async def _sleep_until(self, at: float) -> None:
        """Sleep, but not longer than an interval, to notice a clock that moved backwards."""
        self._timetable_changed.clear()
        self._sleeps_until = at
        futures: list[asyncio.Future[object]] = [asyncio.ensure_future(self._timetable_changed.wait())]
        seconds = min(max(at - self._clock(), 0), self._timetable.poll_interval)
        if seconds < float("inf"):
            futures.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in futures:
                future.cancel()

    def _interrupt_sleep(self) -> None:
        """End the current sleep if something is due before it ends."""
        if self._timetable.next_due < self._sleeps_until:
            self._timetable_changed.set()

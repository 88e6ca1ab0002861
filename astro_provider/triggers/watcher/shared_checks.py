"""Checks that are no lists of runs or tasks: waits that request the same share one request per interval."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from astro_provider.api.durations import check_interval
from astro_provider.api.errors import AstroError
from astro_provider.triggers.watcher.checker import MAX_SECONDS_PAST_DEADLINE
from astro_provider.waits.loop import answers_again, still_waiting
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.target import Target

T = TypeVar("T")
V = TypeVar("V")

MAX_SHARED_CHECKS_AT_ONCE = 5
"""Maximum number of requests of these checks that are under way at the same time."""


class SharedChecks:
    """
    Checks waits that are for neither runs nor tasks, such as a wait for the response of an endpoint.

    :param target: the target
    :param clock: returns the time in seconds since the epoch
    :param sleep: coroutine function that sleeps for a number of seconds
    """

    def __init__(
        self,
        target: Target,
        clock: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._target = target
        self._clock = clock
        self._sleep = sleep
        self._slots = asyncio.Semaphore(MAX_SHARED_CHECKS_AT_ONCE)
        self._checks: dict[Hashable, _SharedCheck[Any]] = {}

    async def check_until(
        self,
        key: Hashable,
        make_flow: Callable[[Client], Flow[T]],
        judge: Callable[[T], Awaitable[V | None]],
        *,
        poke_interval: float,
        deadline: float | None,
        subject: str,
        warn: Callable[[str], None],
        has_answered: bool = False,
        started_at: float | None = None,
    ) -> V | None:
        """
        Run a flow again and again until its result is judged to end the wait.

        Waits with the same key share the flows: however many they are, one is run per interval. The interval follows
        the age of the wait, and is the shortest of all waits with this key. On a worker,
        :func:`astro_provider.waits.loop.check_until` does the same for a single wait.

        :param key: what the flow requests; equal for flows that return the same
        :param make_flow: makes the flow from a client of the target
        :param judge: called with each result, which it must not change because other waits get it, too; returns what
            this method returns, or ``None`` if the wait goes on
        :param poke_interval: the longest interval between two flows in seconds
        :param deadline: when to give up, in seconds since the epoch; ``None`` for never
        :param subject: what the wait is about, for messages
        :param warn: called with a message when the wait begins to tolerate errors, and when the target answers again
        :param has_answered: whether the target is known to have answered this wait before (see ``Tolerance``)
        :param started_at: when the wait began, in seconds since the epoch; by default now
        :return: what ``judge`` has returned; ``None`` if the deadline came first
        :raise AstroError: a flow failed with an error that is not tolerated
        """
        if (check := self._checks.get(key)) is None:
            check = self._checks[key] = _SharedCheck(make_flow, self._target, self._slots, self._clock, self._sleep)
        waiter = _Waiter(poke_interval, deadline, self._clock() if started_at is None else started_at)
        tolerance = Tolerance(self._clock, has_answered=has_answered)
        check.join(waiter)
        try:
            while (outcome := await check.next_outcome(waiter)) is not None:
                if isinstance(outcome.error, AstroError):
                    if not tolerance.tolerates(outcome.error, lambda error: warn(still_waiting(subject, error))):
                        raise outcome.error
                elif outcome.error is not None:
                    raise outcome.error
                else:
                    if tolerance.note_answer():
                        warn(answers_again(subject, await self._target.name()))
                    if (verdict := await judge(outcome.result)) is not None:
                        return verdict
                if waiter.deadline is not None and self._clock() >= waiter.deadline:
                    break
            return None
        finally:
            if check.leave(waiter):
                del self._checks[key]

    async def close(self) -> None:
        """End the checks that are under way."""
        await asyncio.gather(*(check.close() for check in self._checks.values()))


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    """What a request has returned, or its error."""

    number: int
    result: T
    error: Exception | None = None


class _Waiter:
    """One wait that uses the outcomes of a shared check."""

    def __init__(self, poke_interval: float, deadline: float | None, started_at: float) -> None:
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.started_at = started_at
        self.has_outcome = False
        self.last_number = 0
        """Number of the last request whose outcome the wait does not need: it has seen it, or joined later."""
        self.woken = asyncio.Event()

    def interval(self, now: float) -> float:
        """Return the seconds between two requests; those until the first one do not depend on the age of the wait."""
        return check_interval(now - self.started_at if self.has_outcome else 0, self.poke_interval)

    def next_request(self, last_request: float, now: float) -> float:
        """Return when the next request is due. One is due at the deadline, so that the wait ends with a recent one."""
        due = last_request + self.interval(now)
        return due if self.deadline is None or self.deadline <= last_request else min(due, self.deadline)


class _SharedCheck(Generic[T]):
    """Sends the same request again and again while anybody waits, in an asyncio task of its own."""

    def __init__(
        self,
        make_flow: Callable[[Client], Flow[T]],
        target: Target,
        slots: asyncio.Semaphore,
        clock: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._make_flow = make_flow
        self._target = target
        self._slots = slots
        self._clock = clock
        self._sleep = sleep
        self._waiters: set[_Waiter] = set()
        self._has_joined = asyncio.Event()
        self._requested_at = float("-inf")
        self._number = 0
        self._outcome: _Outcome[Any] | None = None
        # In an empty context: otherwise, its requests would log in the log of the task whose wait came first.
        self._loop = contextvars.Context().run(asyncio.create_task, self._run())

    def join(self, waiter: _Waiter) -> None:
        """Add a wait. It gets the outcomes of requests that begin from now on."""
        waiter.last_number = self._number
        self._waiters.add(waiter)
        self._has_joined.set()

    def leave(self, waiter: _Waiter) -> bool:
        """Remove a wait; end the requests and return ``True`` if it is the last one."""
        self._waiters.discard(waiter)
        if not self._waiters:
            self._loop.cancel()
        return not self._waiters

    async def next_outcome(self, waiter: _Waiter) -> _Outcome[Any] | None:
        """Wait for an outcome that the wait has not seen; return ``None`` if there is none soon after its deadline."""
        while self._outcome is None or self._outcome.number <= waiter.last_number:
            seconds = None
            if waiter.deadline is not None:
                seconds = max(waiter.deadline - self._clock(), 0) + MAX_SECONDS_PAST_DEADLINE
            waiter.woken.clear()
            if not await self._is_set_within(waiter.woken, seconds):
                return None
        waiter.last_number, waiter.has_outcome = self._outcome.number, True
        return self._outcome

    async def close(self) -> None:
        """End the requests."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._sleep_until_due()
            self._number += 1
            self._requested_at = self._clock()
            self._outcome = await self._request()
            for waiter in self._waiters:
                waiter.woken.set()

    async def _sleep_until_due(self) -> None:
        while True:
            self._has_joined.clear()
            now = self._clock()
            self._requested_at = min(self._requested_at, now)  # the clock might have moved backwards
            due = min((each.next_request(self._requested_at, now) for each in self._waiters), default=float("inf"))
            if due <= now:
                return
            interval = min((each.interval(now) for each in self._waiters), default=float("inf"))
            await self._is_set_within(self._has_joined, min(due - now, interval) if self._waiters else None)

    async def _request(self) -> _Outcome[Any]:
        try:
            try:
                return _Outcome(self._number, await self._target.run(self._make_flow, self._slots))
            except AstroError as error:
                await self._target.reload_if_outdated(error)
                return _Outcome(self._number, None, error)
        except Exception as error:  # only a bug of this package; the waits raise it
            return _Outcome(self._number, None, error)

    async def _is_set_within(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for an event; return ``False`` if it is not set within a number of seconds, ``None`` for no limit."""
        if seconds is None:
            return await event.wait()
        futures = asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            for future in futures:
                future.cancel()

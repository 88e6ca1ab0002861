"""When the next poll, the scheduled checks and the deadlines of waits are due. Pure: time is an argument."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_provider.triggers.watcher.subscription import Subscription


@dataclass(frozen=True)
class Due:
    """
    What is due at one point in time.

    :param now: that time, in seconds since the epoch
    :param past_deadline: the waits whose deadline has passed
    :param to_check: the waits whose scheduled check is due
    :param elapsed: if a poll is due, the seconds since the last one, at most two intervals; ``None`` if no poll is due
    :param clock_moved_back: 0 unless the clock has moved backwards; otherwise the seconds by which it has, plus
        one interval
    """

    now: float
    past_deadline: list[Subscription]
    to_check: list[Subscription]
    elapsed: float | None
    clock_moved_back: float


class PollTimetable:
    """
    The times of polls, scheduled checks and deadlines.

    The interval between two polls is the shortest current interval of all waits. It is computed at each poll, and a
    wait that joins can make the next poll earlier. ``PollLoop`` calls ``advance`` at ``next_due``.

    :param now: seconds since the epoch
    """

    def __init__(self, now: float) -> None:
        self._subscriptions: dict[Subscription, None] = {}
        self._heap: list[tuple[float, int, Subscription]] = []  # the number keeps subscriptions from being compared
        self._numbers = count()
        self._advanced_at = now
        self._polled_at = now
        self._next_poll = float("inf")
        self.poll_interval = float("inf")
        """Seconds between two polls; infinite if there were no waits at the last one."""

    @property
    def next_due(self) -> float:
        """When to call ``advance`` again, in seconds since the epoch."""
        return min(self._next_poll, self._heap[0][0]) if self._heap else self._next_poll

    def join(self, subscription: Subscription, now: float) -> None:
        """
        Add the interval and the deadline of a wait.

        :param subscription: the wait
        :param now: seconds since the epoch
        """
        self._subscriptions[subscription] = None
        interval = subscription.current_interval(now)
        self.poll_interval = min(self.poll_interval, interval)
        self._next_poll = min(self._next_poll, now + interval)
        if subscription.deadline is not None:
            self._push(subscription.deadline, subscription)

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        del self._subscriptions[subscription]
        if len(self._heap) > 4 * len(self._subscriptions) + 64:  # most entries are of waits that have left
            self._heap = [entry for entry in self._heap if entry[2] in self._subscriptions]
            heapq.heapify(self._heap)

    def schedule_check(self, subscription: Subscription, at: float | None) -> None:
        """
        Schedule the next check of a wait. This replaces an earlier schedule, so checks do not pile up.

        :param subscription: the wait
        :param at: seconds since the epoch; ``None`` for no scheduled check
        """
        subscription.check_at = at
        if at is not None:
            self._push(at, subscription)

    def advance(self, now: float) -> Due:
        """
        Remove what is due from the timetable.

        :param now: seconds since the epoch
        :return: what is due
        """
        moved_back = max(self._advanced_at - now, 0.0)
        if moved_back:
            # How much of the current interval has passed is unknown: assume all of it, so that nothing is late.
            interval = self.poll_interval if self._subscriptions else 0.0
            moved_back += interval
            self._move_back(moved_back)
            self._polled_at, self._next_poll = now - interval, now
        self._advanced_at = now
        elapsed = None
        if now >= self._next_poll:
            # A machine that was suspended does not make up for the checks of the whole time.
            elapsed = min(now - self._polled_at, 2 * self.poll_interval)
            self._polled_at = now
            intervals = (each.current_interval(now) for each in self._subscriptions)
            self.poll_interval = min(intervals, default=float("inf"))
            self._next_poll = now + self.poll_interval
        past_deadline, to_check = self._pop(now)
        return Due(now, past_deadline, to_check, elapsed, moved_back)

    def _push(self, at: float, subscription: Subscription) -> None:
        heapq.heappush(self._heap, (at, next(self._numbers), subscription))

    def _pop(self, now: float) -> tuple[list[Subscription], list[Subscription]]:
        past_deadline, to_check = [], []
        while self._heap and self._heap[0][0] <= now:
            at, _, subscription = heapq.heappop(self._heap)
            if subscription not in self._subscriptions:
                continue
            if at == subscription.deadline:
                past_deadline.append(subscription)
            elif at == subscription.check_at:  # else another check was scheduled instead
                to_check.append(subscription)
        return past_deadline, to_check

    def _move_back(self, seconds: float) -> None:
        """Shift scheduled checks and starts, so that pauses and ages stay the same. Deadlines are times of day."""
        self._heap.clear()
        for subscription in self._subscriptions:
            subscription.started_at -= seconds
            if subscription.check_at is not None:
                self.schedule_check(subscription, subscription.check_at - seconds)
            if subscription.deadline is not None:
                self._push(subscription.deadline, subscription)

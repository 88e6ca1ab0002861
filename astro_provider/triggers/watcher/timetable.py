"""When the next poll is due, and which waits are due for a check of their own. Pure: it is called with the time."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_provider.triggers.watcher.subscription import Subscription


@dataclass(frozen=True)
class Due:
    """
    What is due at a time.

    :param late: subscriptions whose deadline has come
    :param checks: subscriptions whose own time for a check has come
    :param elapsed: seconds since the last poll was due, ``None`` where the next one is not due yet
    :param set_back: seconds by which the clock was set back since the last time
    """

    late: list[Subscription]
    checks: list[Subscription]
    elapsed: float | None
    set_back: float


class Timetable:
    """
    Polls once per shortest interval of all subscriptions.

    :param now: seconds since the epoch
    """

    def __init__(self, now: float) -> None:
        self._subscriptions: dict[Subscription, None] = {}
        self._intervals: Counter[float] = Counter()
        self._due: list[tuple[float, int, Subscription]] = []
        self._numbers = count()
        self._seen = now
        self._polled = now

    @property
    def shortest_interval(self) -> float:
        """Seconds between two polls."""
        return min(self._intervals, default=float("inf"))

    @property
    def next(self) -> float:
        """When to call ``advance`` again, in seconds since the epoch."""
        next_poll = self._polled + self.shortest_interval
        return min(next_poll, self._due[0][0]) if self._due else next_poll

    def join(self, subscription: Subscription) -> None:
        """Go by its interval and its deadline from now on."""
        self._subscriptions[subscription] = None
        self._intervals[subscription.poke_interval] += 1
        if subscription.deadline is not None:
            self._add(subscription.deadline, subscription)

    def leave(self, subscription: Subscription) -> None:
        """Forget it."""
        del self._subscriptions[subscription]
        self._intervals[subscription.poke_interval] -= 1
        self._intervals += Counter()  # drops what nobody has any more
        if len(self._due) > 4 * len(self._subscriptions) + 64:  # most of them are of those who have left
            self._due = [entry for entry in self._due if entry[2] in self._subscriptions]
            heapq.heapify(self._due)

    def check_at(self, subscription: Subscription, at: float | None) -> None:
        """Have it checked then, and no more at the time that was set before."""
        subscription.check_at = at
        if at is not None:
            self._add(at, subscription)

    def advance(self, now: float) -> Due:
        """Take what is due."""
        set_back = max(self._seen - now, 0.0)
        if set_back:
            # How much of an interval is over is not known: better early than late.
            set_back += min(self._intervals, default=0.0)
            self._set_back(set_back)
            self._polled = now - self.shortest_interval
        self._seen = now
        elapsed = now - self._polled
        if elapsed < self.shortest_interval:
            return Due(*self._take(now), None, set_back)
        self._polled = now
        # A machine that was suspended has not left that many checks undone.
        return Due(*self._take(now), min(elapsed, 2 * self.shortest_interval), set_back)

    def _add(self, at: float, subscription: Subscription) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), subscription))

    def _take(self, now: float) -> tuple[list[Subscription], list[Subscription]]:
        late, checks = [], []
        while self._due and self._due[0][0] <= now:
            at, _, subscription = heapq.heappop(self._due)
            if subscription not in self._subscriptions:
                continue
            if at == subscription.deadline:
                late.append(subscription)
            elif at == subscription.check_at:
                checks.append(subscription)
        return late, checks

    def _set_back(self, seconds: float) -> None:
        """Keep the length of pauses when the clock is set back; a deadline is a time of day."""
        self._due.clear()
        for subscription in self._subscriptions:
            if subscription.check_at is not None:
                self.check_at(subscription, subscription.check_at - seconds)
            if subscription.deadline is not None:
                self._add(subscription.deadline, subscription)

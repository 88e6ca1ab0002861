"""Decides which waits of a feed are checked next although no list has shown a change."""

from __future__ import annotations

from collections import Counter, OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from astro_provider.triggers.watcher.batches import Batches
from astro_provider.triggers.watcher.periodic_check_rate import PeriodicCheckRate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from astro_provider.triggers.watcher.availability import Availability
    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.subscription import Subscription

MAX_WAITS_WITHOUT_BATCHES = 3
"""Maximum number of waits that are all checked individually. If there are more, those that can be batched are
checked in batches, which takes fewer requests."""

MAX_RETRIES_PER_POLL = 10
"""Maximum number of failed checks that are repeated after a poll, while lists succeed."""


class PeriodicChecks:
    """
    The waits of a feed in the order of their last check, and those whose check was postponed.

    The poller takes from here which waits to check after each poll; the checker notes here which checks succeeded.

    :param availability: whether the target answers lists and checks
    """

    def __init__(self, availability: Availability) -> None:
        self.batches = Batches()
        """The waits that are checked in batches."""
        self._availability = availability
        self._by_last_check: OrderedDict[Subscription, None] = OrderedDict()
        self._postponed: OrderedDict[Subscription, None] = OrderedDict()
        self._intervals: Counter[float] = Counter()
        self._rate = PeriodicCheckRate()

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """All waits of the feed, beginning with the one whose last check is the oldest."""
        return self._by_last_check

    def join(self, subscription: Subscription) -> None:
        """
        Add a wait.

        :param subscription: the wait
        """
        self._by_last_check[subscription] = None
        self._intervals[subscription.poke_interval] += 1

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        del self._by_last_check[subscription]
        self._postponed.pop(subscription, None)
        self._intervals[subscription.poke_interval] -= 1
        self._intervals += Counter()  # drops intervals that no wait has
        self.batches.discard(subscription)

    def note_check(self, subscription: Subscription, *, can_be_batched: bool) -> None:
        """
        Note that the check of a wait has succeeded.

        :param subscription: the wait
        :param can_be_batched: whether its next periodic check can be part of a batch
        """
        self._postponed.pop(subscription, None)
        if subscription in self._by_last_check:
            self._by_last_check.move_to_end(subscription)
            self.batches.discard(subscription)
            if can_be_batched:
                self.batches.add(subscription)

    def postpone(self, subscription: Subscription) -> None:
        """
        Check a wait as soon as the target answers again.

        :param subscription: the wait, whose check failed, or was not made because the target is down
        """
        self._postponed[subscription] = None

    def take_postponed(self, *, is_outage_over: bool) -> list[Subscription]:
        """
        Take waits whose check was postponed.

        :param is_outage_over: whether to take all of them, because lists succeed again, or only a few
        """
        number = len(self._postponed) if is_outage_over else min(MAX_RETRIES_PER_POLL, len(self._postponed))
        return [self._postponed.popitem(last=False)[0] for _ in range(number)]

    def take_single(self, elapsed: float) -> list[Subscription]:
        """
        Take the waits that are to be checked individually now.

        :param elapsed: seconds since the last call
        """
        candidates: Iterable[Subscription] = self._by_last_check
        if self._availability.is_down:
            number = int(self._availability.is_turn_of_checks)
        elif self._availability.lists_fail:
            number = self._rate.take_without_lists(elapsed, self._intervals)
        else:
            if len(self._by_last_check) > MAX_WAITS_WITHOUT_BATCHES:
                # The first check of a wait is made when it joins, and is not a periodic one.
                candidates = [each for each in self._by_last_check if each.check_count and each not in self.batches]
            number = self._rate.take(elapsed, Counter(each.poke_interval for each in candidates))
        taken = list(islice(candidates, number))
        for subscription in taken:
            self._by_last_check.move_to_end(subscription)
        return taken

    def take_batches(self, elapsed: float, *, by_dag: bool) -> list[Batch]:
        """
        Take the batches that are to be checked by lists now.

        :param elapsed: seconds since the last call
        :param by_dag: whether the token is only allowed to list the runs of one dag at a time
        """
        if self._availability.lists_fail or len(self._by_last_check) <= MAX_WAITS_WITHOUT_BATCHES:
            return []
        return self.batches.take(elapsed, by_dag=by_dag)

"""The waits that are answered by the same polls, and how these polls fare."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, ClassVar

from astro_provider.triggers.watcher.availability import Availability
from astro_provider.triggers.watcher.periodic_checks import PeriodicChecks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from astro_provider.triggers.watcher.subscription import Subscription

MAX_DAGS_LISTED_PER_POLL = 10
"""Maximum number of list requests per poll (not counting further pages) if the token is not allowed to list across
dags. Each poll lists the dags that have not been listed for the longest time."""

RETRY_LIST_SECONDS = 300.0
"""Seconds before a list that was refused is tried again. For lists across dags, the time doubles with each refusal."""

MAX_RETRY_LIST_SECONDS = 3600.0
"""Maximum number of seconds before a list across dags is tried again."""


class PolledWaits(ABC):
    """
    The waits that are answered by the same polls.

    The checker calls ``note_check`` after each successful check.

    :param clock: returns the time in seconds since the epoch
    """

    rows_name: ClassVar[str]
    """The name of the rows of the lists in messages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.availability = Availability(clock)
        self.checks = PeriodicChecks(self.availability)
        self._clock = clock
        self._by_dag_until: float | None = None  # when to retry lists across dags; None if they are allowed
        self._by_dag_seconds = RETRY_LIST_SECONDS

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """All waits, beginning with the one that has not been checked for the longest time."""
        return self.checks.subscriptions

    @property
    def lists_by_dag(self) -> bool:
        """Whether the token is not allowed to list across dags, as far as is known."""
        return self._by_dag_until is not None

    def join(self, subscription: Subscription) -> None:
        """
        Add a wait.

        :param subscription: the wait
        """
        self.checks.join(subscription)
        if subscription.has_answered:
            self.availability.note_earlier_answer()

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        self.checks.leave(subscription)

    def move_back(self, seconds: float) -> None:
        """
        Shift all stored times after the clock moved backwards.

        :param seconds: by how many seconds
        """
        if self._by_dag_until is not None:
            self._by_dag_until -= seconds

    def note_check(self, subscription: Subscription) -> None:
        """
        Note that the check of a wait has succeeded.

        :param subscription: the wait
        """
        self.availability.note_check()
        self.note_state(subscription)

    def note_state(self, subscription: Subscription) -> None:
        """
        Note that the state of what a wait is for is known, by a check or without one.

        :param subscription: the wait
        """
        self.checks.note_check(subscription, can_be_batched=False)

    def _must_list_by_dag(self, now: float) -> bool:
        return self._by_dag_until is not None and now < self._by_dag_until

    def _note_list_across_dags(self) -> None:
        self._by_dag_until, self._by_dag_seconds = None, RETRY_LIST_SECONDS

    def _note_refused_list(self, now: float) -> None:
        """Note that a list across dags was refused."""
        self._by_dag_until = now + self._by_dag_seconds
        self._by_dag_seconds = min(2 * self._by_dag_seconds, MAX_RETRY_LIST_SECONDS)

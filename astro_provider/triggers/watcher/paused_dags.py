"""Warns waits whose run stays queued because its dag is paused, with one request for each dag."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api.errors import AstroError
from astro_provider.waits.paused import QUEUED_SECONDS, is_queued, paused_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from astro_provider.triggers.watcher.availability import Availability
    from astro_provider.triggers.watcher.subscription import Subscription
    from astro_provider.triggers.watcher.target import Target
    from astro_provider.waits.wait import Verdict

log = logging.getLogger(__name__)


class PausedDags:
    """
    Requests the dags of runs that are queued for longer than ``QUEUED_SECONDS``, and warns if they are paused.

    Each wait is warned once at most, and one request serves all waits for the same dag that are due.

    :param target: the target
    :param availability: whether the target answers
    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, target: Target, availability: Availability, clock: Callable[[], float]) -> None:
        self._target = target
        self._availability = availability
        self._clock = clock
        self._due: dict[Subscription, float] = {}  # in the order of the times
        self._task: asyncio.Task[None] | None = None

    def note_first(self, subscription: Subscription, verdict: Verdict) -> None:
        """
        Note the first verdict of a wait.

        :param subscription: the wait
        :param verdict: the verdict
        """
        if is_queued(subscription.wait, verdict):
            self._due[subscription] = self._clock() + QUEUED_SECONDS

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        self._due.pop(subscription, None)

    def poll(self, now: float) -> None:
        """
        Begin to request the dags that are due, unless the target is down or the last requests are still under way.

        :param now: seconds since the epoch
        """
        if self._availability.is_down or (self._task is not None and not self._task.done()):
            return
        if by_dag := self._take_due(now):
            self._task = contextvars.Context().run(asyncio.create_task, self._warn(by_dag))

    async def close(self) -> None:
        """End the requests that are under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _take_due(self, now: float) -> dict[str, list[Subscription]]:
        by_dag: dict[str, list[Subscription]] = defaultdict(list)
        for subscription, at in list(self._due.items()):
            if now < at <= now + QUEUED_SECONDS:  # a later time is from before the clock moved backwards
                break
            del self._due[subscription]
            if subscription.progress.last and is_queued(subscription.wait, subscription.progress.last):
                by_dag[subscription.wait.dag_id].append(subscription)
        return by_dag

    async def _warn(self, by_dag: dict[str, list[Subscription]]) -> None:
        for dag_id, subscriptions in by_dag.items():
            try:
                warning = await self._target.run(partial(paused_warning, dag_id=dag_id))
            except AstroError:
                continue  # the wait does not depend on the warning
            except Exception:  # only a bug of this package
                log.exception("The request of a dag failed")
                continue
            if warning:
                await self._warn_each(subscriptions, warning)

    @staticmethod
    async def _warn_each(subscriptions: Iterable[Subscription], warning: str) -> None:
        for subscription in subscriptions:
            subscription.warn(warning)
            await asyncio.sleep(0)  # lets the event loop run other triggers

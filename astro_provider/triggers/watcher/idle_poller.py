"""The polls that answer waits for idle dags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.triggers.watcher.poller import BasePoller
from astro_provider.triggers.watcher.subscription import wake_all

if TYPE_CHECKING:
    from astro_provider.triggers.watcher.idle_dags import IdleDags
    from astro_provider.triggers.watcher.target import Target


class IdlePoller(BasePoller):
    """
    Finds the dags that might be idle, and wakes a wait for each of them.

    While lists succeed, there are no periodic checks: each round shows the state of every dag, not only changes.

    :param dags: decides what is listed, and finds the waits to wake
    :param target: the target
    """

    def __init__(self, dags: IdleDags, target: Target) -> None:
        super().__init__(dags, target)
        self._dags = dags

    async def _list_and_wake(self, now: float) -> None:
        wake_all(self._dags.note_idle(await self._target.run(self._dags.find_idle)))

    def _begin_checks(self, elapsed: float) -> None:
        if self._dags.availability.lists_fail:
            wake_all(self._dags.checks.take_single(elapsed))

"""The target Deployment, as a watcher reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS
from astro_provider.waits.transient import OUTDATED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.errors import AstroError
    from astro_provider.api.flow import Flow
    from astro_provider.hooks.astro_async import AsyncAstroHook
    from astro_provider.triggers.watcher.poll_timetable import PollTimetable

T = TypeVar("T")


class Target:
    """
    Runs flows for the checker and the pollers of a watcher, and reads the Airflow connection again.

    :param hook: the hook of the connection; ``close`` closes it
    :param timetable: knows the interval of polls
    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, hook: AsyncAstroHook, timetable: PollTimetable, clock: Callable[[], float]) -> None:
        self._hook = hook
        self._timetable = timetable
        self._clock = clock
        self._reloaded_at = float("-inf")

    async def run(self, make_flow: Callable[[Client], Flow[T]], slots: asyncio.Semaphore | None = None) -> T:
        """
        Run a flow.

        :param make_flow: makes the flow from a client of the target
        :param slots: see :meth:`AsyncAstroHook.run`
        :return: the result of the flow
        :raise AstroError: a request failed, or the connection cannot be read
        """
        return await self._hook.run(make_flow(await self.client()), slots)

    async def client(self) -> Client:
        """Return the client of the target, which stays the same when the connection is read again."""
        return await self._hook.client()

    async def name(self) -> str:
        """Return the name of the Deployment, for messages."""
        return str((await self.client()).deployment)

    async def reload_if_outdated(self, error: AstroError) -> None:
        """
        Read the connection again, at most once per poll, after an error that a new token or another URL would resolve.

        If nothing is polled, it is read at most once per ``DEFAULT_POKE_INTERVAL_SECONDS``.

        :param error: the error of a check or a list
        """
        elapsed, interval = self._clock() - self._reloaded_at, self._timetable.poll_interval
        min_seconds = interval if interval < float("inf") else DEFAULT_POKE_INTERVAL_SECONDS
        if isinstance(error, OUTDATED) and not 0 <= elapsed < min_seconds:
            self._reloaded_at = self._clock()
            await self._hook.reload_connection()

    async def close(self) -> None:
        """Close the session."""
        await self._hook.close()

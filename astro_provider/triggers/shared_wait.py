"""How a trigger waits with the watcher of its connection, which it shares with other triggers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from astro_provider.api.errors import AstroError, ConnectionUnreadableError
from astro_provider.tasks.task_state import MIN_SUSPENSION_SECONDS
from astro_provider.triggers.events import error_event
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.loop import still_waiting
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from astro_provider.triggers.events import EventPayload
    from astro_provider.triggers.watcher.watcher import Watcher

UNREADABLE_PAUSE_SECONDS = 10.0
"""Seconds before a connection that could not be read is read again, whatever the ``poke_interval`` is."""


async def leave_time_for_deferral(deadline: float | None) -> None:
    """
    Sleep until Airflow has noticed that the task was deferred; see ``MIN_SUSPENSION_SECONDS``.

    :param deadline: when to wake at the latest, in seconds since the epoch; ``None`` for no limit
    """
    seconds = MIN_SUSPENSION_SECONDS
    if deadline is not None:
        seconds = min(seconds, max(deadline - time.time(), 0))
    await asyncio.sleep(seconds)


async def event_from_watcher(
    http_conn_id: str,
    wait: Callable[[Watcher], Awaitable[EventPayload]],
    *,
    subject: str,
    warn: Callable[[str], None],
    has_answered: bool,
) -> EventPayload:
    """
    Wait with the watcher of a connection, and return the payload of the event that ends the wait.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param wait: waits with the watcher, and returns the payload; called again if the connection could not be read
    :param subject: what the wait is about, for messages
    :param warn: called with a message when a connection that cannot be read begins to be tolerated and, unless the
        target has answered this task before, if the token of the connection expires soon
    :param has_answered: whether the target is known to have answered this task before
    :return: the payload of ``wait``, or that of an error that is not tolerated
    """
    tolerance = Tolerance(has_answered=has_answered)

    def warn_of_error(error: AstroError) -> None:
        warn(still_waiting(subject, error))

    while True:
        try:
            async with shared_watcher(http_conn_id, None if has_answered else warn) as watcher:
                return await wait(watcher)
        except ConnectionUnreadableError as error:  # from the first read; after that, the watcher keeps its connection
            if not tolerance.tolerates(error, warn_of_error):
                return error_event(error)
        except AstroError as error:
            return error_event(error)
        await asyncio.sleep(UNREADABLE_PAUSE_SECONDS)

"""Which waits share a watcher."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from astro_provider.hooks.astro_async import AsyncAstroHook
from astro_provider.triggers.watcher.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_watchers: dict[tuple[int, str, str], Watcher] = {}


@asynccontextmanager
async def watching(http_conn_id: str) -> AsyncIterator[Watcher]:
    """
    Share the watcher of a connection, among those who have read the same from it.

    Connections with different ids share nothing, even if they are equal: one of them may be edited later, and the
    watcher reads only its own again. The first one in makes the watcher, the last one out ends its poll and closes its
    session.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :raise ConnectionConfigError: a field of the connection is wrong
    :raise ConnectionUnreadableError: there is no such connection, or it cannot be read now
    """
    hook = AsyncAstroHook(http_conn_id)
    key = (id(asyncio.get_running_loop()), http_conn_id, (await hook.client()).deployment.fingerprint)
    watcher = _watchers.get(key)
    if watcher is None:
        watcher = _watchers[key] = Watcher(hook)
    watcher.users += 1
    try:
        yield watcher
    finally:
        watcher.users -= 1
        if not watcher.users:
            del _watchers[key]
            await watcher.close()

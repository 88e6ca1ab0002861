"""The watchers of this process, one per event loop and Airflow connection."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from astro_provider.hooks.astro_async import AsyncAstroHook
from astro_provider.triggers.watcher.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_watchers: dict[tuple[int, str, str], Watcher] = {}


@asynccontextmanager
async def shared_watcher(http_conn_id: str, warn: Callable[[str], None] | None = None) -> AsyncIterator[Watcher]:
    """
    Use the watcher of a connection.

    Blocks share a watcher if they use the same connection id and have read the same values from the connection. The
    first block creates the watcher. When the last block is left, the polls end and the session is closed.

    Connections with different ids share no watcher, even if their values are equal: one of them might be edited later,
    and a watcher reads only its own connection again.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param warn: called with a message if the token of the connection expires soon; ``None`` (the default) for a task
        whose log has this message already
    :raise ConnectionConfigError: a field of the connection is wrong
    :raise ConnectionUnreadableError: the connection does not exist, or cannot be read now
    """
    hook = AsyncAstroHook(http_conn_id)
    deployment = (await hook.client()).deployment
    if warn is not None and (warning := deployment.expiry_warning(time.time())) is not None:
        warn(warning)
    key = (id(asyncio.get_running_loop()), http_conn_id, deployment.fingerprint)
    watcher = _watchers.get(key)
    if watcher is None:
        watcher = _watchers[key] = Watcher(hook)
    watcher.user_count += 1
    try:
        yield watcher
    finally:
        watcher.user_count -= 1
        if not watcher.user_count:
            del _watchers[key]
            await watcher.close()

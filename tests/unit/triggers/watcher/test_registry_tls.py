"""TLS settings of connections that have equal URLs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.client import Client
from astro_provider.api.errors import CertificateError
from astro_provider.triggers.watcher.registry import shared_watcher
from tests.unit.scripted_target import TOKEN
from tests.unit.tls import certificate, tls_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.types import Dag
    from astro_provider.triggers.watcher.watcher import Watcher
    from tests.unit.scripted_server import ScriptedServer

__all__ = ["certificate", "tls_server"]


async def get_dag(watcher: Watcher) -> Dag:
    return await watcher._target.run(partial(Client.get_dag, dag_id="d"))


async def test_connection_that_verifies_certificates_shares_no_watcher_with_one_that_does_not(
    tls_server: ScriptedServer,
    connect: Callable[..., None],
    pauses: list[float],
) -> None:
    connect(tls_server.url, password=TOKEN, extra={"verify": False}, conn_id="lax_conn")
    async with AsyncExitStack() as stack:
        lax = await stack.enter_async_context(shared_watcher("lax_conn"))
        assert (await get_dag(lax))["dag_id"] == "d"
        strict = await stack.enter_async_context(shared_watcher("http_conn"))
        with pytest.raises(CertificateError):
            await get_dag(strict)
    assert len(tls_server.received) == 1

"""All threads and event loops of a process share one token request."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit import payloads
from tests.unit.hooks.both_hooks import get_dag_async
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_server import ScriptedServer
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

MANY = 20


@pytest.fixture
def slow(server: ScriptedServer, connect: Callable[..., None]) -> ScriptedServer:
    """A target that needs a moment to issue a token."""

    def make_token(_: ReceivedRequest) -> ScriptedResponse:
        time.sleep(0.3)
        return json_response({"access_token": "fetched-1", "expires_in": 3600})

    connect(server.url, extra={"client_id": "a", "client_secret": "hidden-1", "token_url": f"{server.url}/token"})
    server.on("POST", "/token", make_token)
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    return server


async def get_dags_async() -> list[str]:
    async with AsyncAstroHook() as hook:
        return [dag["dag_id"] for dag in await asyncio.gather(*(get_dag_async(hook) for _ in range(MANY)))]


def get_dag_blocking(_: int) -> str:
    with AstroHook() as hook:
        return hook.get_dag("d")["dag_id"]


def test_threads_and_an_event_loop_share_one_fetch(slow: ScriptedServer) -> None:
    with ThreadPoolExecutor(MANY + 1) as threads:
        on_a_loop = threads.submit(lambda: asyncio.run(get_dags_async()))
        on_threads = list(threads.map(get_dag_blocking, range(MANY)))
    assert on_threads + on_a_loop.result() == ["d"] * 2 * MANY
    assert slow.calls_received.count("POST /token") == 1
    assert {received.headers["authorization"] for received in slow.received if received.method == "GET"} == {
        "Bearer fetched-1"
    }


async def test_next_task_fetches_the_token_if_a_fetching_task_is_cancelled(slow: ScriptedServer) -> None:
    async with AsyncAstroHook() as hook:
        first = asyncio.create_task(get_dag_async(hook))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(get_dag_async(hook))
        await asyncio.sleep(0)
        first.cancel()
        assert (await asyncio.wait_for(second, 10))["dag_id"] == "d"

"""AsyncAstroHook: what only this hook has; ``test_http`` tests both hooks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import AstroError, ConnectionConfigError, ConnectionUnreadableError
from astro_provider.hooks import astro_async
from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit import payloads
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from tests.unit.scripted_server import ScriptedServer


async def test_flow_is_run_with_its_pauses(server: ScriptedServer, pauses: list[float]) -> None:
    server.on(
        "GET",
        "dags/d",
        json_response({}, 503),
        json_response({}, 429, Retry_After="7"),
        json_response(payloads.v2.dag()),
    )
    async with AsyncAstroHook() as hook:
        client = await hook.client()
        dag = await hook.run(client.get_dag("d"))
    assert (dag["dag_id"], pauses) == ("d", [1, 7])


async def test_pause_does_not_block_the_event_loop(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, enough = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        begun.set()
        await enough.wait()

    monkeypatch.setattr(astro_async, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    server.on("GET", "dags/d", json_response({}, 503), json_response(payloads.v2.dag()))
    async with AsyncAstroHook() as hook:
        client = await hook.client()
        running = asyncio.create_task(hook.run(client.get_dag("d")))
        await begun.wait()
        assert not running.done()
        enough.set()
        assert (await running)["dag_id"] == "d"


async def test_missing_connection_is_an_error() -> None:
    hook = AsyncAstroHook("nowhere_conn")
    with pytest.raises(ConnectionUnreadableError, match="There is no such connection: 'nowhere_conn'"):
        await hook.client()
    await hook.close()


async def test_wrong_field_of_the_connection_is_an_error(connect: Callable[..., None]) -> None:
    connect("x", extra={"api_version": "v9"})
    with pytest.raises(ConnectionConfigError, match="expected v1"):
        await AsyncAstroHook().client()


async def test_connection_is_read_again_only_after_the_hook_was_closed(
    server: ScriptedServer, connect: Callable[..., None]
) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    hook = AsyncAstroHook()
    client = await hook.client()
    assert await hook.client() is client
    await hook.run(client.get_dag("d"))
    connect(server.url, password="another-token")
    await hook.run(client.get_dag("d"))
    await hook.close()
    await hook.run((await hook.client()).get_dag("d"))
    await hook.close()
    sent = [received.headers["authorization"] for received in server.received]
    assert (sent[0] == sent[1], sent[2]) == (True, "Bearer another-token")
    assert server.connections == 2


async def test_hooks_that_open_at_the_same_time_share_one_read_of_the_connection(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, read_count = astro_async.get_async_connection, 0

    async def count_reads(conn_id: str) -> Any:
        nonlocal read_count
        read_count += 1
        await asyncio.sleep(0)
        return await read(conn_id)

    monkeypatch.setattr(astro_async, "get_async_connection", count_reads)
    cancelled = asyncio.create_task(AsyncAstroHook().client())
    opening = [asyncio.create_task(AsyncAstroHook(conn_id).client()) for conn_id in ("http_conn", "http_conn", "no")]
    await asyncio.sleep(0)
    cancelled.cancel()
    first, second, missing = await asyncio.gather(*opening, return_exceptions=True)
    assert isinstance(missing, ConnectionUnreadableError)
    assert not isinstance(first, BaseException)
    assert not isinstance(second, BaseException)
    assert first.deployment == second.deployment
    assert read_count == 2  # one for each connection id
    await AsyncAstroHook().client()
    assert read_count == 3


async def test_both_hooks_share_what_was_learned(server: ScriptedServer, connect: Callable[..., None]) -> None:
    connect(server.url, login="admin", password="admin")
    server.on("POST", "/auth/token", json_response({"access_token": "fetched-1"}, 201))
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    async with AsyncAstroHook() as hook:
        await hook.run((await hook.client()).get_dag("d"))
    await asyncio.to_thread(AstroHook().get_dag, "d")
    assert server.calls_received.count("POST /auth/token") == 1


async def test_one_hook_runs_many_flows_concurrently(server: ScriptedServer) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    async with AsyncAstroHook() as hook:
        client = await hook.client()
        dags = await asyncio.gather(*(hook.run(client.get_dag("d")) for _ in range(20)))
    assert [dag["dag_id"] for dag in dags] == ["d"] * 20
    assert len(server.received) == 20


@pytest.mark.parametrize(
    ("method", "arguments", "flow"),
    [
        ("list_dags", (), lambda client: client.list_dags()),
        ("get_dag", ("d",), lambda client: client.get_dag("d")),
        ("pause_dag", ("d",), lambda client: client.set_paused("d", paused=True)),
        ("unpause_dag", ("d",), lambda client: client.set_paused("d", paused=False)),
        ("trigger_dag_run", ("d",), lambda client: client.trigger_dag_run("d")),
        ("get_dag_run", ("d", "r"), lambda client: client.get_dag_run("d", "r")),
        ("list_dag_runs", ("d",), lambda client: client.list_dag_runs("d")),
        ("clear_dag_run", ("d", "r"), lambda client: client.clear_dag_run("d", "r", only_failed=False)),
        ("cancel_dag_run", ("d", "r"), lambda client: client.cancel_dag_run("d", "r")),
        ("list_task_instances", ("d", "r"), lambda client: client.list_task_instances("d", "r")),
        ("get_task_log", ("d", "r", "t"), lambda client: client.get_task_log("d", "r", "t")),
        ("get_xcom", ("d", "r", "t"), lambda client: client.get_xcom("d", "r", "t")),
        ("list_pools", (), lambda client: client.list_pools()),
        ("request", ("GET", "dags"), lambda client: client.request("GET", "dags")),
    ],
)
@pytest.mark.usefixtures("clock")
async def test_both_hooks_send_the_same_requests(
    server: ScriptedServer, method: str, arguments: tuple[str, ...], flow: Callable[[Client], Flow[Any]]
) -> None:
    """The server refuses all requests; the requests until then are the same."""
    with AstroHook() as blocking, pytest.raises(AstroError):
        getattr(blocking, method)(*arguments)
    calls_received, server.received[:] = (
        [(received.method, received.path, received.body) for received in server.received],
        [],
    )
    async with AsyncAstroHook() as hook:
        client = await hook.client()
        with pytest.raises(AstroError):
            await hook.run(flow(client))
    assert calls_received
    assert [(received.method, received.path, received.body) for received in server.received] == calls_received


async def test_a_large_answer_is_read_whole(server: ScriptedServer) -> None:
    server.on("GET", "dags/d", json_response({**payloads.v2.dag(), "description": "x" * 1_000_000}))
    async with AsyncAstroHook() as hook:
        client = await hook.client()
        dag = await hook.run(client.get_dag("d"))
    assert len(dag["description"]) == 1_000_000  # type: ignore[typeddict-item]

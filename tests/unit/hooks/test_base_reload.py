"""Both hooks read the Airflow connection again after ``reload_connection``, or after a refusal during a wait."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import BaseHook
from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit import payloads
from tests.unit.hooks.both_hooks import get_dag_async
from tests.unit.scripted_server import ScriptedServer
from tests.unit.scripted_target import TOKEN, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

RUN = "dags/d/dagRuns/r"
REFUSED = json_response({"detail": "Signature has expired"}, 401)


class ChangeAndReload:
    """Gets a dag with one of the hooks, changes the connection, reloads it, and gets the dag again."""

    def __init__(self, *, blocking: bool) -> None:
        self.blocking = blocking

    def __call__(self, change: Callable[[], None], *, reloads: int = 1) -> None:
        if self.blocking:
            with AstroHook() as hook:
                hook.get_dag("d")
                change()
                for _ in range(reloads):
                    hook.reload_connection()
                hook.get_dag("d")
            return
        asyncio.run(self._main(change, reloads))

    @staticmethod
    async def _main(change: Callable[[], None], reloads: int) -> None:
        async with AsyncAstroHook() as hook:
            await get_dag_async(hook)
            change()
            for _ in range(reloads):
                await hook.reload_connection()
            await get_dag_async(hook)


@pytest.fixture(params=["blocking", "async"])
def change_and_reload(request: pytest.FixtureRequest) -> ChangeAndReload:
    return ChangeAndReload(blocking=request.param == "blocking")


@pytest.fixture
def dag(server: ScriptedServer) -> ScriptedServer:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    return server


def tokens(server: ScriptedServer) -> list[str]:
    return [received.headers["authorization"] for received in server.received]


def test_the_next_request_is_sent_with_the_new_token(
    dag: ScriptedServer, connect: Callable[..., None], change_and_reload: ChangeAndReload
) -> None:
    change_and_reload(lambda: connect(dag.url, password="another-token"))
    assert tokens(dag) == [f"Bearer {TOKEN}", "Bearer another-token"]
    assert dag.connections == 1, "the session is kept where only the token has changed"


def test_the_next_request_goes_to_the_new_url_with_the_new_options(
    dag: ScriptedServer, connect: Callable[..., None], change_and_reload: ChangeAndReload
) -> None:
    with ScriptedServer() as elsewhere:
        elsewhere.on("GET", "dags/d", json_response(payloads.v2.dag()))
        change_and_reload(lambda: connect(elsewhere.url, password="another-token", extra={"timeout": 7}))
        assert (len(dag.received), tokens(elsewhere)) == (1, ["Bearer another-token"])


def test_new_options_make_a_new_session(
    dag: ScriptedServer, connect: Callable[..., None], change_and_reload: ChangeAndReload
) -> None:
    change_and_reload(lambda: connect(dag.url, password=TOKEN, extra={"timeout": 7}))
    assert dag.connections == 2


@pytest.mark.parametrize(
    "broken", [lambda connect: connect("x", extra={"api_version": "v9"}), lambda connect: connect("")]
)
def test_connection_with_a_wrong_field_is_not_used_after_a_reload(
    dag: ScriptedServer,
    connect: Callable[..., None],
    change_and_reload: ChangeAndReload,
    broken: Callable[..., None],
    log_lines: list[str],
) -> None:
    change_and_reload(lambda: broken(connect), reloads=3)
    assert tokens(dag) == [f"Bearer {TOKEN}"] * 2
    [warning] = [line for line in log_lines if "as it was read before" in line]
    assert "Connection 'http_conn', field " in warning


def test_deleted_connection_stays_in_use_after_a_reload(
    dag: ScriptedServer, change_and_reload: ChangeAndReload, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    change_and_reload(lambda: monkeypatch.delenv("AIRFLOW_CONN_HTTP_CONN"))
    assert tokens(dag) == [f"Bearer {TOKEN}"] * 2
    assert "There is no such connection" in log_lines[-1]


async def test_concurrent_reloads_share_one_read(dag: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    async with AsyncAstroHook() as hook:
        await hook.client()
        read = AsyncAstroHook._read_connection

        async def counted(self: AsyncAstroHook) -> object:
            nonlocal reads
            reads += 1
            await asyncio.sleep(0.01)
            return await read(self)

        monkeypatch.setattr(AsyncAstroHook, "_read_connection", counted)
        await asyncio.gather(*(hook.reload_connection() for _ in range(50)))
    assert reads == 1


async def test_requests_that_were_sent_before_a_reload_succeed(
    server: ScriptedServer, connect: Callable[..., None]
) -> None:
    arrived, reloaded = threading.Event(), threading.Event()

    def answer(_: ReceivedRequest) -> ScriptedResponse:
        arrived.set()
        reloaded.wait(10)
        return json_response(payloads.v2.dag())

    server.on("GET", "dags/d", answer)
    async with AsyncAstroHook() as hook:
        first = asyncio.create_task(get_dag_async(hook))
        assert await asyncio.to_thread(arrived.wait, 10)
        connect(server.url, password=TOKEN, extra={"timeout": 7})
        await hook.reload_connection()
        reloaded.set()
        assert (await first)["dag_id"] == "d"


def test_blocking_wait_continues_with_a_rotated_token(
    server: ScriptedServer, connect: Callable[..., None], pauses: list[float]
) -> None:
    def rotate(_: ReceivedRequest) -> ScriptedResponse:
        connect(server.url, password="another-token")
        return REFUSED

    run = payloads.v2.dag_run()
    server.on(
        "GET", RUN, json_response({**run, "state": "running"}), rotate, json_response({**run, "state": "success"})
    )
    with AstroHook() as hook:
        assert hook.wait_for_dag_run("d", "r")["state"] == "success"
    assert tokens(server) == [f"Bearer {TOKEN}"] * 2 + ["Bearer another-token"]


def test_reload_does_not_read_a_connection_that_was_not_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHook, "get_connection", lambda conn_id: pytest.fail("no request needs it yet"))
    AstroHook().reload_connection()
    asyncio.run(AsyncAstroHook().reload_connection())

"""What differs between the Airflow versions that the package runs in."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION, ask_supervisor, get_async_connection


async def test_a_blocking_call_returns_what_the_function_returns() -> None:
    assert await ask_supervisor(lambda *arguments: arguments, 1, 2) == (1, 2)


async def test_a_blocking_call_goes_on_when_its_caller_is_cancelled() -> None:
    """An answer of the supervisor that nobody reads would be read by the next one who asks, in Airflow 3.0 and 3.1."""
    from asgiref.sync import async_to_sync

    began, may_end, ended = asyncio.Event(), asyncio.Event(), threading.Event()

    async def asend() -> None:
        """Ask on the triggerer's event loop, as its blocking `send` does."""
        began.set()
        await may_end.wait()
        ended.set()

    calling = asyncio.create_task(ask_supervisor(lambda: async_to_sync(asend)()))
    await began.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    may_end.set()
    await asyncio.to_thread(ended.wait, 5)
    assert ended.is_set()


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and up")
async def test_airflow_dags_test_reads_connections_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs triggers in its own process, with a supervisor that has no asynchronous calls."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ConnectionResult, GetConnection
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    fields = dict.fromkeys(("schema", "login", "password", "port", "extra"))
    stored = ConnectionResult(conn_id="of_the_database", conn_type="http", host="there", **fields)

    def handle(message: Any, log: Any, request_id: int) -> None:
        comms.messages.append(stored if message == GetConnection(conn_id=stored.conn_id) else None)

    comms = InProcessSupervisorComms(supervisor=SimpleNamespace(_handle_request=handle))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    connection, extra = await get_async_connection("of_the_database")
    assert (connection.host, extra) == ("there", {})

"""The differences between the Airflow versions that the package runs in."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.airflow_versions import (
    AIRFLOW_VERSION,
    CAN_START_FROM_TRIGGER,
    BaseOperator,
    call_supervisor,
    get_async_connection,
    given_parameters,
    has_post_execute,
    has_pre_execute,
    task_state_store,
    triggers_have_on_kill,
)


async def test_blocking_call_returns_what_the_function_returns() -> None:
    assert await call_supervisor(lambda *arguments: arguments, 1, 2) == (1, 2)


async def test_blocking_call_continues_when_its_caller_is_cancelled() -> None:
    """In Airflow 3.0 and 3.1, the next call would read the response to a call that was cancelled."""
    from asgiref.sync import async_to_sync

    started, can_end, ended = asyncio.Event(), asyncio.Event(), threading.Event()

    async def asend() -> None:
        """Wait on the triggerer's event loop, as its blocking `send` does."""
        started.set()
        await can_end.wait()
        ended.set()

    calling = asyncio.create_task(call_supervisor(lambda: async_to_sync(asend)()))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    can_end.set()
    await asyncio.to_thread(ended.wait, 5)
    assert ended.is_set()


def test_given_parameters_are_those_of_the_constructor_call() -> None:
    given = given_parameters(BaseOperator(task_id="a", retries=None))
    assert {"task_id", "retries"} <= given
    assert "queue" not in given


def test_pre_and_post_execute_functions_are_found() -> None:
    hooks: list[dict[str, Any]] = [{}, {"pre_execute": print}, {"post_execute": print}]
    operators = [BaseOperator(task_id="a", **options) for options in hooks]
    assert [has_pre_execute(operator) for operator in operators] == [False, True, False]
    assert [has_post_execute(operator) for operator in operators] == [False, False, True]


def test_missing_private_name_of_airflow_is_an_error() -> None:
    renamed: Any = object()
    with pytest.raises(AttributeError, match="_pre_execute_hook"):
        has_pre_execute(renamed)
    with pytest.raises(AttributeError, match="_post_execute_hook"):
        has_post_execute(renamed)
    with pytest.raises(AttributeError, match="_BaseOperator__init_kwargs"):
        given_parameters(renamed)


def test_task_state_store_is_none_before_airflow_3_3() -> None:
    store: Any = object()
    assert task_state_store({}) is None
    assert task_state_store({"task_state_store": store}) is store  # type: ignore[typeddict-item]  # a fake store


def test_triggers_have_on_kill_since_airflow_3_3() -> None:
    assert triggers_have_on_kill() is CAN_START_FROM_TRIGGER


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and up")
async def test_airflow_dags_test_reads_connections_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs triggers in its own process, with a supervisor that has no asynchronous calls."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ConnectionResult, GetConnection
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    fields = dict.fromkeys(("schema", "login", "password", "port", "extra"))
    stored = ConnectionResult(conn_id="stored", conn_type="http", host="example.com", **fields)

    def handle(message: Any, log: Any, request_id: int) -> None:
        comms.messages.append(stored if message == GetConnection(conn_id=stored.conn_id) else None)

    comms = InProcessSupervisorComms(supervisor=SimpleNamespace(_handle_request=handle))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    connection, extra = await get_async_connection("stored")
    assert (connection.host, extra) == ("example.com", {})

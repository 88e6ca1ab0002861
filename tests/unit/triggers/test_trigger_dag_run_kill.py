"""When the trigger of a trigger operator cancels the remote run: a user has ended the task."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.tasks import task_state
from tests.unit.operators.trigger_operators import RUN_ID, add_clashing_run
from tests.unit.triggers.factory import run_trigger
from tests.unit.triggers.factory import trigger_dag_run_trigger as started_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "clock", "xcoms"),
]

WAIT = {"wait_for_completion": True}


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch, xcoms: dict[str, Any]) -> Callable[[str], None]:
    """Return a function that sets the state of the task."""
    from airflow.sdk.execution_time.xcom import XCom

    monkeypatch.setattr(task_state, "CHECK_PAUSE_SECONDS", 0)
    monkeypatch.setattr(XCom, "get_one", lambda **key: xcoms.get(key["key"]))
    return lambda state: monkeypatch.setattr(task_state, "task_state", lambda ti: state)


async def end_during_the_wait(trigger: Any, clock: FakeClock, *, user_action: bool = True) -> None:
    """End a trigger at the first sleep of its wait, as Airflow does."""
    waiting = asyncio.Event()
    clock.at_sleep = waiting.set
    running = asyncio.create_task(run_trigger(trigger))
    await asyncio.wait_for(waiting.wait(), 30)
    await end(trigger, running, user_action=user_action)


async def end(trigger: Any, running: asyncio.Task[Any], *, user_action: bool = True) -> None:
    """Do what ``TriggerRunner.run_trigger`` does when a user has ended the task, or when the triggerer stops."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    if user_action:
        await trigger.on_kill()
    await trigger.cleanup()


@pytest.mark.parametrize("state", ["failed", "success", "scheduled", "running"])
async def test_user_who_ends_the_task_cancels_the_run(
    any_airflow: FakeAirflowServer,
    clock: FakeClock,
    task_is: Callable[[str], None],
    log_lines: list[str],
    state: str,
) -> None:
    any_airflow.new_run_states = ["queued", "running"]
    task_is(state)
    await end_during_the_wait(started_trigger(**WAIT), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert any(line.startswith("Cancelled: dag 'd', its run was ") for line in log_lines)


async def test_another_triggerer_that_takes_over_cancels_nothing(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str], None], log_lines: list[str]
) -> None:
    fake_airflow.new_run_states = ["queued", "running"]
    task_is("deferred")
    await end_during_the_wait(started_trigger(**WAIT), clock)
    assert fake_airflow.runs[RUN_ID]["state"] != "failed"
    assert any(line.startswith("Not cancelled: dag 'd': the task still waits for it") for line in log_lines)


async def test_triggerer_that_stops_cancels_nothing(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str], None]
) -> None:
    fake_airflow.new_run_states = ["queued", "running"]
    task_is("failed")
    await end_during_the_wait(started_trigger(**WAIT), clock, user_action=False)
    assert fake_airflow.runs[RUN_ID]["state"] != "failed"


@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"on_existing_run": "attach"}], ids=str)
async def test_run_that_the_task_must_not_cancel_goes_on(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str], None], options: dict[str, Any]
) -> None:
    clash = {} if "cancel_on_kill" in options else add_clashing_run(fake_airflow, "run id", "running")
    fake_airflow.new_run_states = ["running"]
    task_is("failed")
    await end_during_the_wait(started_trigger(**clash, **WAIT, **options), clock)
    assert all(run["state"] in ("queued", "running") for run in fake_airflow.runs.values())


@pytest.mark.parametrize("attached", [True, None])
async def test_attached_run_is_not_cancelled_after_a_restart_of_the_triggerer(
    fake_airflow: FakeAirflowServer,
    clock: FakeClock,
    task_is: Callable[[str], None],
    xcoms: dict[str, Any],
    attached: bool | None,
) -> None:
    clash = add_clashing_run(fake_airflow, "run id", "running")
    xcoms.update({"trigger_run_id": "theirs", "astro_trigger_dag_run": {"attached": attached}})
    task_is("failed")
    await end_during_the_wait(started_trigger(**clash, **WAIT, on_existing_run="attach"), clock)
    assert fake_airflow.runs["theirs"]["state"] == "running"


async def test_user_who_ends_the_task_during_the_request_cancels_the_run_that_it_creates(
    fake_airflow: FakeAirflowServer, task_is: Callable[[str], None], xcoms: dict[str, Any]
) -> None:
    handled, released = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def respond_when_released(received: Any) -> Any:
        response = fake_airflow.stored_response(received)
        loop.call_soon_threadsafe(handled.set)
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(30)
        return response

    fake_airflow.new_run_states = ["running"]
    fake_airflow.on("POST", "dags/d/dagRuns", respond_when_released)
    task_is("deferred")
    trigger = started_trigger(**WAIT)
    running = asyncio.create_task(run_trigger(trigger))
    await asyncio.wait_for(handled.wait(), 30)
    xcoms["trigger_run_id"] = "of the next try"  # the user has cleared the task, which is deferred again
    running.cancel()
    killing = asyncio.create_task(trigger.on_kill())
    await asyncio.sleep(0)
    await trigger.cleanup()  # below Python 3.12, Airflow calls it while on_kill still runs
    released.set()
    await killing
    assert fake_airflow.runs[RUN_ID]["state"] == "failed"
    assert xcoms == {"trigger_run_id": "of the next try"}


async def test_user_who_ends_a_task_that_does_not_wait_cancels_nothing(
    fake_airflow: FakeAirflowServer, task_is: Callable[[str], None]
) -> None:
    task_is("failed")
    trigger = started_trigger()
    await run_trigger(trigger)
    await trigger.on_kill()
    assert fake_airflow.runs[RUN_ID]["state"] != "failed"

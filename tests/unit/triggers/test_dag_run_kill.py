"""When the trigger cancels the remote run: a user has ended its task, or the deadline has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import BaseTrigger

from astro_provider.airflow_versions import XCom
from astro_provider.tasks import cancel, task_state
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_server import SILENCE
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, TaskInstance
from tests.unit.triggers.factory import dag_run_trigger, only_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/theirs"

ENDED = ("failed", "success", "skipped", "scheduled", "queued", "running", None)
"""States of a task that is no longer deferred; a task that a user cleared is scheduled, queued and running again."""


@pytest.fixture
def states_read() -> list[str]:
    """Ids of the tasks whose state was read from Airflow; see ``set_state``."""
    return []


@pytest.fixture
def set_state(monkeypatch: pytest.MonkeyPatch, states_read: list[str]) -> Callable[..., None]:
    """Return a function that sets the state of the waiting task, and the run that it waits for now."""

    def set_state(state: str | None, run_id: str = "theirs") -> None:
        def read_state(ti: Any) -> str | None:
            states_read.append(ti.task_id)
            return state

        monkeypatch.setattr(task_state, "CHECK_PAUSE_SECONDS", 0)
        monkeypatch.setattr(task_state, "task_state", read_state)
        monkeypatch.setattr(XCom, "get_one", staticmethod(lambda **_: run_id))

    return set_state


def cancelling_trigger(**options: Any) -> AstroDagRunTrigger:
    """Create a trigger with ``cancel_on_kill``, in the triggerer."""
    trigger = dag_run_trigger(**{"cancel_on_kill": True, **options})
    trigger.task_instance = TaskInstance()
    return trigger


# Airflow 3.3 and later call on_kill


@pytest.mark.parametrize("state", ENDED)
async def test_on_kill_cancels_the_run_of_an_ended_task(
    any_airflow: FakeAirflowServer, log_lines: list[str], set_state: Callable[..., None], state: str | None
) -> None:
    set_state(state)
    any_airflow.has_run("theirs", "running")
    await cancelling_trigger().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "failed"
    assert any(line.startswith("Cancelled: dag 'd', its run was running in ") for line in log_lines)


async def test_on_kill_cancels_nothing_when_another_triggerer_takes_over(
    any_airflow: FakeAirflowServer, log_lines: list[str], set_state: Callable[..., None]
) -> None:
    """Airflow 3.3 calls on_kill in the first triggerer as well, if it sent no heartbeat for a while."""
    set_state("deferred")
    any_airflow.has_run("theirs", "running")
    await cancelling_trigger().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "running"
    assert "Not cancelled: dag 'd': the task still waits for it\nRun: theirs" in log_lines


async def test_on_kill_cancels_the_run_if_the_cleared_task_waits_for_another_one(
    any_airflow: FakeAirflowServer, set_state: Callable[..., None]
) -> None:
    set_state("deferred", "theirs~2")
    any_airflow.has_run("theirs", "running")
    await cancelling_trigger().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "failed"


async def test_on_kill_cancels_nothing_if_the_state_of_the_task_cannot_be_read(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(ti: Any) -> str:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(task_state, "task_state", fail)
    fake_airflow.has_run("theirs", "running")
    await cancelling_trigger().on_kill()
    assert fake_airflow.runs["theirs"]["state"] == "running"


@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"run_id": None, "latest": True}])
async def test_on_kill_cancels_only_a_run_id_with_cancel_on_kill(
    any_airflow: FakeAirflowServer, options: dict[str, Any], set_state: Callable[..., None], states_read: list[str]
) -> None:
    set_state("failed")
    any_airflow.has_run("theirs", "running")
    await cancelling_trigger(**options).on_kill()
    assert (any_airflow.received, states_read) == ([], [])


@pytest.mark.parametrize("state", ["success", "failed"])
async def test_on_kill_does_not_change_a_finished_run(
    any_airflow: FakeAirflowServer, set_state: Callable[..., None], state: str
) -> None:
    """Cancelling marks a run as failed, which would turn a success into a failure."""
    set_state("success")
    any_airflow.has_run("theirs", state)
    await cancelling_trigger().on_kill()
    assert any_airflow.runs["theirs"]["state"] == state
    assert not [received for received in any_airflow.received if received.method == "PATCH"]


async def test_on_kill_does_not_change_a_run_in_an_end_state(
    any_airflow: FakeAirflowServer, set_state: Callable[..., None]
) -> None:
    set_state("success")
    any_airflow.has_run("theirs", "running")
    await cancelling_trigger(end_states=EndStates(["running"])).on_kill()
    assert any_airflow.runs["theirs"]["state"] == "running"


async def test_on_kill_logs_that_a_run_could_not_be_cancelled(
    fake_airflow: FakeAirflowServer, log_lines: list[str], set_state: Callable[..., None]
) -> None:
    set_state("failed")
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("PATCH", RUN, json_response({"detail": "no"}, 403))
    await cancelling_trigger().on_kill()
    assert any(line.startswith("Could not be cancelled: dag 'd': ") for line in log_lines)


async def test_on_kill_gives_up_on_a_target_that_does_not_respond(
    fake_airflow: FakeAirflowServer,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[str],
    set_state: Callable[..., None],
) -> None:
    monkeypatch.setattr(cancel, "MAX_CANCEL_SECONDS", 0.2)
    set_state("failed")
    fake_airflow.on("GET", RUN, SILENCE)
    await cancelling_trigger().on_kill()
    assert any("Could not be cancelled: dag 'd': it took longer than 0.2 s" in line for line in log_lines)


# Cancellation of the coroutine


async def cancel_until_ended(trigger: AstroDagRunTrigger, airflow: FakeAirflowServer) -> None:
    """Start a trigger, and cancel it during its first request, again and again until it has ended, as triggerers do."""
    loop = asyncio.get_running_loop()
    started = asyncio.Event()

    def stay_silent(received: Any) -> Any:
        loop.call_soon_threadsafe(started.set)
        return SILENCE

    airflow.on("GET", RUN, stay_silent, airflow.stored_response)
    task = asyncio.create_task(trigger.run().__anext__())
    await started.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("state", "options", "final_state"),
    [
        *[(state, {}, "failed") for state in ENDED],
        ("failed", {"cancel_on_kill": False}, "running"),
        ("deferred", {}, "running"),
    ],
)
async def test_cancelled_trigger_cancels_the_run_of_an_ended_task_before_airflow_3_3(
    any_airflow: FakeAirflowServer,
    monkeypatch: pytest.MonkeyPatch,
    set_state: Callable[..., None],
    states_read: list[str],
    state: str | None,
    options: dict[str, Any],
    final_state: str,
) -> None:
    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    set_state(state)
    any_airflow.has_run("theirs", "running")
    await cancel_until_ended(cancelling_trigger(**options), any_airflow)
    assert any_airflow.runs["theirs"]["state"] == final_state
    assert set(states_read) == (set() if options else {"trigger"})


@pytest.mark.skipif(not hasattr(BaseTrigger, "on_kill"), reason="Airflow 3.3 and later")
async def test_cancelled_trigger_cancels_nothing_from_airflow_3_3_on(
    fake_airflow: FakeAirflowServer, set_state: Callable[..., None]
) -> None:
    set_state("failed")
    fake_airflow.has_run("theirs", "running")
    await cancel_until_ended(cancelling_trigger(), fake_airflow)
    assert fake_airflow.runs["theirs"]["state"] == "running"


async def test_on_kill_finishes_although_it_is_cancelled_repeatedly(
    any_airflow: FakeAirflowServer, set_state: Callable[..., None]
) -> None:
    """Airflow 3.3 cancels the asyncio task that calls on_kill whenever it synchronizes with its supervisor."""
    set_state("failed")
    any_airflow.has_run("theirs", "running")
    killing = asyncio.create_task(cancelling_trigger().on_kill())
    await asyncio.sleep(0)
    while not killing.done():
        killing.cancel()
        await asyncio.sleep(0.001)
    assert any_airflow.runs["theirs"]["state"] == "failed"


# The deadline


async def test_deadline_cancels_the_run(any_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    payload = await only_payload(cancelling_trigger(poke_interval=25, deadline=NOW.timestamp() + 60))
    assert (payload["outcome"], sum(clock.sleeps)) == ("timeout", pytest.approx(60, abs=0.01))
    assert any_airflow.runs["theirs"]["state"] == "failed"
    where = f"Deployment {any_airflow.url} (connection 'http_conn')"
    cancelled = f"Cancelled: dag 'd', its run was running in {where}"
    assert payload["message"].startswith(f"Running: dag 'd' in {where}\n  {cancelled}\nRun: theirs\n")
    assert len([line for line in log_lines if line.startswith(cancelled)]) == 1


async def test_deadline_does_not_cancel_the_run_without_cancel_on_kill(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    payload = await only_payload(
        cancelling_trigger(cancel_on_kill=False, poke_interval=25, deadline=NOW.timestamp() + 60)
    )
    assert (payload["outcome"], any_airflow.runs["theirs"]["state"]) == ("timeout", "running")
    assert payload["message"].startswith("Running: dag 'd' in ")

"""What the trigger does about the remote run when its task is ended, by a user or by a timeout."""

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
from tests.unit.triggers.test_dag_run import RUN, event, trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

ENDED = ("failed", "success", "skipped", "scheduled", "queued", "running", None)
"""States of a task that is not deferred any more. One that a user cleared is scheduled, queued and running again."""


@pytest.fixture
def calls_received(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks whose state Airflow was asked for; which one it is, ``task_is`` says."""
    return []


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch, calls_received: list[str]) -> Any:
    """Set the state of the waiting task, and which run it waits for."""

    def task_is(state: str | None, run_id: str = "theirs") -> None:
        monkeypatch.setattr(task_state, "task_state", lambda ti: (calls_received.append(ti.task_id), state)[1])
        monkeypatch.setattr(XCom, "get_one", staticmethod(lambda **_: run_id))

    return task_is


def waiting(**options: Any) -> AstroDagRunTrigger:
    made = trigger(**{"cancel_on_kill": True, **options})
    made.task_instance = TaskInstance()  # type: ignore[assignment]
    return made


# Airflow 3.3 and up call on_kill.


@pytest.mark.parametrize("state", ENDED)
async def test_on_kill_cancels_the_run(
    any_airflow: FakeAirflowServer, log_lines: list[str], task_is: Any, state: str | None
) -> None:
    task_is(state)
    any_airflow.has_run("theirs", "running")
    await waiting().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "failed"
    assert "Cancelled the run of dag 'd', which was running: theirs" in log_lines


async def test_a_triggerer_that_hands_its_triggers_over_cancels_nothing(
    any_airflow: FakeAirflowServer, log_lines: list[str], task_is: Any
) -> None:
    """Airflow 3.3 calls on_kill there as well, after the triggerer had no heartbeat for a while."""
    task_is("deferred")
    any_airflow.has_run("theirs", "running")
    await waiting().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "running"
    assert "The run of dag 'd' goes on, as the task still waits for it" in log_lines


async def test_a_task_that_was_cleared_and_waits_for_another_run_has_left_this_one(
    any_airflow: FakeAirflowServer, task_is: Any
) -> None:
    task_is("deferred", "theirs~2")
    any_airflow.has_run("theirs", "running")
    await waiting().on_kill()
    assert any_airflow.runs["theirs"]["state"] == "failed"


async def test_nothing_is_cancelled_where_the_state_cannot_be_read(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(ti: Any) -> str:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(task_state, "task_state", unknown)
    fake_airflow.has_run("theirs", "running")
    await waiting().on_kill()
    assert fake_airflow.runs["theirs"]["state"] == "running"


@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"run_id": None, "latest": True}])
async def test_on_kill_cancels_nothing_else(
    any_airflow: FakeAirflowServer, options: dict[str, Any], task_is: Any, calls_received: list[str]
) -> None:
    task_is("failed")
    any_airflow.has_run("theirs", "running")
    await waiting(**options).on_kill()
    assert (any_airflow.received, calls_received) == ([], [])


@pytest.mark.parametrize("state", ["success", "failed"])
async def test_a_run_that_is_over_is_left_alone(any_airflow: FakeAirflowServer, task_is: Any, state: str) -> None:
    """Marking it failed would make a failure of its success."""
    task_is("success")
    any_airflow.has_run("theirs", state)
    await waiting().on_kill()
    assert any_airflow.runs["theirs"]["state"] == state
    assert not [received for received in any_airflow.received if received.method == "PATCH"]


async def test_a_run_in_a_state_that_ends_the_wait_is_left_alone(any_airflow: FakeAirflowServer, task_is: Any) -> None:
    task_is("success")
    any_airflow.has_run("theirs", "running")
    await waiting(end_states=EndStates(["running"])).on_kill()
    assert any_airflow.runs["theirs"]["state"] == "running"


async def test_a_run_that_cannot_be_cancelled_is_warned_of(
    fake_airflow: FakeAirflowServer, log_lines: list[str], task_is: Any
) -> None:
    task_is("failed")
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("PATCH", RUN, json_response({"detail": "no"}, 403))
    await waiting().on_kill()
    assert any(line.startswith("The run of dag 'd' could not be cancelled") for line in log_lines)


async def test_a_target_that_does_not_answer_does_not_keep_the_triggerer(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, log_lines: list[str], task_is: Any
) -> None:
    monkeypatch.setattr(cancel, "MAX_CANCEL_SECONDS", 0.2)
    task_is("failed")
    fake_airflow.on("GET", RUN, SILENCE)
    await waiting().on_kill()
    assert any("could not be cancelled: it took longer than 0.2 s" in line for line in log_lines)


# Being cancelled.


async def cancelled(waiting: AstroDagRunTrigger, fake_airflow: FakeAirflowServer) -> None:
    """Start a trigger, and cancel it while it waits, again and again until it has ended, as triggerers do."""
    started = asyncio.Event()
    fake_airflow.on(
        "GET",
        RUN,
        lambda received: (loop.call_soon_threadsafe(started.set), SILENCE)[1],
        fake_airflow.stored_response,
    )
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(waiting.run().__anext__())  # type: ignore[arg-type]
    await started.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("state", "options", "after"),
    [
        *[(state, {}, "failed") for state in ENDED],
        ("failed", {"cancel_on_kill": False}, "running"),
        ("deferred", {}, "running"),
    ],
)
async def test_before_airflow_3_3_the_state_of_the_task_tells_why_it_is_cancelled(
    any_airflow: FakeAirflowServer,
    monkeypatch: pytest.MonkeyPatch,
    task_is: Any,
    calls_received: list[str],
    state: str | None,
    options: dict[str, Any],
    after: str,
) -> None:
    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    task_is(state)
    any_airflow.has_run("theirs", "running")
    await cancelled(waiting(**options), any_airflow)
    assert any_airflow.runs["theirs"]["state"] == after
    assert calls_received == ([] if options else ["trigger"])


@pytest.mark.skipif(not hasattr(BaseTrigger, "on_kill"), reason="Airflow 3.3 and up")
async def test_from_airflow_3_3_on_being_cancelled_cancels_nothing(
    fake_airflow: FakeAirflowServer, task_is: Any
) -> None:
    task_is("failed")
    fake_airflow.has_run("theirs", "running")
    await cancelled(waiting(), fake_airflow)
    assert fake_airflow.runs["theirs"]["state"] == "running"


async def test_on_kill_is_finished_though_it_is_cancelled_again_and_again(
    any_airflow: FakeAirflowServer, task_is: Any
) -> None:
    """Airflow 3.3 cancels the task that calls on_kill at every synchronisation with its supervisor."""
    task_is("failed")
    any_airflow.has_run("theirs", "running")
    killing = asyncio.create_task(waiting().on_kill())
    await asyncio.sleep(0)
    while not killing.done():
        killing.cancel()
        await asyncio.sleep(0.001)
    assert any_airflow.runs["theirs"]["state"] == "failed"


# The time of the task is over.


async def test_its_deadline_cancels_the_run(
    any_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    any_airflow.has_run("theirs", "running")
    told = await event(waiting(poke_interval=25, deadline=NOW.timestamp() + 60))
    assert (told["outcome"], clock.sleeps) == ("timeout", [25, 25, 10])
    assert any_airflow.runs["theirs"]["state"] == "failed"
    done = "Cancelled the run of dag 'd', which was running: theirs"
    waited_for = f"run 'theirs' of dag 'd' in Deployment {any_airflow.url} (connection 'http_conn'): running"
    assert told["message"] == f"{waited_for}. {done}"
    assert {done, f"Timed out: {waited_for}"} <= set(log_lines)


async def test_its_deadline_leaves_a_run_that_it_does_not_own(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    told = await event(waiting(cancel_on_kill=False, poke_interval=25, deadline=NOW.timestamp() + 60))
    assert (told["outcome"], any_airflow.runs["theirs"]["state"]) == ("timeout", "running")
    assert told["message"].endswith("running")

"""Waiting for the run that was triggered: on the worker, in the triggerer, until somebody ends the task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import DagRunFailedError, TransportError
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from tests.airflow_names import TaskDeferred
from tests.unit.operators.trigger import RUN_ID, trigger
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def waiting(**options: Any) -> Any:
    return trigger(wait_for_completion=True, **options)


def test_it_waits_for_the_end(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    run = waiting(poke_interval=7).execute(context())
    assert (run["dag_run_id"], run["state"]) == (RUN_ID, "success")
    assert clock.sleeps == [7, 7]


def test_it_says_when_the_state_changes_and_only_then(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.course = ["queued"] * 4 + ["running"] * 5 + ["success"]
    waiting().execute(context())
    told = [line.rpartition(": ")[2] for line in log_lines if line.startswith(f"run '{RUN_ID}'")]
    assert told == ["queued", "running", "success"]


def test_it_takes_the_states_it_is_told(any_airflow: FakeAirflowServer) -> None:
    assert waiting(allowed_states=["running"], failed_states=[]).execute(context())["state"] == "running"


def test_it_goes_on_waiting_while_the_target_is_down(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.course = ["running", "success"]
    path = f"dags/d/dagRuns/{RUN_ID.replace(':', '%3A').replace('+', '%2B')}"
    down = [json_response({"detail": "down"}, 503)] * 9  # three looks, each of them sent three times
    fake_airflow.on("GET", path, fake_airflow.play, *down, fake_airflow.play)
    assert waiting().execute(context())["state"] == "success"
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1


def test_a_run_that_was_deleted_ends_the_wait(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.course = ["running"]
    clock.at_sleep = lambda: fake_airflow.forget_run(RUN_ID) if RUN_ID in fake_airflow.runs else None
    with pytest.raises(Exception, match="it was deleted"):
        waiting().execute(context())


# The run fails.


@pytest.fixture
def failing(any_airflow: FakeAirflowServer) -> FakeAirflowServer:
    any_airflow.course = ["running", "failed"]
    return any_airflow


def message(operator: Any) -> str:
    with pytest.raises(DagRunFailedError) as caught:
        operator.execute(context())
    return str(caught.value)


def test_the_failure_names_tasks_errors_and_link(failing: FakeAirflowServer) -> None:
    log = failing.payloads.log()
    failing.has_task("load", "success", run_id=RUN_ID, log=log)
    failing.has_task("extract", "failed", run_id=RUN_ID, log=log, end_date="2026-02-01T06:01:00Z")
    failing.has_task("clean", "failed", run_id=RUN_ID, log=log, map_index=2, try_number=3)
    assert message(waiting()).splitlines()[1:] == [
        "Failed tasks:",
        "  clean[2] (try 3): ValueError: no rows",
        "  extract (try 1): ValueError: no rows",
        f"See {failing.url}/dags/d/"
        + ("runs/" if failing.api_version == "v2" else "grid?dag_run_id=")
        + RUN_ID.replace(":", "%3A").replace("+", "%2B"),
    ]


def test_the_failure_names_a_handful_of_tasks(failing: FakeAirflowServer) -> None:
    for index in range(8):
        failing.has_task("clean", "failed", run_id=RUN_ID, map_index=index, log=failing.payloads.log())
    text = message(waiting())
    assert text.count("ValueError: no rows") == 5
    assert "and 3 more" in text


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(failing: FakeAirflowServer) -> None:
    failing.has_task("extract", "failed", run_id=RUN_ID)
    assert "extract (try 1): (its log could not be read: NotFoundError)" in message(waiting())


def test_tasks_that_cannot_be_read_do_not_hide_the_failure(failing: FakeAirflowServer) -> None:
    path = f"dags/d/dagRuns/{RUN_ID.replace(':', '%3A').replace('+', '%2B')}/taskInstances"
    failing.on("GET", path, json_response(failing.payloads.error(403, "not allowed"), 403))
    text = message(waiting())
    assert "failed tasks could not be read" in text
    assert f"See {failing.url}/dags/d/" in text


def test_a_run_that_was_marked_failed_is_said_to_be(failing: FakeAirflowServer) -> None:
    assert "None of its tasks failed: it was marked so" in message(waiting())


# Deferred.


def deferral(operator: Any, ti: TaskInstance | None = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context(ti))
    return caught.value


def test_it_defers_after_triggering(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    ti = TaskInstance()
    deferred = deferral(waiting(deferrable=True, poke_interval=9, cancel_on_kill=False), ti)
    assert list(any_airflow.runs) == [RUN_ID]
    assert (deferred.method_name, deferred.timeout, clock.sleeps) == ("execute_complete", None, [])
    assert ti.xcoms["trigger_run_id"] == RUN_ID
    path, arguments = deferred.trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "http_conn",
        "external_dag_id": "d",
        "external_run_id": RUN_ID,
        "logical_dates": [],
        "latest": False,
        "external_task_ids": [],
        "external_task_group_id": None,
        "allowed_states": ["success"],
        "failed_states": ["failed"],
        "skipped_states": [],
        "check_existence": False,
        "must_exist": True,
        "poke_interval": 9,
        "deadline": None,
        "cancel_on_kill": False,
    }
    assert AstroDagRunTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


def test_what_is_deferred_holds_no_credentials(fake_airflow: FakeAirflowServer) -> None:
    assert TOKEN not in repr(deferral(waiting(deferrable=True)).trigger.serialize())


def test_it_does_not_defer_without_a_wait(fake_airflow: FakeAirflowServer) -> None:
    assert trigger(deferrable=True).execute(context())["state"] == "queued"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_it_does_not_defer_for_a_run_that_is_over(fake_airflow: FakeAirflowServer, state: str) -> None:
    fake_airflow.has_run("theirs", state)
    operator = waiting(deferrable=True, trigger_run_id="theirs", on_existing_run="attach")
    if state == "success":
        assert operator.execute(context())["state"] == "success"
    else:
        assert "Failed tasks" not in message(operator)


def event(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "message": "what happened", "run": None, "url": None, **more}


def test_it_resumes_with_the_run(log_lines: list[str]) -> None:
    run = {"dag_run_id": RUN_ID, "state": "success"}
    assert waiting().execute_complete(context(), event("success", run=run)) == run
    assert "what happened" in log_lines


@pytest.mark.parametrize(
    ("happened", "error"),
    [
        (event("failed"), DagRunFailedError),
        (event("error", retryable=True, error="TransportError"), TransportError),
        (event("error", retryable=False), AirflowFailException),
    ],
)
def test_it_resumes_with_an_error(happened: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^what happened$") as caught:
        waiting().execute_complete(context(), happened)
    assert type(caught.value) is error


@pytest.mark.parametrize("unknown", [{}, {"outcome": "approved"}, None, "success", event("pending")], ids=str)
def test_an_event_that_is_not_known_is_no_success(unknown: Any) -> None:
    with pytest.raises(AirflowFailException, match="resumed with an event that it does not know"):
        waiting().execute_complete(context(), unknown)


@pytest.mark.parametrize("outcome", ["success", "skipped", "changed"])
def test_an_event_without_a_run_is_no_success_and_no_failed_run(outcome: str) -> None:
    with pytest.raises(AirflowFailException, match="resumed with an event of another wait: what happened"):
        waiting().execute_complete(context(), event(outcome))

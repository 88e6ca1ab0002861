"""Waiting for the run that was triggered, on the worker and in the triggerer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import DagRunFailedError, TransportError
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from tests.unit.operators.trigger_operators import RUN_ID, RUN_PATH, deferral, trigger_operator, waiting_operator
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import NOW, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def test_operator_waits_for_the_end_of_the_run(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    run = waiting_operator(poke_interval=7).execute(context())
    assert (run["dag_run_id"], run["state"]) == (RUN_ID, "success")
    assert clock.sleeps == [1, 1]


def test_log_has_each_change_of_state_once(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.new_run_states = ["queued"] * 4 + ["running"] * 5 + ["success"]
    waiting_operator().execute(context())
    states = [line.partition(": ")[0] for line in log_lines if ": dag 'd' in " in line]
    assert states == ["Queued", "Running", "Success"]


def test_allowed_states_end_the_wait(any_airflow: FakeAirflowServer) -> None:
    assert waiting_operator(allowed_states=["running"], failed_states=[]).execute(context())["state"] == "running"


def test_wait_tolerates_that_the_target_is_down(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.new_run_states = ["running", "success"]
    down = [json_response({"detail": "down"}, 503)] * 9  # three checks, of which each sends three requests
    fake_airflow.on("GET", RUN_PATH, fake_airflow.stored_response, *down, fake_airflow.stored_response)
    assert waiting_operator().execute(context())["state"] == "success"
    assert len([line for line in log_lines if line.startswith("Still waiting: dag 'd': ")]) == 1
    assert len([line for line in log_lines if line.startswith("Target answers again: dag 'd' in ")]) == 1


def test_deleted_run_ends_the_wait(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.new_run_states = ["running"]
    clock.at_sleep = lambda: fake_airflow.delete_run(RUN_ID) if RUN_ID in fake_airflow.runs else None
    with pytest.raises(Exception, match=r"^Deleted: dag 'd', its run is gone in "):
        waiting_operator().execute(context())


# The run fails.


@pytest.fixture
def airflow_with_failing_run(any_airflow: FakeAirflowServer) -> FakeAirflowServer:
    any_airflow.new_run_states = ["running", "failed"]
    return any_airflow


def failure_message(operator: Any) -> str:
    with pytest.raises(DagRunFailedError) as caught:
        operator.execute(context())
    return str(caught.value)


def test_failure_names_tasks_errors_and_link(airflow_with_failing_run: FakeAirflowServer) -> None:
    log = airflow_with_failing_run.payloads.log()
    airflow_with_failing_run.has_task("load", "success", run_id=RUN_ID, log=log)
    airflow_with_failing_run.has_task("extract", "failed", run_id=RUN_ID, log=log, end_date="2026-02-01T06:01:00Z")
    airflow_with_failing_run.has_task("clean", "failed", run_id=RUN_ID, log=log, map_index=2, try_number=3)
    assert failure_message(waiting_operator()).splitlines()[1:] == [
        "  Failed tasks:",
        "    clean[2] (try 3): ValueError: no rows",
        "    extract (try 1): ValueError: no rows",
        f"Run: {RUN_ID}",
        f"{airflow_with_failing_run.url}/dags/d/"
        + ("runs/" if airflow_with_failing_run.api_version == "v2" else "grid?dag_run_id=")
        + RUN_ID.replace(":", "%3A").replace("+", "%2B"),
    ]


def test_failure_is_only_in_the_exception(airflow_with_failing_run: FakeAirflowServer, log_lines: list[str]) -> None:
    """Airflow logs the exception."""
    assert failure_message(waiting_operator()).startswith("Failed: dag 'd' in ")
    assert not [line for line in log_lines if line.startswith("Failed")]


def test_failure_names_at_most_five_tasks(airflow_with_failing_run: FakeAirflowServer) -> None:
    for index in range(8):
        airflow_with_failing_run.has_task(
            "clean", "failed", run_id=RUN_ID, map_index=index, log=airflow_with_failing_run.payloads.log()
        )
    text = failure_message(waiting_operator())
    assert text.count("ValueError: no rows") == 5
    assert "and 3 more" in text


def test_unreadable_log_does_not_hide_the_failure(airflow_with_failing_run: FakeAirflowServer) -> None:
    airflow_with_failing_run.has_task("extract", "failed", run_id=RUN_ID)
    assert "extract (try 1): (its log could not be read: NotFoundError)" in failure_message(waiting_operator())


def test_unreadable_tasks_do_not_hide_the_failure(airflow_with_failing_run: FakeAirflowServer) -> None:
    path = f"{RUN_PATH}/taskInstances"
    airflow_with_failing_run.on(
        "GET", path, json_response(airflow_with_failing_run.payloads.error(403, "not allowed"), 403)
    )
    text = failure_message(waiting_operator())
    assert "failed tasks could not be read" in text
    assert f"\n{airflow_with_failing_run.url}/dags/d/" in text


def test_failure_says_that_the_run_was_marked_failed(airflow_with_failing_run: FakeAirflowServer) -> None:
    assert "None of its tasks failed: it was marked so" in failure_message(waiting_operator())


# Waiting in the triggerer.


def test_operator_defers_after_triggering(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    ti = TaskInstance()
    deferred = deferral(waiting_operator(deferrable=True, poke_interval=9, cancel_on_kill=False), ti)
    assert list(any_airflow.runs) == [RUN_ID]
    assert (deferred.method_name, deferred.timeout, clock.sleeps) == ("execute_complete", None, [])
    assert ti.xcoms["trigger_run_id"] == RUN_ID
    path, arguments = deferred.trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "http_conn",
        "wait": {
            "dag_id": "d",
            "end_states": {"allowed": ["success"], "failed": ["failed"], "skipped": []},
            "run_id": RUN_ID,
            "must_exist": True,
        },
        "poke_interval": 9,
        "deadline": None,
        "cancel_on_kill": False,
        "started_at": NOW.timestamp(),
    }
    assert AstroDagRunTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


def test_trigger_has_no_credentials(fake_airflow: FakeAirflowServer) -> None:
    assert TOKEN not in repr(deferral(waiting_operator(deferrable=True)).trigger.serialize())


def test_operator_does_not_defer_without_wait_for_completion(fake_airflow: FakeAirflowServer) -> None:
    assert trigger_operator(deferrable=True).execute(context())["state"] == "queued"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_operator_does_not_defer_for_a_finished_run(fake_airflow: FakeAirflowServer, state: str) -> None:
    fake_airflow.has_run("theirs", state)
    operator = waiting_operator(deferrable=True, trigger_run_id="theirs", on_existing_run="attach")
    if state == "success":
        assert operator.execute(context())["state"] == "success"
    else:
        assert "Failed tasks" not in failure_message(operator)


def event(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "message": "Failed: dag 'd': what happened", "run": None, "url": None, **more}


def test_resumed_task_returns_the_run(log_lines: list[str]) -> None:
    run = {"dag_run_id": RUN_ID, "state": "success"}
    assert waiting_operator().execute_complete(context(), event("success", run=run)) == run
    assert "Failed: dag 'd': what happened" in log_lines


@pytest.mark.parametrize(
    ("happened", "error"),
    [
        (event("failed"), DagRunFailedError),
        (event("retryable_error", error="TransportError"), TransportError),
        (event("error", error="AccessDeniedError"), AirflowFailException),
    ],
)
def test_resumed_task_raises_the_error(happened: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^Failed: dag 'd': what happened$") as caught:
        waiting_operator().execute_complete(context(), happened)
    assert type(caught.value) is error


@pytest.mark.parametrize("unknown", [{}, {"outcome": "approved"}, None, "success", event("pending")], ids=str)
def test_unknown_event_fails_for_good(unknown: Any) -> None:
    with pytest.raises(AirflowFailException, match="resumed with an event that it does not know"):
        waiting_operator().execute_complete(context(), unknown)


def test_success_without_a_run_fails_for_good() -> None:
    with pytest.raises(AirflowFailException, match="an event of another wait: Failed: dag 'd': what happened"):
        waiting_operator().execute_complete(context(), event("success"))


def test_event_of_a_run_that_exists_already_skips() -> None:
    with pytest.raises(AirflowSkipException, match=r"^Failed: dag 'd': what happened$"):
        waiting_operator().execute_complete(context(), event("skipped"))


def test_event_of_a_trigger_that_cannot_do_the_work_starts_the_task_on_the_worker(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    run = trigger_operator().execute_complete(context(), event("restart"))
    assert (run["dag_run_id"], fake_airflow.calls_received) == (RUN_ID, ["POST /api/v2/dags/d/dagRuns"])
    assert "Failed: dag 'd': what happened" in log_lines
    assert not any("starts on a worker" in line for line in log_lines)

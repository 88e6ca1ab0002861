"""Whether the remote run is cancelled when a user, a timeout or a stopping worker ends the waiting operator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION, AirflowTaskTimeout
from astro_provider.tasks import task_state
from tests.unit.api.json_web_token import EXPIRING, expiring_token
from tests.unit.operators.trigger_operators import (
    DATE,
    RUN_ID,
    RUN_PATH,
    add_clashing_run,
    any_clash,
    deferral,
    retry_context,
    waiting_operator,
)
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

CANCELLED = "Cancelled: dag 'd', its run was running in Deployment "


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that sets the state of the task."""
    monkeypatch.setattr(task_state, "heartbeat_timed_out", lambda ti: False)
    return lambda state: monkeypatch.setattr(task_state, "task_state", lambda ti: state)


def kill(operator: Any, clock: FakeClock, task_context: dict[str, Any] | None = None) -> None:
    """Execute the operator, and call on_kill at its first sleep, as Airflow does when the process is terminated."""

    def signal() -> None:
        operator.on_kill()
        raise SystemExit

    clock.at_sleep = signal
    with pytest.raises(SystemExit):
        operator.execute(task_context or context())


def test_killed_task_warns_once_of_a_token_that_expires_soon(
    fake_airflow: FakeAirflowServer,
    connect: Callable[..., None],
    clock: FakeClock,
    task_is: Callable[[str | None], None],
    log_lines: list[str],
) -> None:
    connect(fake_airflow.url, password=expiring_token())
    task_is("failed")
    kill(waiting_operator(), clock)
    assert len([line for line in log_lines if line.startswith(EXPIRING)]) == 1
    assert any(line.startswith(CANCELLED) for line in log_lines)


@pytest.mark.parametrize("state", ["failed", "success", "restarting", "removed", None])
def test_user_who_ends_the_task_cancels_the_run(
    any_airflow: FakeAirflowServer,
    clock: FakeClock,
    task_is: Callable[[str | None], None],
    log_lines: list[str],
    state: str | None,
) -> None:
    task_is(state)
    kill(waiting_operator(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert any(line.startswith(CANCELLED) for line in log_lines)


@pytest.mark.parametrize("state", ["running", "deferred", "queued", "scheduled"])
def test_worker_that_stops_cancels_nothing(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], state: str
) -> None:
    task_is(state)
    kill(waiting_operator(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "queued"


def test_unknown_task_state_cancels_nothing(
    fake_airflow: FakeAirflowServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(ti: Any) -> str:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(task_state, "task_state", unknown)
    kill(waiting_operator(), clock)
    assert fake_airflow.runs[RUN_ID]["state"] == "queued"


def test_cancel_on_kill_false_cancels_nothing(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    kill(waiting_operator(cancel_on_kill=False), clock)
    assert fake_airflow.runs[RUN_ID]["state"] == "queued"


def test_on_kill_before_and_after_the_wait_cancels_nothing(
    fake_airflow: FakeAirflowServer, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    operator = waiting_operator()
    operator.on_kill()
    operator.execute(context())
    operator.on_kill()
    assert fake_airflow.runs[RUN_ID]["state"] == "success"


def test_run_that_has_finished_in_the_meantime_is_not_cancelled(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    """Cancelling a run that has succeeded would mark it failed."""
    task_is("failed")
    any_airflow.new_run_states = ["running", "success"]
    kill(waiting_operator(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "success"
    assert not [received for received in any_airflow.received if received.method == "PATCH"]


def test_run_that_cannot_be_cancelled_is_warned_about(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], log_lines: list[str]
) -> None:
    task_is("failed")
    fake_airflow.on("PATCH", RUN_PATH, json_response({"detail": "no"}, 403))
    kill(waiting_operator(), clock)
    assert any(line.startswith("Could not be cancelled: dag 'd': ") for line in log_lines)


# Only a run that this task created or reset is cancelled.


@any_clash
def test_attached_run_is_not_cancelled(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], by: str
) -> None:
    task_is("failed")
    operator = waiting_operator(on_existing_run="attach", **add_clashing_run(any_airflow, by, "running"))
    kill(operator, clock)
    assert any_airflow.runs["theirs"]["state"] == "running"


@any_clash
def test_reset_run_is_cancelled(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], by: str
) -> None:
    task_is("failed")
    any_airflow.new_run_states = ["running"]
    operator = waiting_operator(on_existing_run="reset", **add_clashing_run(any_airflow, by, "running"))
    kill(operator, clock)
    assert any_airflow.runs["theirs"]["state"] == "failed"


@pytest.mark.parametrize("choice", ["fail", "attach", "reset", "skip"])
def test_retry_cancels_the_run_of_the_earlier_try(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], choice: str
) -> None:
    task_is("failed")
    any_airflow.has_run(RUN_ID, "running")
    kill(waiting_operator(on_existing_run=choice, retries=2), clock, retry_context())
    assert any_airflow.runs[RUN_ID]["state"] == "failed"


def test_retry_does_not_cancel_a_run_that_an_earlier_try_might_have_attached_to(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    any_airflow.has_run("theirs", "running")
    kill(waiting_operator(on_existing_run="attach", trigger_run_id="theirs", retries=2), clock, retry_context())
    assert any_airflow.runs["theirs"]["state"] == "running"


@any_clash
@pytest.mark.parametrize(("choice", "cancels"), [("attach", False), ("reset", True)])
def test_trigger_cancels_a_reset_run_but_no_attached_run(
    any_airflow: FakeAirflowServer, by: str, choice: str, cancels: bool
) -> None:
    operator = waiting_operator(deferrable=True, on_existing_run=choice, **add_clashing_run(any_airflow, by, "running"))
    assert deferral(operator).trigger.serialize()[1]["cancel_on_kill"] is cancels


def test_trigger_cancels_a_new_run(any_airflow: FakeAirflowServer) -> None:
    operator = waiting_operator(deferrable=True, on_existing_run="attach", logical_date=DATE)
    assert deferral(operator).trigger.serialize()[1]["cancel_on_kill"] is True


# execution_timeout.


def timeout_message(operator: Any, clock: FakeClock) -> str:
    """Time out while the operator waits, and call on_kill afterwards while the task still runs, as Airflow does."""

    def alarm() -> None:
        clock.at_sleep = lambda: None
        raise AirflowTaskTimeout("Timeout, PID: 7")

    clock.at_sleep = alarm
    with pytest.raises(AirflowTaskTimeout) as caught:
        operator.execute(context())
    operator.on_kill()
    return str(caught.value)


def limited_operator(**options: Any) -> Any:
    return waiting_operator(execution_timeout=timedelta(minutes=5), **options)


def test_execution_timeout_cancels_the_run(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], log_lines: list[str]
) -> None:
    task_is("running")
    message = timeout_message(limited_operator(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert message.startswith(f"Timed out after 300 s: dag 'd' in Deployment {any_airflow.url}")
    assert "\n  Limit: execution_timeout. Last seen: " in message
    assert f"\n  {CANCELLED}" in message
    assert f"\nRun: {RUN_ID}\n{any_airflow.url}/dags/d/" in message
    assert len([line for line in log_lines if line.startswith(CANCELLED)]) == 1


@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"on_existing_run": "attach"}])
def test_execution_timeout_does_not_cancel_other_runs(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any]
) -> None:
    if "on_existing_run" in options:
        options = {**options, **add_clashing_run(any_airflow, "run id", "running")}
    message = timeout_message(limited_operator(**options), clock)
    (run,) = any_airflow.runs.values()
    assert run["state"] in ("queued", "running")
    assert message.startswith("Timed out after 300 s: dag 'd' in ")
    assert (
        f"\n  Limit: execution_timeout. Last seen: {run['state'].capitalize()}\nRun: {run['dag_run_id']}\n" in message
    )


@pytest.mark.parametrize("seconds_since_start", [0, 100])
def test_deadline_of_the_trigger_is_before_the_timeout_of_the_deferral(
    any_airflow: FakeAirflowServer, clock: FakeClock, seconds_since_start: float
) -> None:
    started = NOW - timedelta(seconds=seconds_since_start)
    deferred = deferral(limited_operator(deferrable=True), TaskInstance(start_date=started))
    deadline = deferred.trigger.serialize()[1]["deadline"] - started.timestamp()
    limit = deferred.timeout.total_seconds()
    if AIRFLOW_VERSION >= (3, 0):
        assert (deadline, limit) == (300, 300 - seconds_since_start + 60)
    else:  # Airflow 2 counts from the start of the try
        assert (deadline, limit) == (270, 300)


def test_resumed_task_says_that_it_timed_out() -> None:
    happened = {
        "outcome": "timeout",
        "message": "Running: dag 'd' in D\nRun: r",
        "run": None,
        "url": "https://x/dags/d",
    }
    with pytest.raises(AirflowTaskTimeout) as caught:
        limited_operator().execute_complete(context(), happened)
    assert str(caught.value) == (
        "Timed out after 300 s: dag 'd' in D\n  Limit: execution_timeout. Last seen: Running\nRun: r"
    )

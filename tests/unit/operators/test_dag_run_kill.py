"""A user, a timeout or a machine ends the trigger operator while it waits: what becomes of the remote run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION, AirflowTaskTimeout
from astro_provider.tasks import task_state
from tests.unit.operators.test_dag_run_existing import DATE, blocked, clash, retry
from tests.unit.operators.test_dag_run_waiting import deferral, waiting
from tests.unit.operators.trigger import RUN_ID
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

CANCELLED = f"Cancelled the run of dag 'd', which was running: {RUN_ID}"


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Set the state of the task."""
    monkeypatch.setattr(task_state, "heartbeat_timed_out", lambda ti: False)
    return lambda state: monkeypatch.setattr(task_state, "task_state", lambda ti: state)


def kill(operator: Any, clock: FakeClock, in_context: dict[str, Any] | None = None) -> None:
    """Execute the operator, and call on_kill when it first sleeps, as Airflow does when the process is to end."""

    def signal() -> None:
        operator.on_kill()
        raise SystemExit

    clock.at_sleep = signal
    with pytest.raises(SystemExit):
        operator.execute(in_context or context())


@pytest.mark.parametrize("state", ["failed", "success", "restarting", "removed", None])
def test_a_user_who_ends_the_task_cancels_the_run(
    any_airflow: FakeAirflowServer,
    clock: FakeClock,
    task_is: Callable[[str | None], None],
    log_lines: list[str],
    state: str | None,
) -> None:
    task_is(state)
    kill(waiting(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert CANCELLED in log_lines


@pytest.mark.parametrize("state", ["running", "deferred", "queued", "scheduled"])
def test_a_worker_that_goes_down_cancels_nothing(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], state: str
) -> None:
    task_is(state)
    kill(waiting(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "queued"


def test_nothing_is_cancelled_where_nobody_can_tell(
    fake_airflow: FakeAirflowServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(ti: Any) -> str:
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(task_state, "task_state", unknown)
    kill(waiting(), clock)
    assert fake_airflow.runs[RUN_ID]["state"] == "queued"


def test_nothing_is_cancelled_with_cancel_on_kill_false(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    kill(waiting(cancel_on_kill=False), clock)
    assert fake_airflow.runs[RUN_ID]["state"] == "queued"


def test_nothing_is_cancelled_when_nothing_is_waited_for(
    fake_airflow: FakeAirflowServer, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    operator = waiting()
    operator.on_kill()
    operator.execute(context())
    operator.on_kill()
    assert fake_airflow.runs[RUN_ID]["state"] == "success"


def test_a_run_that_has_ended_meanwhile_is_left_alone(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    """Marking it failed would make a failure of its success."""
    task_is("failed")
    any_airflow.course = ["running", "success"]
    kill(waiting(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "success"
    assert not [received for received in any_airflow.received if received.method == "PATCH"]


def test_a_run_that_cannot_be_cancelled_is_warned_of(
    fake_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], log_lines: list[str]
) -> None:
    task_is("failed")
    path = f"dags/d/dagRuns/{RUN_ID.replace(':', '%3A').replace('+', '%2B')}"
    fake_airflow.on("PATCH", path, json_response({"detail": "no"}, 403))
    kill(waiting(), clock)
    assert any(line.startswith("The run of dag 'd' could not be cancelled") for line in log_lines)


# Only what this task created or reset.


@clash
def test_a_run_that_it_attached_to_is_left_alone(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], by: str
) -> None:
    task_is("failed")
    operator = waiting(on_existing_run="attach", **blocked(any_airflow, by, "running"))
    kill(operator, clock)
    assert any_airflow.runs["theirs"]["state"] == "running"


@clash
def test_a_run_that_it_reset_is_cancelled(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], by: str
) -> None:
    task_is("failed")
    any_airflow.course = ["running"]
    operator = waiting(on_existing_run="reset", **blocked(any_airflow, by, "running"))
    kill(operator, clock)
    assert any_airflow.runs["theirs"]["state"] == "failed"


@pytest.mark.parametrize("choice", ["fail", "attach", "reset", "skip"])
def test_a_retry_cancels_the_run_of_the_try_before(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], choice: str
) -> None:
    task_is("failed")
    any_airflow.has_run(RUN_ID, "running")
    kill(waiting(on_existing_run=choice, retries=2), clock, retry())
    assert any_airflow.runs[RUN_ID]["state"] == "failed"


def test_a_retry_does_not_cancel_what_an_earlier_try_may_have_attached_to(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    any_airflow.has_run("theirs", "running")
    kill(waiting(on_existing_run="attach", trigger_run_id="theirs", retries=2), clock, retry())
    assert any_airflow.runs["theirs"]["state"] == "running"


@clash
@pytest.mark.parametrize(("choice", "cancels"), [("attach", False), ("reset", True)])
def test_the_trigger_knows_whether_the_run_is_its_own(
    any_airflow: FakeAirflowServer, by: str, choice: str, cancels: bool
) -> None:
    operator = waiting(deferrable=True, on_existing_run=choice, **blocked(any_airflow, by, "running"))
    assert deferral(operator).trigger.serialize()[1]["cancel_on_kill"] is cancels


def test_the_trigger_of_a_new_run_cancels(any_airflow: FakeAirflowServer) -> None:
    operator = waiting(deferrable=True, on_existing_run="attach", logical_date=DATE)
    assert deferral(operator).trigger.serialize()[1]["cancel_on_kill"] is True


# execution_timeout.


def timed_out(operator: Any, clock: FakeClock) -> str:
    """Let Airflow's alarm go off while the operator waits, which calls on_kill of a task that still runs."""

    def alarm() -> None:
        clock.at_sleep = lambda: None
        raise AirflowTaskTimeout("Timeout, PID: 7")

    clock.at_sleep = alarm
    with pytest.raises(AirflowTaskTimeout) as caught:
        operator.execute(context())
    operator.on_kill()
    return str(caught.value)


def limited(**options: Any) -> Any:
    return waiting(execution_timeout=timedelta(minutes=5), **options)


def test_the_execution_timeout_cancels_the_run(
    any_airflow: FakeAirflowServer, clock: FakeClock, task_is: Callable[[str | None], None], log_lines: list[str]
) -> None:
    task_is("running")
    message = timed_out(limited(), clock)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert message.startswith("Timed out: dag 'd' did not finish within execution_timeout (0:05:00). ")
    assert f"run '{RUN_ID}' of dag 'd' in Deployment {any_airflow.url}" in message
    assert f"{CANCELLED}. See {any_airflow.url}/dags/d/" in message
    assert log_lines.count(CANCELLED) == 1


@pytest.mark.parametrize("options", [{"cancel_on_kill": False}, {"on_existing_run": "attach"}])
def test_the_execution_timeout_leaves_other_runs(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any]
) -> None:
    if "on_existing_run" in options:
        options = {**options, **blocked(any_airflow, "run id", "running")}
    message = timed_out(limited(**options), clock)
    (run,) = any_airflow.runs.values()
    assert run["state"] in ("queued", "running")
    assert message.startswith("Timed out: dag 'd' did not finish within execution_timeout (0:05:00). ")
    assert f": {run['state']}. See {any_airflow.url}/dags/d/" in message


@pytest.mark.parametrize("lasted", [0, 100])
def test_the_trigger_gives_up_before_airflow_does(
    any_airflow: FakeAirflowServer, clock: FakeClock, lasted: float
) -> None:
    started = NOW - timedelta(seconds=lasted)
    deferred = deferral(limited(deferrable=True), TaskInstance(start_date=started))
    deadline = deferred.trigger.serialize()[1]["deadline"] - started.timestamp()
    limit = deferred.timeout.total_seconds()
    if AIRFLOW_VERSION >= (3, 0):
        assert (deadline, limit) == (300, 300 - lasted + 60)
    else:  # which counts from the start of the try
        assert (deadline, limit) == (270, 300)


def test_it_says_that_the_deferral_timed_out() -> None:
    happened = {"outcome": "timeout", "message": "it was running", "run": None, "url": "https://x/dags/d"}
    with pytest.raises(AirflowTaskTimeout) as caught:
        limited().execute_complete(context(), happened)
    limit = "dag 'd' did not finish within execution_timeout (0:05:00)"
    assert str(caught.value) == f"Timed out: {limit}. it was running. See https://x/dags/d"

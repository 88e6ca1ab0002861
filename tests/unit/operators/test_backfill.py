"""The operator that creates a backfill: its result, its errors, and what a kill does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowTaskTimeout
from astro_provider.api.errors import DagRunFailedError, TransportError
from astro_provider.links import RemoteBackfillLink
from astro_provider.tasks import task_state
from astro_provider.triggers.backfill import AstroBackfillTrigger
from tests.airflow_names import TaskDeferred
from tests.unit.backfills import FAILING, backfill_operator, try_context, waiting_operator
from tests.unit.task_runner import NOW, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.fake_backfills import FakeBackfillServer
    from tests.unit.task_runner import FakeClock


def test_operator_returns_the_backfill_without_waiting(fake_backfills: FakeBackfillServer) -> None:
    context: Any = try_context()
    created = backfill_operator(deferrable=True).execute(context)
    assert created == fake_backfills.backfills[0]
    assert set(fake_backfills.states().values()) == {"queued"}
    assert context["ti"].xcoms == {"backfill_id": 1, "remote_backfill_url": f"{fake_backfills.url}/dags/d/backfills"}


def test_operator_waits_for_all_runs(fake_backfills: FakeBackfillServer, log_lines: list[str]) -> None:
    result = waiting_operator().execute(try_context())
    counts = {"total_runs": 3, "succeeded_runs": 3, "failed_runs": []}
    assert result == {**fake_backfills.backfills[0], **counts}
    assert log_lines[-1].startswith("Success: dag 'd', backfill 1 ")


def test_failed_run_fails_the_task_with_retries(fake_backfills: FakeBackfillServer) -> None:
    fake_backfills.states_by_date = FAILING
    with pytest.raises(DagRunFailedError, match=r"Failed: dag 'd', backfill 1 (.|\n)*2026-01-03"):
        waiting_operator().execute(try_context())
    fake_backfills.clock_lead, fake_backfills.states_by_date = 60, {}
    result: Any = waiting_operator(retries=2).execute(try_context(2))
    assert (result["id"], result["total_runs"]) == (2, 1)
    assert [body["reprocess_behavior"] for body in fake_backfills.created_bodies()] == ["none", "failed"]


def test_airflow_2_target_fails_the_task_for_good(fake_airflow_v1: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="Backfills need Airflow 3 in the target"):
        waiting_operator().execute(try_context())


def test_running_backfill_fails_the_task_for_good(fake_backfills: FakeBackfillServer) -> None:
    fake_backfills.has_backfill(max_active_runs=1)
    with pytest.raises(AirflowFailException, match=r"Not created: dag 'd', backfill 1 .*\n  This backfill is running"):
        waiting_operator().execute(try_context())


# In the triggerer.


def test_deferrable_operator_defers(fake_backfills: FakeBackfillServer, clock: FakeClock) -> None:
    operator = waiting_operator(deferrable=True, poke_interval=7, execution_timeout=timedelta(minutes=10))
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(try_context())
    trigger = deferral.value.trigger
    assert isinstance(trigger, AstroBackfillTrigger)
    assert trigger.backfill_wait.backfill_id == 1
    assert (trigger.poke_interval, trigger.cancel_on_kill) == (7, True)
    assert trigger.started_at == NOW.timestamp()
    assert trigger.deadline is not None
    assert deferral.value.method_name == "execute_complete"


def test_retry_does_not_defer_for_a_backfill_that_is_over(fake_backfills: FakeBackfillServer) -> None:
    waiting_operator().execute(try_context())
    result: Any = waiting_operator(deferrable=True, retries=2).execute(try_context(2))
    assert (result["id"], result["succeeded_runs"]) == (1, 3)


def event(outcome: str, **fields: Any) -> dict[str, Any]:
    return {"outcome": outcome, "message": "what happened", "run": None, "url": "u", "error": None, **fields}


def test_result_of_the_trigger_is_returned(log_lines: list[str]) -> None:
    result = {"id": 1, "total_runs": 3}
    assert waiting_operator().execute_complete(try_context(), event("success", backfill=result)) == result
    assert "what happened" in log_lines


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (event("failed"), DagRunFailedError),
        (event("timeout"), AirflowTaskTimeout),
        (event("retryable_error", error="TransportError"), TransportError),
        (event("error", error="AccessDeniedError"), AirflowFailException),
        (event("success"), AirflowFailException),
        (event("skipped"), AirflowFailException),
        ({}, AirflowFailException),
    ],
    ids=str,
)
def test_event_of_a_bad_end_fails_the_task(payload: dict[str, Any], error: type[BaseException]) -> None:
    with pytest.raises(error):
        waiting_operator(execution_timeout=timedelta(minutes=1)).execute_complete(try_context(), payload)


# The task is ended.


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that sets the state of the task."""
    monkeypatch.setattr(task_state, "heartbeat_timed_out", lambda ti: False)
    return lambda state: monkeypatch.setattr(task_state, "task_state", lambda ti: state)


def kill(operator: Any, clock: FakeClock) -> None:
    """Execute the operator, and call on_kill at its first sleep, as Airflow does when the process is terminated."""

    def signal() -> None:
        operator.on_kill()
        raise SystemExit

    clock.at_sleep = signal
    with pytest.raises(SystemExit):
        operator.execute(try_context())


@pytest.mark.parametrize(
    ("state", "options", "is_cancelled"),
    [("failed", {}, True), ("success", {}, True), ("running", {}, False), ("failed", {"cancel_on_kill": False}, False)],
)
def test_user_who_ends_the_task_cancels_the_backfill(
    fake_backfills: FakeBackfillServer,
    clock: FakeClock,
    task_is: Callable[[str | None], None],
    state: str,
    options: dict[str, Any],
    is_cancelled: bool,
) -> None:
    task_is(state)
    fake_backfills.new_run_states = ["running"]
    kill(waiting_operator(**options), clock)
    assert set(fake_backfills.states().values()) == {"failed" if is_cancelled else "running"}
    assert (fake_backfills.backfills[0]["completed_at"] is not None) is is_cancelled


def test_on_kill_before_and_after_the_wait_cancels_nothing(
    fake_backfills: FakeBackfillServer, task_is: Callable[[str | None], None]
) -> None:
    task_is("failed")
    operator = waiting_operator()
    operator.on_kill()
    operator.execute(try_context())
    operator.on_kill()
    assert not [each for each in fake_backfills.received if each.method == "PUT"]


@pytest.mark.parametrize("cancels", [True, False])
def test_execution_timeout_cancels_the_backfill(
    fake_backfills: FakeBackfillServer, clock: FakeClock, cancels: bool
) -> None:
    def time_out() -> None:
        raise AirflowTaskTimeout("Airflow's message")

    fake_backfills.new_run_states = ["running"]
    clock.at_sleep = time_out
    operator = waiting_operator(cancel_on_kill=cancels, execution_timeout=timedelta(seconds=1))
    with pytest.raises(
        AirflowTaskTimeout, match=r"Timed out after 1 s: dag 'd', backfill 1 (.|\n)*0 of 3 runs are over"
    ) as error:
        operator.execute(try_context())
    assert ("\n  Cancelled: dag 'd', backfill 1, " in str(error.value)) is cancels
    assert set(fake_backfills.states().values()) == {"failed" if cancels else "running"}


# In the DAG file.


def test_serialized_operator_has_its_link_and_templates() -> None:
    dag = waiting_operator(from_date="{{ ds }}").dag
    task = round_trip(dag).task_dict["trigger"]
    assert task.from_date == "{{ ds }}"
    assert task.operator_extra_links[0].name == "Remote backfill"
    assert set(task.template_fields) >= {"external_dag_id", "from_date", "to_date", "dag_run_conf"}
    assert RemoteBackfillLink().xcom_key == "remote_backfill_url"

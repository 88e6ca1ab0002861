"""One check of a wait for an idle dag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import AccessDeniedError
from astro_provider.api.states import ACTIVE_TASK_STATES, FINISHED_TASK_STATES
from astro_provider.waits.hints import Hints
from astro_provider.waits.idle import check_idle
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from astro_provider.waits.wait import Verdict

TASKS = "dags/d/dagRuns/~/taskInstances"
INACTIVE = ("scheduled", "up_for_retry", "up_for_reschedule", "awaiting_input", None, *FINISHED_TASK_STATES)


@pytest.fixture(params=["v1", "v2"])
def airflow(request: pytest.FixtureRequest) -> FakeAirflow:
    return FakeAirflow(request.param)


def check(airflow: FakeAirflow, dag_id: str = "d", **arguments: Any) -> Verdict:
    return airflow.run(check_idle(airflow.client(api_version=airflow.api_version), dag_id, **arguments))


def requested(airflow: FakeAirflow) -> list[str]:
    return [each.partition(f"/api/{airflow.api_version}/")[2] for each in airflow.calls_received]


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("state", ACTIVE_TASK_STATES)
def test_active_task_keeps_the_dag_busy_and_costs_one_request(airflow: FakeAirflow, state: str, paused: bool) -> None:
    airflow.dags["d"] = paused
    airflow.has_run("r", "success")  # a task can outlive its run
    airflow.has_task("extract", state, run_id="r")
    verdict = check(airflow)
    assert verdict.outcome == "pending"
    assert verdict.message.startswith(f"Not idle: dag 'd' in Deployment {airflow.url}")
    named = "extract in run r" + ("" if state == "running" else f" is {state}")
    assert verdict.message.endswith(f"1 task not finished ({named})")
    assert requested(airflow) == [TASKS]


@pytest.mark.parametrize("run_state", ["queued", "running"])
@pytest.mark.parametrize("state", INACTIVE)
def test_paused_dag_is_idle_when_its_tasks_wait_for_the_scheduler(
    airflow: FakeAirflow, state: str | None, run_state: str
) -> None:
    airflow.dags["d"] = True
    airflow.has_run("r", run_state)
    airflow.has_task("extract", state, run_id="r")
    verdict = check(airflow)
    assert (verdict.outcome, verdict.state) == ("success", "idle")
    assert verdict.message.startswith("Idle: dag 'd' in ")
    assert verdict.message.endswith("It is paused, and none of its tasks runs")
    assert requested(airflow) == [TASKS, "dags/d", TASKS]


@pytest.mark.parametrize("run_state", ["queued", "running"])
def test_unfinished_run_keeps_a_dag_busy_that_is_not_paused(airflow: FakeAirflow, run_state: str) -> None:
    airflow.has_run("done", "success")
    airflow.has_run("r", run_state)
    airflow.has_task("extract", "up_for_retry", run_id="r")
    verdict = check(airflow)
    assert verdict.outcome == "pending"
    assert verdict.message.endswith(f"\n  1 run not finished (r is {run_state})")
    assert requested(airflow) == [TASKS, "dags/d", "dags/d/dagRuns"]


@pytest.mark.parametrize("paused", [True, False])
def test_dag_is_idle_when_everything_has_finished(airflow: FakeAirflow, paused: bool) -> None:
    airflow.dags = {"d": paused, "other": False}
    airflow.has_run("r", "failed")
    airflow.has_task("extract", "failed", run_id="r")
    airflow.has_run("theirs", "running", dag_id="other")
    airflow.has_task("load", "running", run_id="theirs", dag_id="other")
    assert check(airflow).outcome == "success"


def test_task_that_was_queued_before_the_pause_keeps_the_dag_busy(airflow: FakeAirflow) -> None:
    airflow.dags["d"] = True
    airflow.has_run("r", "running")
    task = airflow.payloads.task_instance("extract", "queued", dag_run_id="r")
    nothing, queued = (airflow.payloads.collection("task_instances", *tasks) for tasks in ((), (task,)))
    airflow.on("GET", TASKS, json_response(nothing), json_response(queued))
    assert check(airflow).message.endswith("(extract in run r is queued)")


def test_message_names_some_of_many_tasks(airflow: FakeAirflow) -> None:
    airflow.has_run("r", "running")
    for index in range(5):
        airflow.has_task("load", "running", run_id="r", map_index=index)
    message = check(airflow).message
    assert message.endswith("5 tasks not finished (load[0] in run r, load[1] in run r, load[2] in run r, and 2 more)")


def test_message_names_some_of_many_runs(airflow: FakeAirflow) -> None:
    for number in range(4):
        airflow.has_run(f"r{number}", "queued")
    assert check(airflow).message.endswith("4 runs not finished (r0 is queued, r1 is queued, r2 is queued, and 1 more)")


def test_target_that_ignores_the_filter_by_state_lists_finished_runs_too() -> None:
    airflow = FakeAirflow("v1")  # Airflow 2.1
    rows = [airflow.payloads.dag_run(f"r{number}", "success") for number in range(4)]
    rows.append(airflow.payloads.dag_run("late", "running"))
    airflow.on("GET", "dags/d/dagRuns", json_response(airflow.payloads.collection("dag_runs", *rows)))
    assert check(airflow).message.endswith("1 run not finished (late is running)")


def test_dag_that_does_not_exist_is_waited_for(airflow: FakeAirflow) -> None:
    airflow.dags = {"sales_report": False}
    verdict = check(airflow, "sales_raport", hints=Hints())
    assert verdict.outcome == "pending"
    assert verdict.message.startswith("Not there yet: dag 'sales_raport' in ")
    assert "'sales_report'" in verdict.hint
    assert not check(airflow, "sales_raport").hint


def test_refused_list_is_an_error(airflow: FakeAirflow) -> None:
    airflow.on("GET", TASKS, json_response(airflow.payloads.error(403, "Forbidden"), 403))
    with pytest.raises(AccessDeniedError):
        check(airflow)

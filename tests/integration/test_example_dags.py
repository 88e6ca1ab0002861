"""Every example DAG succeeds, unchanged, on real deployments."""

from __future__ import annotations

import pytest

from tests.integration.conftest import EXAMPLES, CaseRuns
from tests.integration.runs import Run, runs_of, trigger_run

DAG_IDS = sorted(file.stem for file in EXAMPLES.glob("*.py"))


@pytest.fixture(scope="module")
def batch(start_case, deployments):
    trigger_run(deployments.target, "remote_report").wait()  # wait_for_upstream waits for this run
    start_case("pause_work_unpause").wait()  # before the others, which trigger the dag that it pauses
    # before_and_after follows the Astro documentation and needs a logical date.
    dates = {"before_and_after": {"logical_date": "2026-06-01T00:00:00Z"}}
    return CaseRuns(
        start_case, {dag_id: (dag_id, {"conn": "http_conn", **dates.get(dag_id, {})}) for dag_id in DAG_IDS}
    )


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_example_succeeds(batch, dag_id):
    run = batch.finished(dag_id, "http_conn")

    assert run.state == "success", run.states()


def test_trigger_and_wait_returns_the_remote_result(batch, deployments):
    run = batch.finished("trigger_and_wait", "http_conn")

    remote = Run(deployments.target, "remote_report", run.xcom("trigger", "trigger_run_id"))
    assert remote.get()["conf"] == {"rows": 12, "triggered_by": run.run_id}
    assert run.xcom("show_result") == remote.xcom("report") == {"rows": 12, "status": "ready"}


def test_before_and_after_triggers_with_both_operators(batch, deployments):
    run = batch.finished("before_and_after", "http_conn")

    assert run.xcom("after", "trigger_run_id") in runs_of(deployments.target, "remote_report")


def test_pause_work_unpause_leaves_the_dag_unpaused(batch, deployments):
    assert batch.finished("pause_work_unpause", "http_conn").xcom("pause")["is_paused"] is True
    assert deployments.target.request("GET", "dags/remote_report")["is_paused"] is False


def test_any_endpoint_lists_and_deletes(batch, deployments):
    run = batch.finished("any_endpoint", "http_conn")

    assert "remote_report" in run.xcom("list_dags")
    assert run.xcom("list_pools")["default_pool"] == 128
    variables = deployments.target.request("GET", "variables")["variables"]
    assert "last_visitor" not in [variable["key"] for variable in variables]


@pytest.mark.parametrize("task_id", ["finished", "extracted"])
def test_wait_for_upstream_finds_the_run(batch, task_id):
    run = batch.finished("wait_for_upstream", "http_conn")

    assert "success" in run.log(task_id)

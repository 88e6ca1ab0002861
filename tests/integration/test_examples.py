"""Every file of example_dags/ runs, unchanged, against the target that it is for."""

from __future__ import annotations

import pytest

from tests.integration.conftest import EXAMPLES, Batch
from tests.integration.runs import Run, runs_of, start

DAG_IDS = sorted(file.stem for file in EXAMPLES.glob("*.py"))


@pytest.fixture(scope="module")
def batch(begin, world):
    start(world.target, "remote_report").wait()  # what wait_for_upstream waits for
    begin("pause_work_unpause").wait()  # not while the others trigger what it pauses
    # The documentation's pattern cannot do without a logical date.
    dates = {"before_and_after": {"logical_date": "2026-06-01T00:00:00Z"}}
    return Batch(begin, {dag_id: (dag_id, {"conn": "http_conn", **dates.get(dag_id, {})}) for dag_id in DAG_IDS})


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_it_succeeds(batch, dag_id):
    run = batch.finished(dag_id, "http_conn")

    assert run.state == "success", run.states()


def test_trigger_and_wait_brings_the_remote_result_home(batch, world):
    run = batch.finished("trigger_and_wait", "http_conn")

    remote = Run(world.target, "remote_report", run.xcom("trigger", "trigger_run_id"))
    assert remote.get()["conf"] == {"rows": 12, "triggered_by": run.run_id}
    assert run.xcom("show_result") == remote.xcom("report") == {"rows": 12, "status": "ready"}


def test_before_and_after_both_trigger(batch, world):
    run = batch.finished("before_and_after", "http_conn")

    assert run.xcom("after", "trigger_run_id") in runs_of(world.target, "remote_report")


def test_pause_work_unpause_leaves_the_dag_unpaused(batch, world):
    assert batch.finished("pause_work_unpause", "http_conn").xcom("pause")["is_paused"] is True
    assert world.target.request("GET", "dags/remote_report")["is_paused"] is False


def test_any_endpoint(batch, world):
    run = batch.finished("any_endpoint", "http_conn")

    assert "remote_report" in run.xcom("list_dags")
    assert run.xcom("list_pools")["default_pool"] == 128
    variables = world.target.request("GET", "variables")["variables"]
    assert "last_visitor" not in [variable["key"] for variable in variables]


@pytest.mark.parametrize("task_id", ["finished", "extracted"])
def test_wait_for_upstream_saw_the_run(batch, task_id):
    run = batch.finished("wait_for_upstream", "http_conn")

    assert "success" in run.log(task_id)

"""Trigger operators that start and end in the triggerer, and those that need a worker, on real deployments."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.conftest import both_targets
from tests.integration.runs import Run, runs_of, trigger_run

WITHOUT_WORKER = {
    **dict.fromkeys(["plain", "only", "attach"], "success"),
    **dict.fromkeys(["broken", "missing", "limited"], "failed"),
    "skip": "skipped",
}
WITH_WORKER = {
    **dict.fromkeys(["outlets", "success_callback", "mapped_over", "xcom"], "success"),
    **dict.fromkeys(["retried", "failure_callback", "fail"], "failed"),
}


@pytest.fixture(scope="module")
def homes(deployments):
    """Runs of the DAG, by connection; both run at the same time."""
    runs = {}
    for conn in ("v2_conn", "v1_conn"):
        existing = trigger_run(deployments.target_of(conn), "quick", run_id=f"test-{uuid4().hex[:8]}", conf={})
        conf = {"conn": conn, "run_id": existing.run_id}
        runs[conn] = trigger_run(
            deployments.triggering, "operators_in_triggerer", run_id=f"test-{uuid4().hex[:8]}", conf=conf
        )
    return runs


@both_targets
def test_operator_uses_a_worker_only_when_it_needs_one(homes, deployments, conn, target):
    run = homes[conn].wait()
    tasks, states = run.tasks(), run.states()

    assert {name: states[name] for name in WITHOUT_WORKER} == WITHOUT_WORKER
    assert {name: states[name] for name in WITH_WORKER} == WITH_WORKER
    assert [name for name in WITHOUT_WORKER if tasks[name]["pid"]] == []
    assert [name for name in WITH_WORKER if not tasks[name]["pid"]] == []
    events = deployments.triggering.request("GET", "assets/events", params={"source_run_id": run.run_id})
    assert [event["source_task_id"] for event in events["asset_events"]] == ["outlets"]
    assert run.log_contains("success_callback", "called with NoneType")
    assert run.log_contains("failure_callback", "called with DagRunFailedError")
    assert run.log_contains("xcom", "The task starts on a worker, not in the triggerer: a template uses what")


@both_targets
def test_results_have_the_types_of_a_worker(homes, conn, target):
    run = homes[conn].wait()

    existing = run.get()["conf"]["run_id"]
    by = "operators_in_triggerer.plain"
    conf = {"from": [run.run_id, {"of": existing, "rows": 3, "by": by}], "none": None}
    assert run.xcom("use_plain") == ["dict", conf, "str", "success"]
    assert run.xcom("use_only")[:1] == ["dict"]
    assert run.xcom("plain", "trigger_run_id") == run.xcom("plain")["dag_run_id"]
    assert run.xcom("plain", "remote_dag_run_url").startswith(f"{target.url}/dags/quick/")
    assert sum(name.startswith("mapped_downstream") for name in run.tasks()) == len(run.xcom("mapped_over"))


@both_targets
def test_each_task_has_one_run(homes, conn, target):
    run = homes[conn].wait()

    created = {
        dag: [each for each in runs_of(target, dag) if run.run_id in each] for dag in ("quick", "broken", "slow")
    }
    names = {dag: sorted(each.split("~")[-2] for each in runs) for dag, runs in created.items()}
    assert names == {
        "quick": ["mapped_over", "only", "outlets", "plain", "success_callback", "xcom"],
        "broken": ["broken", "failure_callback", "retried"],
        "slow": ["limited"],
    }
    assert Run(target, "slow", created["slow"][0]).state == "failed"


@both_targets
def test_errors_are_those_of_a_worker(homes, conn, target):
    run = homes[conn].wait()

    assert run.log_contains("broken", "load (try 1): ValueError: the file has no rows")
    assert run.tells_once("broken", "Failed", "broken")
    assert run.log_contains("missing", "has no dag 'quik'")
    assert run.tasks()["fail"]["try_number"] == 1
    assert run.log_contains("fail", "Not triggered: dag 'quick' already has a run with the same run id")
    assert run.tells_once("fail", "Not triggered", "quick")
    assert run.log_contains("skip", "Skipped: dag 'quick' already has a run with the same run id")
    assert run.tells_once("skip", "Skipped", "quick")
    assert "Skipping task." not in run.log("skip"), "the reason comes first"
    assert run.log_contains("attach", "Attached: dag 'quick' already has a run with the same run id")
    assert run.tells_once("limited", "Timed out after 40 s", "slow")
    assert run.log_contains("retried", "Continuing: dag 'broken', ", 2)

"""Backfills of real targets: created, waited for, cancelled, and found again by a retry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.conftest import CaseRuns, both_modes
from tests.integration.runs import Run, runs_of

DATES = ["2026-01-02", "2026-01-03", "2026-01-04"]
CASES = [(name, mode) for name in ("quick", "failing", "continued") for mode in ("sync", "deferred")]


@pytest.fixture(scope="module")
def batch(start_case, deployments):
    deployments.triggering.wait_for_dags("backfill_quick_sync", "backfill_continued_deferred")
    deployments.target.wait_for_dags("backfilled_quick_sync", "backfilled_busy_deferred")
    cases = {f"{name}_{mode}": (f"backfill_{name}_{mode}", {"conn": "v2_conn"}) for name, mode in CASES}
    return CaseRuns(start_case, {**cases, "v1": ("backfill_quick_sync", {"conn": "v1_conn"})})


def backfills_of(deployment, dag_id: str) -> list[dict[str, Any]]:
    params = {"dag_id": dag_id, "order_by": "id"}
    return deployment.request("GET", "backfills", params=params)["backfills"]


def states_by_date(deployment, dag_id: str) -> dict[str, str]:
    runs = [run.get() for run in runs_of(deployment, dag_id).values()]
    return {run["logical_date"][:10]: run["state"] for run in runs}


@both_modes
def test_backfill_succeeds(batch, deployments, mode):
    run = batch.finished(f"quick_{mode}", "v2_conn")

    assert run.state == "success", run.log("backfill")
    (backfill,) = backfills_of(deployments.target, f"backfilled_quick_{mode}")
    assert backfill["dag_run_conf"] == {"seconds": 0, "by": run.run_id}
    counts = {"total_runs": 3, "succeeded_runs": 3, "failed_runs": []}
    assert run.xcom("backfill") == {**backfill, **counts}
    assert backfill["completed_at"]
    assert states_by_date(deployments.target, f"backfilled_quick_{mode}") == dict.fromkeys(DATES, "success")
    assert run.log_contains("backfill", "3 of 3 runs are over, 0 failed")
    assert run.xcom("backfill", "backfill_id") == backfill["id"]


@both_modes
def test_failed_run_is_named_and_run_again_by_a_retry(batch, deployments, mode):
    run = batch.finished(f"failing_{mode}", "v2_conn")
    dag_id = f"backfilled_failing_{mode}"

    assert run.state == "success", run.log("backfill")
    log = run.log("backfill", 1)
    assert "Of 3 runs, 2 succeeded and 1 failed" in log
    assert "backfill__2026-01-03T00:00:00+00:00" in log
    assert "the file has no rows" in log
    first, second = backfills_of(deployments.target, dag_id)
    assert (first["reprocess_behavior"], second["reprocess_behavior"]) == ("none", "failed")
    assert run.xcom("backfill") == {**second, "total_runs": 1, "succeeded_runs": 1, "failed_runs": []}
    tries = {each.get()["logical_date"][:10]: each.tasks()["work"]["try_number"] for each in _runs(deployments, dag_id)}
    assert tries == {"2026-01-02": 1, "2026-01-03": 2, "2026-01-04": 1}


@both_modes
def test_retry_continues_with_the_backfill_of_the_try_before(batch, deployments, mode):
    run = batch.finished(f"continued_{mode}", "v2_conn")
    last_try = run.tasks()["backfill"]["try_number"]

    assert run.state == "success", run.log("backfill")
    assert last_try > 1
    assert len(backfills_of(deployments.target, f"backfilled_continued_{mode}")) == 1
    assert "Timed out after 20 s: dag" in run.log("backfill", 1)
    assert "Continuing: dag" in run.log("backfill", last_try)


@both_modes
def test_user_who_ends_the_task_cancels_the_backfill(batch, start_case, deployments, mode):
    dag_id = f"backfilled_slow_{mode}"
    run = start_case(f"backfill_slow_{mode}", conn="v2_conn")
    run.wait_until(lambda: "running" in states_by_date(deployments.target, dag_id).values(), "a run is running", 120)
    run.wait_until(run.task_is("backfill", "running" if mode == "sync" else "deferred"), "the task waits")
    # Airflow tells nobody of a task that is ended before a triggerer has started its trigger.
    assert run.log_contains("backfill", "of 3 runs are over")
    path = f"{run.path}/taskInstances/backfill"
    deployments.triggering.request("PATCH", path, json={"new_state": "failed"})

    is_cancelled = dict.fromkeys(DATES, "failed")
    run.wait_until(lambda: states_by_date(deployments.target, dag_id) == is_cancelled, "all runs are cancelled", 60)
    (backfill,) = backfills_of(deployments.target, dag_id)
    assert backfill["completed_at"]
    assert backfill["is_paused"]
    assert run.log_contains("backfill", f", backfill {backfill['id']}, and ")


def test_backfill_that_is_running_is_named(batch, start_case, deployments):
    """The dag is paused, so that the backfill does not end before the task starts."""
    target, dag_id = deployments.target, "backfilled_busy_sync"
    dates = {"from_date": "2026-01-20T00:00:00Z", "to_date": "2026-01-21T00:00:00Z"}
    target.request("PATCH", f"dags/{dag_id}", json={"is_paused": True})
    theirs = target.request("POST", "backfills", json={"dag_id": dag_id, **dates})
    run = start_case("backfill_busy_sync", conn="v2_conn").wait()

    assert run.state == "failed"
    assert run.tasks()["backfill"]["try_number"] == 1
    assert f"Not created: dag '{dag_id}', backfill {theirs['id']} " in run.log("backfill")
    assert [backfill["id"] for backfill in backfills_of(target, dag_id)] == [theirs["id"]]


def test_airflow_2_target_is_a_final_error(batch):
    run = batch.finished("v1", "v1_conn")

    assert run.state == "failed"
    assert run.tasks()["backfill"]["try_number"] == 1
    assert "Backfills need Airflow 3 in the target" in run.log("backfill")


def _runs(deployments, dag_id: str) -> list[Run]:
    return list(runs_of(deployments.target, dag_id).values())

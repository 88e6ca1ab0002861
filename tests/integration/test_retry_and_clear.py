"""Retries, clears and re-created runs of the triggering task repeat, reset or keep the remote run as documented."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import CaseRuns, both_modes, both_targets
from tests.integration.runs import Run, runs_of, trigger_run

CASES = {
    "branches_sync": ("trigger_branches_sync", {}),
    "branches_deferred": ("trigger_branches_deferred", {}),
    "other_retries": ("other_retries_at_every_try", {}),
}


@pytest.fixture(scope="module")
def batch(start_case):
    return CaseRuns(start_case, CASES)


def remote_run(run: Run, target, dag_id: str) -> Run:
    return Run(target, dag_id, run.xcom("trigger", "trigger_run_id"))


def tries(run: Run) -> dict[str, int]:
    return {task: instance["try_number"] for task, instance in run.tasks().items()}


@both_targets
@both_modes
def test_retry_runs_failed_tasks_again_but_no_skipped_branch(batch, conn, target, mode):
    run = batch.finished(f"branches_{mode}", conn)

    assert run.state == "success"
    assert run.tasks()["trigger"]["try_number"] == 2
    remote = remote_run(run, target, "branches")
    assert remote.states() == {
        "choose": "success",
        "left": "success",
        "right": "skipped",
        "work": "success",
        "after": "success",
    }
    assert tries(remote) == {"choose": 1, "left": 1, "right": 0, "work": 2, "after": 1}
    tasks = remote.tasks()
    assert tasks["right"]["end_date"] < tasks["left"]["end_date"], "the task was skipped again"


@both_targets
def test_retry_runs_tasks_again_that_the_end_of_the_run_skipped(start_case, conn, target):
    """The branch was chosen just before, so the other branch is cleared too, and Airflow skips it again."""
    run = start_case("trigger_branches_sync", conn=conn, remote_conf={"hangs": True})
    run.wait_until(
        lambda: run.task_is("trigger", "running")() and "Triggered: dag " in run.log("trigger"), "the task waits"
    )
    remote = remote_run(run, target, "branches")
    remote.wait_until(remote.task_is("work", "running"), "the remote task runs")

    target.request("PATCH", remote.path, json={"state": "failed"})
    assert remote.states()["after"] == "skipped"

    assert run.wait().state == "success"
    assert remote.state == "success"
    assert remote.states()["right"] == "skipped"
    assert remote.states()["after"] == "success"
    assert {task: tries(remote)[task] for task in ("choose", "left", "work")} == {"choose": 1, "left": 1, "work": 2}


@both_targets
def test_changed_retries_between_two_tries_create_no_second_run(batch, conn, target):
    """The triggering Deployment runs Airflow 3.3, whose task state store keeps the run id of the first try."""
    run = batch.finished("other_retries", conn)

    assert run.state == "success"
    assert run.tasks()["trigger"]["try_number"] == 2
    assert [run_id for run_id in runs_of(target, "fails_once") if run.run_id in run_id] == [
        remote_run(run, target, "fails_once").run_id
    ]


@both_targets
@pytest.mark.parametrize(("choice", "state", "remote_tries"), [("fail", "failed", 1), ("reset", "success", 2)])
def test_re_created_dag_run_does_not_use_the_remote_run_of_the_deleted_one(
    start_case, deployments, conn, target, choice, state, remote_tries
):
    run = start_case(f"existing_{choice}", conn=conn).wait()
    assert run.state == "success"
    remote = remote_run(run, target, "quick")

    deployments.triggering.request("DELETE", run.path)
    again = trigger_run(deployments.triggering, run.dag_id, run_id=run.run_id, conf={"conn": conn}).wait()

    # Airflow can attribute the end of the deleted task to the new one and start the new one a second time.
    assert again.state == state
    assert tries(remote)["answer"] == remote_tries
    if choice == "fail":
        assert again.log_contains(
            "trigger", "was created before, maybe by this task in a dag run that had the same id", 1
        )


@both_targets
def test_clear_resets_the_remote_run_when_its_logical_date_is_taken(start_case, conn, target):
    date = (datetime(2010, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)).isoformat()
    run = start_case("existing_fail", conn=conn, date=date).wait()
    assert run.state == "success"
    remote = remote_run(run, target, "quick")

    run.deployment.request("POST", f"{run.path}/clear", json={"dry_run": False})
    run.wait_until(lambda: tries(run)["trigger"] == 2, "the task runs again").wait()

    assert run.state == "success"
    assert remote_run(run, target, "quick") == remote
    assert tries(remote)["answer"] == 2
    assert run.log_contains("trigger", "This task created it before it was cleared")

"""The clear operator runs again what it should and nothing else, on both targets, on a worker and deferred."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import both_modes, both_targets
from tests.integration.runs import Run, trigger_run

FIRST_TRIES = {"first": 1, "flaky": 1, "last": 0, "mapped[0]": 1, "mapped[1]": 1}
"""The number of tries of each task of a run that has failed, before it is cleared."""

CASES = {
    **{f"by_id_{mode}": (f"clear_by_id_{mode}", {}) for mode in ("sync", "deferred")},
    "by_date": ("clear_by_date_sync", {}),
    "newest": ("clear_by_newest_deferred", {"dag": "cleared_newest"}),
    **{f"failed_{mode}": (f"clear_failed_{mode}", {}) for mode in ("sync", "deferred")},
    "first": ("clear_tasks_deferred", {"task": "first", "downstream": True}),
    "mapped": ("clear_tasks_sync", {"task": "mapped"}),
    "missing_task": ("clear_tasks_sync", {"task": "frist"}),
    "retried": ("clear_and_fail_once", {}),
}


@pytest.fixture(scope="module")
def batch(deployments, start_case):
    """For each case and connection, the run that clears and the run that is cleared, once both have finished."""
    remote = {}
    for number, (case, (_, conf)) in enumerate(CASES.items()):
        for conn in ("v2_conn", "v1_conn"):
            date = (datetime(2010, 1, 1, tzinfo=timezone.utc) + timedelta(hours=number)).isoformat()
            dag_id, run_id = conf.get("dag", "cleared"), f"{case}-{uuid4().hex[:8]}"
            run = trigger_run(deployments.target_of(conn), dag_id, run_id=run_id, logical_date=date)
            remote[case, conn] = run, date
    local = {}
    for (case, conn), (run, date) in remote.items():
        run.wait(240)
        assert tries(run) == FIRST_TRIES, f"{run.run_id} is {run.state}: {run.states()}"
        dag_id, conf = CASES[case]
        local[case, conn] = start_case(dag_id, **{"conn": conn, "run_id": run.run_id, "date": date, **conf})

    def finished(case: str, conn: str) -> tuple[Run, Run]:
        return local[case, conn].wait(240), remote[case, conn][0]

    return finished


def tries(run: Run) -> dict[str, int]:
    return {task: instance["try_number"] for task, instance in run.tasks().items()}


@both_targets
@pytest.mark.parametrize("case", ["by_id_sync", "by_id_deferred", "by_date", "newest"])
def test_whole_run_runs_again(batch, conn, target, case):
    run, remote = batch(case, conn)

    assert run.state == "success"
    assert remote.state == "success"
    assert tries(remote) == {"first": 2, "flaky": 2, "last": 1, "mapped[0]": 2, "mapped[1]": 2}
    assert run.xcom("clear")["dag_run_id"] == run.xcom("clear", "trigger_run_id") == remote.run_id
    assert run.xcom("clear")["state"] == "success"
    assert run.xcom("clear", "remote_dag_run_url").startswith(target.url)


@both_targets
@both_modes
def test_only_failed_tasks_run_again(batch, conn, mode):
    run, remote = batch(f"failed_{mode}", conn)

    assert (run.state, remote.state) == ("success", "success")
    assert tries(remote) == {"first": 1, "flaky": 2, "last": 1, "mapped[0]": 1, "mapped[1]": 1}


@both_targets
def test_task_and_those_downstream_run_again(batch, conn):
    run, remote = batch("first", conn)

    assert (run.state, remote.state) == ("success", "success")
    assert tries(remote) == {"first": 2, "flaky": 2, "last": 1, "mapped[0]": 1, "mapped[1]": 1}


@both_targets
def test_all_map_indexes_run_again_and_the_error_names_the_tasks_that_failed(batch, conn):
    """The failed task of the run is not cleared, so that the run fails again."""
    run, remote = batch("mapped", conn)

    assert (run.state, remote.state) == ("failed", "failed")
    assert tries(remote) == {"first": 1, "flaky": 1, "last": 0, "mapped[0]": 2, "mapped[1]": 2}
    assert run.log_contains("clear", "flaky (try 1): RuntimeError: not yet")


@both_targets
def test_missing_task_fails_without_clearing_anything(batch, conn):
    run, remote = batch("missing_task", conn)

    assert run.state == "failed"
    assert run.log_contains("clear", "Not cleared: dag 'cleared' has no task 'frist' in this run")
    assert (remote.state, tries(remote)) == ("failed", FIRST_TRIES)


@both_targets
def test_retry_does_not_clear_the_run_again(batch, conn):
    run, remote = batch("retried", conn)

    assert (run.state, run.tasks()["clear"]["try_number"]) == ("success", 2)
    assert tries(remote) == {"first": 2, "flaky": 2, "last": 1, "mapped[0]": 2, "mapped[1]": 2}
    assert run.log_contains("clear", "Continuing: dag 'cleared', whose run was ")


@both_targets
def test_task_of_a_running_run_is_ended_and_starts_again(start_case, conn, target):
    remote = trigger_run(target, "slow", run_id=f"cleared-{uuid4().hex[:8]}", conf={"seconds": 30})
    remote.wait_until(remote.task_is("wait", "running"), "the remote task runs")
    run = start_case("clear_by_id_sync", conn=conn, dag="slow", run_id=remote.run_id).wait(240)

    assert (run.state, remote.state) == ("success", "success")
    assert tries(remote) == {"wait": 2}

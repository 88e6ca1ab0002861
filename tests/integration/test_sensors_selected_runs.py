"""Sensors that choose the runs they wait for by a range of dates, by when they were due, or by partition."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import CaseRuns, both_targets, every_mode
from tests.integration.runs import trigger_run

NOW = datetime.now(timezone.utc).replace(microsecond=0)
START, END, FAILED_END = (NOW - timedelta(days=days) for days in (3, 2, 1))
SINCE = NOW - timedelta(hours=1)
PARTITION = f"eu-{uuid4().hex[:8]}"
MODES = ("sync", "deferred", "worker")


def end(run, state):
    run.deployment.request("PATCH", run.path, json={"state": state})
    return run


def run_at(target, dag_id, date, state=None, **body):
    """Create a run that is due at a date, and end it in a state."""
    if target.airflow_major == 3:
        body["run_after"] = date.isoformat()
    run = trigger_run(target, dag_id, logical_date=date.isoformat(), **body)
    return end(run, state) if state else run


@pytest.fixture(scope="module")
def batch(start_case, deployments):
    """Start the sensors when some runs are there, and create and end the other runs while the sensors wait."""
    targets = {conn: deployments.target_of(conn) for conn in ("v2_conn", "v1_conn")}
    cases, queued = {}, {}
    for conn, target in targets.items():
        target.wait_for_dags("held", "instant", "nightly", "partitioned")
        run_at(target, "instant", START)
        run_at(target, "instant", START + timedelta(hours=1))
        run_at(target, "held", START, "success")
        queued[conn] = run_at(target, "held", START + timedelta(hours=1))
        run_at(target, "held", END + timedelta(hours=1), "failed")
        run_at(target, "held", END + timedelta(hours=2))
        run_at(target, "nightly", NOW - timedelta(days=1), "success")
        conf = {"conn": conn, "start": START.isoformat(), "end": END.isoformat(), "expected": "3"}
        conf |= {"failed_end": FAILED_END.isoformat(), "since": SINCE.isoformat(), "partition": PARTITION}
        cases |= {f"{mode}_{conn}": (f"wait_for_selected_runs_{mode}", conf) for mode in MODES}
    end(trigger_run(deployments.target, "partitioned", partition_key=f"{PARTITION}-other"), "success")
    runs = CaseRuns(start_case, cases)
    for name in cases:
        waiting = runs.started(name, name.partition("_")[2])
        assert waiting.log_contains("range", "1 of 3 are success")
        assert waiting.log_contains("since", "Not there yet: dag ")
        assert waiting.log_contains("tasks", "(at least 3 expected, 2 there)")
        waiting.wait_until(waiting.task_is("failed", "failed"), "a failed run fails the sensor", timeout=120)
    for conn, target in targets.items():
        end(queued[conn], "success")
        run_at(target, "held", START + timedelta(hours=2), "success")
        run_at(target, "instant", START + timedelta(hours=2))
        run_at(target, "nightly", SINCE + timedelta(minutes=30), "success")
    end(trigger_run(deployments.target, "partitioned", partition_key=PARTITION), "success")
    return runs


@both_targets
@every_mode
def test_all_runs_in_a_range_must_succeed_also_one_that_comes_late(batch, conn, mode):
    run = batch.finished(f"{mode}_{conn}", conn)

    states = run.states()
    assert (states["range"], states["failed"], states["since"]) == ("success", "failed", "success")
    assert run.log_contains("range", "3 of 3 are success (at least 3 expected, 3 there)")
    assert run.log_contains("failed", "is failed; 0 of 2 are success (at least 1 expected, 2 there)")


@both_targets
@every_mode
def test_a_task_of_all_runs_in_a_range_must_succeed(batch, conn, mode):
    run = batch.finished(f"{mode}_{conn}", conn)

    assert run.states()["tasks"] == "success"
    assert run.tells_once("tasks", "Success", "instant")
    assert run.log_contains("tasks", "(at least 3 expected, 3 there)")


@both_targets
@every_mode
def test_partition_is_waited_for_where_airflow_has_partitions(batch, conn, mode):
    run = batch.finished(f"{mode}_{conn}", conn)

    assert run.states()["partition"] == ("success" if conn == "v2_conn" else "failed")
    if conn == "v1_conn":
        assert run.log_contains("partition", "partition_key needs Airflow 3")
        assert run.tasks()["partition"]["try_number"] == 1

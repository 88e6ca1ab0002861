"""AstroDagRunSensor and AstroTaskSensor on real targets: poked, rescheduled and deferred."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import Batch, both_modes, both_targets
from tests.integration.runs import start

MODES = ("sync", "deferred")


@pytest.fixture(scope="module")
def remote(world):
    """Runs in both targets that the sensors wait for, by dag and connection; some end while they are waited for."""
    runs = {}
    for conn in ("v2_conn", "v1_conn"):
        for dag_id in ("quick", "broken", "grouped"):
            runs[dag_id, conn] = start(world.behind(conn), dag_id, run_id=f"waited-for-{uuid4().hex[:8]}")
    return runs


@pytest.fixture(scope="module")
def batch(begin, remote):
    cases = {}
    for conn in ("v2_conn", "v1_conn"):
        for dag_id, task_id in (("quick", "answer"), ("broken", "publish")):
            conf = {"conn": conn, "dag": dag_id, "run_id": remote[dag_id, conn].run_id, "task": task_id}
            for mode in MODES:
                cases[f"{dag_id}_{mode}_{conn}"] = (f"wait_for_run_{mode}", conf)
            cases[f"{dag_id}_reschedule_{conn}"] = ("reschedule", conf)
        for mode in MODES:
            conf = {"conn": conn, "run_id": remote["grouped", conn].run_id}
            cases[f"grouped_{mode}_{conn}"] = (f"wait_for_group_{mode}", conf)
            cases[f"nothing_{mode}_{conn}"] = (f"wait_for_nothing_{mode}", {"conn": conn})
    return Batch(begin, cases)


@both_targets
@both_modes
def test_waits_for_a_run_and_a_task_that_end_well(batch, remote, conn, mode):
    run = batch.finished(f"quick_{mode}_{conn}", conn)

    assert run.states() == {"run": "success", "task": "success", "soft": "success"}
    assert remote["quick", conn].state == "success"
    assert run.xcom("run", "remote_dag_run_url").startswith(f"{remote['quick', conn].deployment.url}/dags/quick/")


@both_targets
@both_modes
def test_a_failed_run_fails_the_sensor_and_says_why(batch, remote, conn, mode):
    run = batch.finished(f"broken_{mode}_{conn}", conn)

    assert remote["broken", conn].state == "failed"
    assert run.states() == {"run": "failed", "task": "failed", "soft": "skipped"}
    assert "load (try 1): ValueError: the file has no rows" in run.log("run")
    assert "publish (try 0): upstream_failed" in run.log("task")
    assert "the file has no rows" in run.log("soft")


@both_targets
def test_reschedule(batch, conn):
    assert batch.finished(f"quick_reschedule_{conn}", conn).states() == {"run": "success"}
    failed = batch.finished(f"broken_reschedule_{conn}", conn)
    assert failed.states() == {"run": "failed"}
    assert "the file has no rows" in failed.log("run")


@both_targets
@both_modes
def test_a_run_that_is_not_there_is_waited_for(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["hard"], run.states()["soft"]) == ("failed", "skipped")
    assert run.tasks()["hard"]["try_number"] == 1, "a timeout ends a sensor for good, whatever its retries"
    log = run.log("hard")
    assert "not there yet" in log
    assert "timeout" in log.lower() or "timed out" in log.lower()


@both_targets
@both_modes
def test_check_existence(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["missing_dag"], run.states()["missing_task"]) == ("failed", "failed")
    assert "has no dag 'quik'" in run.log("missing_dag")
    assert "has no task 'no' of dag 'quick'" in run.log("missing_task")


@both_targets
@both_modes
def test_groups_and_mapped_tasks(batch, conn, mode):
    run = batch.finished(f"grouped_{mode}_{conn}", conn)

    assert run.states() == {"group": "success", "mapped": "success", "outside": "failed"}
    assert "outside (try 1): RuntimeError: outside fails" in run.log("outside")


@both_targets
def test_by_logical_date(begin, world, conn):
    date = datetime(2001, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)
    for day in (date, date - timedelta(days=1)):
        start(world.behind(conn), "quick", logical_date=day.isoformat())

    run = begin("by_logical_date", logical_date=date.isoformat(), conn=conn).wait()

    assert run.states() == {"same": "success", "day_before": "success", "both": "success"}
    for task_id, day in (("same", date), ("day_before", date - timedelta(days=1))):
        assert day.isoformat() in run.log(task_id)


def test_without_a_logical_date_there_is_none_to_wait_for(begin):
    run = begin("by_logical_date", conn="v2_conn").wait()

    assert run.states()["same"] == "failed"
    assert "choose latest=True" in run.log("same")

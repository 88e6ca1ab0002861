"""The logical date of a triggered run, and runs of others that exist or are active, on real deployments."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from astro_provider.api import trigger_now
from astro_provider.hooks.astro import AstroHook
from tests.integration.conftest import CaseRuns, both_targets, every_mode
from tests.integration.runs import Run, runs_of, trigger_run

MODES = ("sync", "deferred", "worker")
CONNS = ("v2_conn", "v1_conn")
CASES = {
    **{f"dated_{mode}": (f"trigger_dated_{mode}", {}) for mode in MODES},
    **{f"undated_{mode}": (f"trigger_undated_{mode}", {"conn": "v2_conn"}) for mode in MODES},
}


@pytest.fixture(scope="module")
def batch(start_case):
    return CaseRuns(start_case, CASES)


@pytest.fixture(scope="module")
def failed_runs(deployments):
    """For each mode and target, a failed run that no task of the tests has created."""
    runs = {}
    for conn in CONNS:
        for mode in MODES:
            date = (datetime(2010, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)).isoformat()
            target = deployments.target_of(conn)
            runs[mode, conn] = trigger_run(target, "fails_once", run_id=f"theirs-{uuid4().hex}", logical_date=date)
    return {case: run.wait() for case, run in runs.items()}


@pytest.fixture(scope="module")
def resuming(start_case, failed_runs):
    """For each mode and target, a run whose task resumes the failed run with the same run id or logical date."""
    runs = {}
    for (mode, conn), failed in failed_runs.items():
        by_date = mode == "worker"
        same = {"date": failed.get()["logical_date"]} if by_date else {"run_id": failed.run_id}
        runs[mode, conn] = start_case(f"resume_{mode}", conn=conn, **same)
    return runs


@pytest.fixture(scope="module")
def active_runs(deployments):
    """For each target, a queued run that no task of the tests has created, of a dag without other active runs."""
    for conn in CONNS:
        for run in runs_of(deployments.target_of(conn), "busy").values():
            if run.state == "queued":
                run.deployment.request("PATCH", run.path, json={"state": "failed"})
    return {conn: trigger_run(deployments.target_of(conn), "busy", run_id=f"theirs-{uuid4().hex}") for conn in CONNS}


@pytest.fixture(scope="module")
def meeting(start_case, active_runs):
    """Runs whose task finds the active run, for each choice, mode and target that is tested."""
    cases = {("attach", mode, conn) for mode in MODES for conn in CONNS}
    cases |= {("skip", "sync", "v2_conn"), ("skip", "deferred", "v1_conn")}
    cases |= {("fail", "sync", "v1_conn"), ("fail", "deferred", "v2_conn")}
    return {
        (choice, mode, conn): start_case(f"trigger_busy_{mode}", conn=conn, choice=choice)
        for choice, mode, conn in sorted(cases)
    }


def remote_run(run: Run, target, dag_id: str) -> Run:
    return Run(target, dag_id, run.xcom("trigger", "trigger_run_id"))


@both_targets
@every_mode
def test_remote_task_can_use_ds_by_default(batch, conn, target, mode):
    run = batch.finished(f"dated_{mode}", conn)

    assert run.state == "success"
    remote = remote_run(run, target, "dated")
    assert remote.state == "success"
    date = remote.get()["logical_date"]
    assert remote.xcom("use") == date[:10]
    queued = datetime.fromisoformat(run.get()["queued_at"].replace("Z", "+00:00"))
    ended = datetime.fromisoformat(run.get()["end_date"].replace("Z", "+00:00"))
    assert queued < datetime.fromisoformat(date.replace("Z", "+00:00")) < ended


@every_mode
@pytest.mark.parametrize("conn", ["v2_conn"])
def test_none_is_a_run_without_a_logical_date(batch, conn, target, mode):
    run = batch.finished(f"undated_{mode}", conn)

    assert run.state == "success"
    created = remote_run(run, target, "quick").get()
    assert (created["state"], created["logical_date"]) == ("success", None)


@pytest.mark.parametrize("conn", CONNS)
def test_run_with_the_same_time_by_chance_is_no_obstacle(deployments, conn, target, monkeypatch):
    """The clock of the client stands still, so that its first request has the logical date of the other run."""
    monkeypatch.setenv("AIRFLOW_CONN_CHOICES", json.dumps(target.connection("login")))
    now = time.time() - 60
    date = datetime.fromtimestamp(now, timezone.utc).isoformat()
    theirs = trigger_run(target, "quick", run_id=f"theirs-{uuid4().hex}", logical_date=date)
    sent: list[str] = []
    monkeypatch.setattr(
        trigger_now, "_now", lambda *args, choose=trigger_now._now, **kw: record(sent, choose(*args, **kw))
    )
    with AstroHook("choices") as hook:
        hook.client.clock = lambda: now
        mine = hook.trigger_dag_run("quick", run_id=f"mine-{uuid4().hex}")
        generated = hook.trigger_dag_run("quick")
    dates = {run["logical_date"].replace("Z", "+00:00") for run in (theirs.get(), mine, generated)}
    assert len(dates) == 3
    if target.airflow_major == 3:  # an Airflow 2 target takes its own time
        assert sent[:2] == [date, mine["logical_date"].replace("Z", "+00:00")], "the second date was sent"
    assert Run(target, "quick", mine["dag_run_id"]).wait().state == "success"


@both_targets
@every_mode
def test_failed_run_of_another_creator_is_resumed(resuming, failed_runs, conn, mode):
    run = resuming[mode, conn].wait(timeout=240)

    assert run.state == "success"
    remote = failed_runs[mode, conn]
    assert run.xcom("trigger", "trigger_run_id") == remote.run_id
    assert remote.state == "success"
    assert {task: instance["try_number"] for task, instance in remote.tasks().items()} == {"first": 1, "flaky": 2}
    assert run.log_contains("trigger", "Resuming: dag 'fails_once' already has a run with the same")


@pytest.mark.parametrize(("mode", "conn"), [("sync", "v2_conn"), ("deferred", "v1_conn")])
def test_active_run_skips_the_task(meeting, active_runs, conn, mode):
    run = meeting["skip", mode, conn].wait(timeout=240)

    assert run.states()["trigger"] == "skipped"
    assert run.log_contains("trigger", "Skipped: dag 'busy' already has a queued run")
    assert active_runs[conn].run_id in run.log("trigger")


@pytest.mark.parametrize(("mode", "conn"), [("sync", "v1_conn"), ("deferred", "v2_conn")])
def test_active_run_fails_the_task_for_good(meeting, active_runs, conn, mode):
    run = meeting["fail", mode, conn].wait(timeout=240)

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 1
    assert run.log_contains("trigger", "Not triggered: dag 'busy' already has a queued run")
    for word in (active_runs[conn].run_id, "'trigger'", "'attach'", "'skip'"):
        assert word in run.log("trigger")


@both_targets
def test_active_run_is_attached_to_and_also_by_a_retry(meeting, active_runs, conn, target):
    """The run fails, so that each task is retried: the retry continues with the same run, and repairs nothing."""
    runs = {mode: meeting["attach", mode, conn] for mode in MODES}
    remote = active_runs[conn]
    for mode, run in runs.items():
        run.wait_until(
            lambda run=run: "Attached: dag 'busy' already has a queued run" in attached_log(run),
            f"attached: {mode}",
            240,
        )
    for choice, mode, of in meeting:
        if of == conn and choice != "attach":
            meeting[choice, mode, of].wait(timeout=240)
    target.request("PATCH", remote.path, json={"state": "failed"})
    for run in runs.values():
        assert run.wait(timeout=240).state == "failed"
        assert run.tasks()["trigger"]["try_number"] == 2
        assert run.xcom("trigger", "trigger_run_id") == remote.run_id
        assert run.log_contains("trigger", "Attached: dag 'busy' already has a failed run", 2)
    assert remote.state == "failed"
    others = [
        each for each in runs_of(target, "busy").values() if any(run.run_id in each.run_id for run in runs.values())
    ]
    assert others == []


def attached_log(run: Run) -> str:
    return run.log("trigger", 1) if run.states().get("trigger") in ("running", "deferred") else ""


def record(sent: list[str], date: str) -> str:
    sent.append(date)
    return date

"""Waits for idle dags of real targets, which end with the tasks of paused dags, and with the runs of other dags."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import pytest

from tests.integration.conftest import both_targets
from tests.integration.runs import trigger_run

CONNS = ("v2_conn", "v1_conn")
MODES = ("sync", "deferred", "worker")
POOL = "of_idle_test"


def set_slots(deployment, number):
    body = {"pool": POOL, "include_deferred": False} if deployment.airflow_major == 3 else {"name": POOL}
    deployment.request("PATCH", f"pools/{POOL}", json={**body, "slots": number}, params={"update_mask": "slots"})


def set_paused(deployment, dag_id, is_paused):
    deployment.request("PATCH", f"dags/{dag_id}", json={"is_paused": is_paused})


def date(instance, name):
    return datetime.fromisoformat(instance[name].replace("Z", "+00:00"))


@pytest.fixture(scope="module")
def end_of_work(tmp_path_factory):
    """By connection, the file that ends the first task of `stepping`."""
    return {conn: tmp_path_factory.mktemp(conn) / "end" for conn in CONNS}


@pytest.fixture(scope="module")
def remote(deployments, end_of_work):
    """In each target: a run whose first task runs when its dag is paused, and a running and a queued run of a dag."""
    runs = {}
    for conn in CONNS:
        target = deployments.target_of(conn)
        target.wait_for_dags("stepping", "pooled", "pausable")
        target.request("POST", "pools", json={"name": POOL, "slots": 0})
        runs["stepping", conn] = trigger_run(target, "stepping", conf={"until": str(end_of_work[conn])})
        runs["first", conn], runs["second", conn] = (
            trigger_run(target, "pooled", run_id=f"{name}-{uuid4().hex[:8]}") for name in ("first", "second")
        )
    for conn in CONNS:
        run = runs["stepping", conn]
        run.wait_until(run.task_is("work", "running"), "the task runs", 180)
        set_paused(run.deployment, "stepping", True)
        first = runs["first", conn]
        first.wait_until(first.task_is("work", "scheduled"), "the task has no slot", 180)
    return runs


@pytest.fixture(scope="module")
def until_stepping_is_idle(start_case, remote):
    return {conn: start_case("wait_until_idle", dag="stepping", conn=conn) for conn in CONNS}


@pytest.fixture(scope="module")
def until_pooled_is_idle(start_case, remote):
    return {conn: start_case("wait_until_idle", dag="pooled", conn=conn) for conn in CONNS}


@both_targets
def test_wait_for_a_paused_dag_ends_with_its_task_although_the_run_goes_on(
    until_stepping_is_idle, remote, end_of_work, conn
):
    run, theirs = until_stepping_is_idle[conn], remote["stepping", conn]
    for mode in MODES:
        run.wait_until(run.task_is(mode, "running", "deferred"), f"{mode} has started", 120)
        assert run.log_contains(mode, f"1 task not finished (work in run {theirs.run_id})")
    assert set(run.states().values()) <= {"running", "deferred"}

    end_of_work[conn].touch()
    run.wait()

    assert run.states() == dict.fromkeys(MODES, "success")
    assert theirs.state == "running"
    assert theirs.states()["work"] == "success"
    assert theirs.states()["after"] in (None, "scheduled"), "the worker of Airflow 2 schedules what follows a task"
    ended_at = date(theirs.tasks()["work"], "end_date")
    for mode, task in run.tasks().items():
        assert ended_at < date(task, "end_date"), mode
        assert run.log_contains(mode, "It is paused, and none of its tasks runs")
    assert run.tasks()["deferred"]["pid"] is None

    set_paused(theirs.deployment, "stepping", False)
    assert theirs.wait().states() == {"work": "success", "after": "success"}


@both_targets
def test_wait_goes_on_while_a_run_is_queued_and_ends_with_the_last_run(until_pooled_is_idle, remote, conn):
    run, first, second = until_pooled_is_idle[conn], remote["first", conn], remote["second", conn]
    for mode in MODES:
        run.wait_until(run.task_is(mode, "running", "deferred"), f"{mode} has started", 120)
        assert run.log_contains(mode, "2 runs not finished ("), "no task is active while both runs wait"
    assert f"{second.run_id} is queued" in run.log("sync")
    assert set(run.states().values()) <= {"running", "deferred"}

    set_slots(first.deployment, 1)
    run.wait()

    assert run.states() == dict.fromkeys(MODES, "success")
    assert (first.state, second.state) == ("success", "success")
    ended_at = date(second.get(), "end_date")
    for mode, task in run.tasks().items():
        assert ended_at < date(task, "end_date"), mode
        assert run.log_contains(mode, "Nothing of it is queued or running")


@both_targets
def test_retry_of_a_pause_returns_what_the_first_try_has_found(start_case, remote, conn, target):
    run = start_case("pause_at_second_try", conn=conn).wait()

    assert run.tasks()["pause"]["try_number"] == 2
    assert target.request("GET", "dags/pausable")["is_paused"] is True
    assert (run.xcom("pause")["is_paused"], run.xcom("pause")["was_paused"]) == (True, False)
    assert run.log_contains("pause", "which was not paused before")

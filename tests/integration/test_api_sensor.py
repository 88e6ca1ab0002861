"""Sensors wait for the response of any endpoint, and operators delete what might not be there."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.conftest import both_targets

WAITING = {
    "sync": ("running",),
    "reschedule": ("up_for_reschedule",),
    "deferred_0": ("deferred",),
    "deferred_1": ("deferred",),
    "deferred_2": ("deferred",),
    "in_dag_file": ("up_for_reschedule",),
}
"""The state of each sensor while it waits for the variable."""


@pytest.fixture(scope="module")
def runs(start_case, deployments):
    """A run for each target, whose sensors wait before the variable is there, and a run that deletes a variable."""
    deployments.triggering.wait_for_dags("wait_for_variable", "delete_variable_twice")
    keys = {conn: f"answer-{uuid4().hex[:8]}" for conn in ("v2_conn", "v1_conn")}
    waiting = {conn: start_case("wait_for_variable", conn=conn, key=key) for conn, key in keys.items()}
    deleting = {conn: start_case("delete_variable_twice", conn=conn, key=f"gone-{key}") for conn, key in keys.items()}
    for conn, key in keys.items():
        run = waiting[conn]
        for task_id, states in WAITING.items():
            run.wait_until(run.task_is(task_id, *states), f"{task_id} waits", timeout=240)
        deployments.target_of(conn).request("POST", "variables", json={"key": key, "value": f"of {conn}"})
    return {conn: (waiting[conn].wait(240), deleting[conn].wait(240), keys[conn]) for conn in keys}


@both_targets
@pytest.mark.parametrize("task_id", WAITING)
def test_sensor_returns_the_response_that_its_function_accepts(runs, conn, target, task_id):
    run, _, key = runs[conn]

    assert run.states()[task_id] == "success"
    response = run.xcom(task_id)
    assert response["value"] == f"of {conn}"
    assert response == target.request("GET", f"variables/{key}")


@both_targets
def test_sensor_that_cannot_wait_in_the_triggerer_says_why(runs, conn):
    run, _, _ = runs[conn]

    assert "response_check is in a DAG file, which a triggerer does not import" in run.log("in_dag_file")
    assert "waits on a worker" not in run.log("deferred_0")


@both_targets
def test_sensor_fails_as_its_parameters_say(runs, conn):
    run, _, _ = runs[conn]

    states = run.states()
    assert (states["missing"], states["timeout"], states["soft"]) == ("failed", "failed", "skipped")
    assert "has no variable 'never_there'" in run.log("missing")
    assert "Timed out after 15 s: GET variables/never_there" in run.log("timeout")


@both_targets
def test_resource_is_deleted_if_it_is_there(runs, conn, target):
    _, run, key = runs[conn]

    states = run.states()
    assert [states[each] for each in ("first", "second", "third", "misspelt")] == [
        "success",
        "success",
        "failed",
        "failed",
    ]
    assert run.xcom("second")["detail" if conn == "v2_conn" else "status"]
    assert f"Answered 204: DELETE variables/gone-{key} in Deployment " in run.log("first")
    assert f"Answered 404: DELETE variables/gone-{key} in Deployment " in run.log("second")
    assert f"has no variable 'gone-{key}'" in run.log("third")
    assert "has no such endpoint" in run.log("misspelt")
    listed = target.request("GET", "variables", params={"limit": 100})["variables"]
    assert f"gone-{key}" not in [each["key"] for each in listed]

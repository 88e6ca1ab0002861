"""A user ends a task while its request is under way or while it waits: its run is cancelled, no other one."""

from __future__ import annotations

import pytest

from tests.integration.fault_cases import POST, TASK, Concurrently, until
from tests.integration.fault_proxy import Hold

MOMENTS = {"before": False, "after": True}
ENDED = [(moment, action) for moment in (*MOMENTS, "waiting") for action in ("mark", "clear")]


def end_task(name, case):
    """Mark the task failed or clear it; its request has not reached the target yet, or its response is under way."""
    moment, action = name
    hold = None
    if moment in MOMENTS:
        hold = case.proxy.add(Hold(POST, case.marker, after_response=MOMENTS[moment]))
    case.start()
    if hold:
        hold.wait(180)
    else:
        until(case.waits, "the task waits")
    if action == "mark":
        case.triggering.request("PATCH", f"{case.run.path}/taskInstances/{TASK}", json={"new_state": "failed"})
        until(lambda: case.run.states()[TASK] == "failed", "the task is failed")
    else:
        case.triggering.request("POST", f"{case.run.path}/clear", json={"dry_run": False})
    if hold:
        hold.release()
    return case


@pytest.fixture(scope="module")
def ended(fault_case):
    return Concurrently(end_task, {name: fault_case("triggerer", wait=True) for name in ENDED})


@pytest.mark.parametrize("moment", [*MOMENTS, "waiting"])
def test_task_that_is_marked_failed_cancels_its_run(ended, moment):
    case = ended[moment, "mark"]

    until(lambda: bool(case.remote_runs()), "the run is created")
    remote = case.remote_run()
    until(lambda: remote.state == "failed", "the run is cancelled", 45)
    assert case.run.wait().state == "failed"


@pytest.mark.parametrize("moment", [*MOMENTS, "waiting"])
def test_task_that_is_cleared_cancels_its_run_and_triggers_another_one(ended, moment):
    case = ended[moment, "clear"]

    until(lambda: len(case.remote_runs()) == 2, "the next try creates another run", 90)
    first, second = sorted(case.remote_runs(), key=lambda run: run.run_id)
    assert second.run_id.endswith(f"~{TASK}~2")
    until(lambda: first.state == "failed", "the first run is cancelled", 45)
    case.target.request("PATCH", second.path, json={"state": "success"})
    assert case.run.wait().state == "success"
    assert case.run.xcom(TASK, "trigger_run_id") == second.run_id
    assert case.proxy.count(f"PATCH {second.path}") == 0

"""A task that is killed right after its request neither mistakes its own run for another one nor resets a run twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.fault_cases import POST, TASK, Concurrently, FaultCase, until, until_after
from tests.integration.fault_proxy import Hold
from tests.integration.runs import Run, trigger_run

CLEAR = "POST dags/held/dagRuns/*"

# The choice, whether the run exists before, and after which request the process is killed.
CASES = {
    "own run, fail": ("fail", False, POST),
    "own run, skip": ("skip", False, POST),
    "own run, reset": ("reset", False, POST),
    "own run, attach": ("attach", False, POST),
    "other run, reset, killed before": ("reset", True, POST),
    "other run, reset, killed after": ("reset", True, CLEAR),
    "other run, attach": ("attach", True, POST),
}


def create_run(case: FaultCase) -> None:
    """Create the run that exists before the task starts."""
    remote = trigger_run(case.target, "held", run_id=case.conf["run_id"])
    if case.conf["on_existing_run"] == "reset":
        case.target.request("PATCH", remote.path, json={"state": "success"})


def clears(case: FaultCase) -> int:
    """Count the requests through the proxy that clear the run of a case."""
    return case.proxy.count(f"POST {Run(case.target, 'held', case.conf['run_id']).path}/clear")


@pytest.fixture(scope="module")
def prepared(fault_case, home):
    cases = {name: fault_case(home, wait=True) for name in CASES}
    for name, (choice, exists, _) in CASES.items():
        cases[name].conf |= {"run_id": f"given-{cases[name].marker}", "on_existing_run": choice}
        if exists:
            create_run(cases[name])
    until_after(time.time() + 2)  # a run that is created less than a second before the task can count as its own
    return cases


def kill_before_response(name: str, case: FaultCase) -> Hold:
    """Start a task, hold the response to its request, and, on a worker, kill its process."""
    held = case.proxy.add(Hold(CASES[name][2], case.marker, after_response=True))
    case.start()
    held.wait(180)
    if case.home == "worker":
        case.kill_process()
        held.drop()
    return held


def finish(name: str, case: FaultCase) -> FaultCase:
    """Wait until the next process waits for the run, and end the run or, if it is another one's, the task."""
    number = 2 if case.home == "worker" else 1
    until(lambda: case.try_number == number and case.waits(), "the next process waits", 180)
    if name != "other run, attach" or case.home == "worker":
        return case.finish()
    case.triggering.request("PATCH", f"{case.run.path}/taskInstances/{TASK}", json={"new_state": "failed"})
    case.run.wait()
    assert case.run.log_contains(TASK, "trigger completed")
    return case


@pytest.fixture(scope="module")
def killed(prepared, deployments, home):
    """Tasks whose process was killed after a request."""
    if home == "worker":
        # Each task leaves its slot before the next one begins.
        return Concurrently(lambda name, case: kill_before_response(name, case) and finish(name, case), prepared)
    with ThreadPoolExecutor() as executor:
        holds = list(executor.map(kill_before_response, prepared.keys(), prepared.values()))
    deployments.triggering.kill("triggerer")
    for hold in holds:
        hold.drop()
    deployments.triggering.start("triggerer")
    return Concurrently(finish, prepared)


@pytest.mark.parametrize("home", ["worker", "triggerer"], scope="module")
@pytest.mark.parametrize("name", CASES)
def test_next_process_continues_with_the_run(killed, home, name):
    case = killed[name]
    choice, exists, _ = CASES[name]

    remote = case.remote_run()
    assert clears(case) == (choice == "reset" and exists)
    assert case.run.xcom(TASK, "trigger_run_id") == remote.run_id == case.conf["run_id"]
    if case.run.state == "failed":
        assert (name, home) == ("other run, attach", "triggerer"), case.log()
        assert remote.state == "queued", "the run of another task is not cancelled"
    else:
        assert case.try_number == (2 if home == "worker" else 1)
    assert not case.proxy.count(f"PATCH {remote.path}")

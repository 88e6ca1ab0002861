"""A triggerer that is killed, restarted, or frozen while a second one takes over triggers and cancels no wrong run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.fault_cases import POST, TASK, FaultCase, until, until_after
from tests.integration.fault_proxy import Hold

# What the triggerer does when it ends: its POST request has not reached the target, the response has not reached the
# triggerer, or the task waits. (In "before", the request never reaches the target; in "during", it does afterwards.)
MOMENTS = {"before": False, "during": False, "after": True}
INTERRUPTED = [
    *((moment, wait) for moment in MOMENTS for wait in (False, True)),
    ("waiting", True),
]

# Longer than a trigger that Airflow has cancelled finds out whether its task still waits.
ON_KILL_SECONDS = 20


def start_cases(fault_case) -> tuple[dict[tuple[str, bool], FaultCase], dict[tuple[str, bool], Hold]]:
    """Start a case for each moment, and wait until all have come to it."""
    cases, holds = {}, {}
    for name in INTERRUPTED:
        moment, wait = name
        case = cases[name] = fault_case("triggerer", wait)
        if moment in MOMENTS:
            holds[name] = case.proxy.add(Hold(POST, case.marker, after_response=MOMENTS[moment]))
        case.start()
    for hold in holds.values():
        hold.wait(120)
    until(cases["waiting", True].waits, "the task waits")
    return cases, holds


def release(holds: dict[tuple[str, bool], Hold]) -> None:
    for (moment, _), hold in holds.items():
        if moment == "before":
            hold.drop()
        else:
            hold.release()


@contextmanager
def frozen(deployment, component) -> Iterator[None]:
    """Stop the processes of a component, as if its machine hung."""
    pids = deployment.pids(component)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def triggerer_of(case: FaultCase) -> int | None:
    """Return the id of the triggerer job that runs the trigger of a case; `None` once the task has finished."""
    job = case.run.tasks()[TASK]["triggerer_job"]
    return job and job["id"]


@pytest.fixture(scope="module")
def killed(deployments, fault_case):
    cases, holds = start_cases(fault_case)
    deployments.triggering.kill("triggerer")
    release(holds)
    deployments.triggering.start("triggerer")
    return cases


@pytest.fixture(scope="module")
def restarted(deployments, fault_case):
    cases, holds = start_cases(fault_case)
    deployments.triggering.stop("triggerer")
    release(holds)
    deployments.triggering.start("triggerer")
    return cases


@pytest.fixture(scope="module")
def taken_over(deployments, fault_case):
    """Cases whose triggerer froze, and continued after a second one had taken over its triggers."""
    triggering = deployments.triggering
    cases, holds = start_cases(fault_case)
    first = triggerer_of(cases["waiting", True])
    second = triggering.start_second("triggerer", "--skip-serve-logs")
    try:
        with frozen(triggering, "triggerer"):
            for case in cases.values():
                until(lambda: triggerer_of(case) != first, "the second triggerer has taken over", 120)  # noqa: B023
                if case.wait:
                    until(case.waits, "the task waits in the second triggerer")
        release(holds)
        until_after(time.time() + ON_KILL_SECONDS)
        yield cases
    finally:
        triggering.stop(second)


def check(case: FaultCase) -> None:
    """Check that one run was created, and that the triggerer cancelled nothing."""
    case.finish()
    assert case.run.state == "success"
    assert case.try_number == 1
    remote = case.remote_run()
    assert remote.state == ("success" if case.wait else "queued")
    assert case.run.xcom(TASK, "trigger_run_id") == remote.run_id
    assert not case.proxy.count(f"PATCH {remote.path}")
    if case.wait:
        assert case.run.xcom(TASK)["state"] == "success"


@pytest.mark.parametrize("name", INTERRUPTED, ids=str)
def test_next_triggerer_continues_after_a_kill(killed, name):
    check(killed[name])


@pytest.mark.parametrize("name", INTERRUPTED, ids=str)
def test_restart_cancels_nothing(restarted, name):
    check(restarted[name])


@pytest.mark.parametrize("name", INTERRUPTED, ids=str)
def test_frozen_triggerer_neither_creates_nor_cancels_a_run(taken_over, name):
    check(taken_over[name])

"""A task whose process, requests or target fail triggers exactly one run; its requests go through a proxy."""

from __future__ import annotations

import psutil
import pytest

from tests.integration.fault_cases import CHECK, POST, TASK, Concurrently, FaultCase, until
from tests.integration.fault_proxy import Hold, LoseResponse

# When the process of the task is killed, and what happens to its POST request:
# before: the target never receives it; during: the target receives it after the process has ended;
# late: the target receives it after that of the next process; after: the target has responded, but not the proxy;
# waiting: the target has responded before, and the task waits for the run.
MOMENTS = ("before", "during", "late", "after", "waiting")
LOST_MOMENTS = ("during", "after", "waiting")
KILLED = [(moment, wait) for moment in MOMENTS for wait in (False, True) if wait or moment != "waiting"]


def kill_process(moment: str, case: FaultCase) -> FaultCase:
    held = case.proxy.add(Hold(CHECK if moment == "waiting" else POST, case.marker, after_response=moment == "after"))
    next_post = Hold(POST, case.marker, after_response=True)
    if moment == "late":
        case.proxy.add(next_post)
    case.start()
    held.wait(180)
    case.kill_process()
    if moment == "before":
        held.drop()
    elif moment == "late":
        next_post.wait()
        held.release()
        next_post.release()
    else:
        held.release()
    return case.finish(180)


@pytest.fixture(scope="module")
def killed(fault_case):
    """A task on a worker for each moment, with and without waiting."""
    cases = {(moment, wait): fault_case("worker", wait) for moment, wait in KILLED}
    return Concurrently(lambda name, case: kill_process(name[0], case), cases)


@pytest.mark.parametrize(("moment", "wait"), KILLED)
def test_killed_process_of_a_worker_creates_one_run(killed, moment, wait):
    case = killed[moment, wait]

    assert case.run.state == "success"
    assert case.try_number == 2, "the first process was killed"
    remote = case.remote_run()
    assert case.run.xcom(TASK, "trigger_run_id") == remote.run_id
    assert ("Continuing: dag " in case.run.log(TASK)) == (moment in ("during", "after", "waiting"))
    if wait:
        assert case.run.xcom(TASK)["state"] == remote.state == "success"


LOST = [(times, wait) for times in (1, 2) for wait in (False, True)]


@pytest.fixture(scope="module")
def lost(fault_case):
    def lose_responses(name, case):
        case.proxy.add(LoseResponse(POST, case.marker, times=name[1]))
        return case.start().finish(180)

    cases = {(home, times, wait): fault_case(home, wait) for home in ("worker", "triggerer") for times, wait in LOST}
    return Concurrently(lose_responses, cases)


@pytest.mark.parametrize("home", ["worker", "triggerer"])
@pytest.mark.parametrize(("times", "wait"), LOST)
def test_lost_response_creates_one_run(lost, home, times, wait):
    case = lost[home, times, wait]

    assert case.run.state == "success"
    assert case.try_number == 1
    remote = case.remote_run()
    assert case.run.xcom(TASK, "trigger_run_id") == remote.run_id
    assert "that this try created" in case.run.log(TASK)


def kill_worker(moment, case):
    """Kill the supervisor of the task, too, so that Airflow notices only that the heartbeats end."""
    held = case.proxy.add(Hold(CHECK if moment == "waiting" else POST, case.marker, after_response=moment == "after"))
    case.start()
    held.wait(180)
    task = psutil.Process(case.pid)
    for process in (task.parent(), task):
        process.kill()
    held.release()
    until(lambda: case.try_number == 2, "the heartbeat timed out", 180)
    return case.finish(180)


@pytest.fixture(scope="module")
def lost_workers(fault_case):
    return Concurrently(kill_worker, {moment: fault_case("worker", wait=True) for moment in LOST_MOMENTS})


@pytest.mark.faults
@pytest.mark.parametrize("moment", LOST_MOMENTS)
def test_lost_worker_creates_one_run(lost_workers, moment):
    case = lost_workers[moment]

    assert case.run.state == "success"
    assert case.try_number == 2
    assert case.run.xcom(TASK, "trigger_run_id") == case.remote_run().run_id
    assert not case.proxy.count(f"PATCH {case.remote_run().path}")
    assert "Continuing: dag " in case.run.log(TASK)

"""Tasks that return what tasks of a remote run returned, on real deployments, asserted at both ends."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.conftest import CaseRuns, both_targets, every_mode
from tests.integration.fault_cases import CONN
from tests.integration.fault_proxy import Unavailable
from tests.integration.runs import Run, runs_of, trigger_run

MODES = ("sync", "deferred", "worker")
CONNS = ("v2_conn", "v1_conn")
REPORT = {"rows": 12, "share": 0.5, "name": "żółw", "parts": [1, None, True], "more": {}}
PARTS = [{"number": 2}, {"number": 0}]


@pytest.fixture(scope="module")
def new_runs(start_case):
    return CaseRuns(start_case, {mode: (f"result_of_new_run_{mode}", {}) for mode in MODES})


@both_targets
@every_mode
def test_task_returns_what_a_task_of_its_remote_run_returned(new_runs, conn, target, mode):
    run = new_runs.finished(mode, conn)

    assert run.state == "success"
    remote = Run(target, "quick", run.xcom("trigger", "trigger_run_id"))
    assert run.xcom("trigger") == remote.xcom("answer") == {"answer": 42, "conf": {"run": run.run_id}}
    assert run.xcom("use") == 43
    assert [run_id for run_id in runs_of(target, "quick") if run.run_id in run_id] == [remote.run_id]
    assert bool(run.tasks()["trigger"]["pid"]) == (mode != "deferred")


@pytest.fixture(scope="module")
def results(start_case, deployments):
    """For each mode and target, a run whose tasks read the XComs of one run."""
    remote = {conn: trigger_run(deployments.target_of(conn), "results") for conn in CONNS}
    for run in remote.values():
        assert run.wait(400).state == "success"
    conf = {conn: {"conn": conn, "run_id": run.run_id, "text_task": "text"} for conn, run in remote.items()}
    return {
        (mode, conn): start_case(f"results_of_run_{mode}", **conf[conn])
        for mode in ("sync", "deferred")
        for conn in CONNS
    }


@both_targets
@pytest.mark.parametrize("mode", ["sync", "deferred"])
def test_values_keep_their_types_and_errors_are_final(results, conn, mode):
    run = results[mode, conn].wait(500)

    read = {"report": REPORT, "number": 7, "text": "plain", "key": [1, 2]}
    read |= {"part": PARTS, "no_part": [], "several": {"number": 7, "part": PARTS}}
    refused = {
        "nothing": "Tasks of the run that have one: 'large', 'moment', 'number', 'pair', 'part', 'report', 'text'",
        "moment": "it is not JSON, but datetime.datetime",
        "large": "it is larger than 1 MiB as JSON",
    }
    if conn == "v2_conn":
        read["pair"] = ["a", 1]
    else:
        refused["pair"] = "it is not JSON, but tuple or set"
    assert run.states() == {**dict.fromkeys(read, "success"), **dict.fromkeys(refused, "failed")}
    assert {task_id: run.xcom(task_id) for task_id in read} == read
    for task_id, message in refused.items():
        assert run.log_contains(task_id, message)
        assert run.tasks()[task_id]["try_number"] == 1, "a retry cannot help"


WAITING = {"sync": "running", "reschedule": "up_for_reschedule", "deferred": "deferred", "worker": "deferred"}


@pytest.fixture(scope="module")
def late_results(start_case, deployments):
    """For each mode and target, a sensor that waited for a run before the run started."""
    remote = {conn: trigger_run(deployments.target_of(conn), "late_result") for conn in CONNS}
    runs = {
        (mode, conn): start_case(f"late_result_{mode}", conn=conn, run_id=run.run_id)
        for mode in WAITING
        for conn, run in remote.items()
    }
    for (mode, _), run in runs.items():
        run.wait_until(run.task_is("sensor", WAITING[mode]), f"the sensor is {WAITING[mode]}", 240)
    for conn in CONNS:
        deployments.target_of(conn).request("PATCH", "dags/late_result", json={"is_paused": False})
    return {(mode, conn): (run, remote[conn]) for (mode, conn), run in runs.items()}


@both_targets
@pytest.mark.parametrize("mode", WAITING)
def test_sensor_returns_what_a_task_of_the_run_returned(late_results, conn, mode):
    run, remote = late_results[mode, conn]
    run.wait(400)

    assert run.state == "success"
    assert run.xcom("sensor") == remote.xcom("answer") == {"answer": 42}
    assert bool(run.tasks()["sensor"]["pid"]) == (mode != "deferred")


# How often the read fails: each try sends it three times, and a worker tries again what the triggerer could not read.
FAILURES = {"sync": 3, "worker": 3, "deferred": 6}


@pytest.fixture(scope="module")
def unreadable(deployments, proxy):
    """For each mode, a run whose task cannot read the value in its first try, and the fault."""
    cases = {}
    for mode, times in FAILURES.items():
        run_id, dag_id = f"test-{uuid4().hex[:8]}", f"result_of_new_run_{mode}"
        remote_id = f"localhost:{deployments.triggering.port}~{dag_id}~{run_id}~trigger~1"
        entry = f"GET dags/quick/dagRuns/{remote_id}/taskInstances/answer/xcomEntries/return_value"
        fault = proxy.add(Unavailable(entry, times=times))
        cases[mode] = trigger_run(deployments.triggering, dag_id, run_id=run_id, conf={"conn": CONN}), remote_id, fault
    return cases


@every_mode
def test_retry_reads_a_value_that_could_not_be_read_and_runs_nothing(unreadable, deployments, proxy, mode):
    run, remote_id, fault = unreadable[mode]
    run.wait(400)

    assert run.state == "success"
    assert fault.handled == FAILURES[mode]
    assert run.tasks()["trigger"]["try_number"] == 2
    remote = Run(deployments.target, "quick", remote_id)
    assert run.xcom("trigger") == remote.xcom("answer") == {"answer": 42, "conf": {"run": run.run_id}}
    assert [each for each in runs_of(deployments.target, "quick") if run.run_id in each] == [remote_id]
    assert remote.tasks()["answer"]["try_number"] == 1
    assert not proxy.count(f"POST dags/quick/dagRuns/{remote_id}/clear")

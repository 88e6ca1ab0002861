"""Many tasks whose requests fail at random create exactly one run each."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.integration.fault_cases import CONN, remote_runs
from tests.integration.fault_proxy import FailAtRandom
from tests.integration.runs import trigger_run

TASKS = 20  # of a run of the dag fault_unmapped


@pytest.fixture
def faults(proxy):
    fault = proxy.add(FailAtRandom("*", times=100_000))
    yield fault
    proxy.remove(fault)


def check_runs(deployments, runs, marker, expected, wait):
    for run in runs:
        assert run.state == "success", run.states()
    remote = [run.get() for run in remote_runs(deployments.target, "instant", marker)]
    assert sorted(str(run["conf"]["part"]) for run in remote) == sorted(expected)
    if wait:
        assert {run["state"] for run in remote} == {"success"}


def start(deployments, dag_id, run_id, wait, **conf):
    conf |= {"conn": CONN, "dag": "instant", "wait": wait}
    return trigger_run(deployments.triggering, dag_id, run_id=run_id, conf=conf)


@pytest.mark.parametrize(
    ("parts", "wait"),
    [
        (20, True),
        pytest.param(200, False, marks=pytest.mark.faults),
        pytest.param(200, True, marks=pytest.mark.faults),
    ],
)
def test_mapped_triggers_create_one_run_each(deployments, faults, parts, wait):
    marker = f"many-{uuid4().hex[:8]}"
    run = start(deployments, "fault_mapped", marker, wait, parts=parts).wait(timeout=1200)

    check_runs(deployments, [run], marker, [str(part) for part in range(parts)], wait)
    print(f"{faults.failed} of {faults.handled} requests failed")
    assert faults.failed or parts < 100


@pytest.mark.parametrize(
    ("dag_runs", "wait"),
    [
        (1, True),
        pytest.param(10, False, marks=pytest.mark.faults),
        pytest.param(10, True, marks=pytest.mark.faults),
    ],
)
def test_unmapped_triggers_create_one_run_each(deployments, faults, dag_runs, wait):
    marker = f"many-{uuid4().hex[:8]}"
    runs = [start(deployments, "fault_unmapped", f"{marker}-{n}", wait) for n in range(dag_runs)]
    for run in runs:
        run.wait(timeout=1200)

    expected = [f"{number} of {run.run_id}" for run in runs for number in range(TASKS)]
    check_runs(deployments, runs, marker, expected, wait)
    print(f"{faults.failed} of {faults.handled} requests failed")
    assert faults.failed or dag_runs < 5

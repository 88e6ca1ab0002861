"""A target that refuses connections for 45 s delays tasks that trigger and wait, but fails none."""

from __future__ import annotations

import time

import pytest

from tests.integration.fault_cases import TASK, until, until_after
from tests.integration.fault_proxy import fault_proxy

pytestmark = pytest.mark.faults

OUTAGE_SECONDS = 45
HOMES = ("worker", "triggerer")


@pytest.fixture(scope="module")
def cases(deployments, fault_case):
    """Tasks of each home that triggered their run before the outage, and tasks that started during the outage."""
    with fault_proxy(deployments.target) as proxy:
        connection = {**deployments.target.connection("astro"), "host": proxy.url}
        deployments.triggering.add_connection("outage_conn", connection)
        new = {"conn": "outage_conn", "retry_delay": 30}
        cases = {}
        for home in HOMES:
            cases[home, "wait"] = fault_case(home, wait=True, **new).start()
        for home in HOMES:
            until(cases[home, "wait"].waits, "the task waits")
        proxy.go_away()
        away_until = time.time() + OUTAGE_SECONDS
        for home in HOMES:
            cases[home, "trigger"] = fault_case(home, **new).start()
            cases[home, "trigger and wait"] = fault_case(home, wait=True, **new).start()
            cases[home, "wait"].end_remote_run()
        until_after(away_until)
        proxy.come_back()
        yield cases


@pytest.mark.parametrize("home", HOMES)
def test_wait_continues_after_the_outage(cases, home):
    case = cases[home, "wait"]

    case.run.wait()
    assert case.run.state == "success"
    assert case.try_number == 1
    assert case.run.xcom(TASK)["state"] == "success"
    assert case.run.log(TASK).count("Still waiting: ") == 1
    case.remote_run()


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("what", ["trigger", "trigger and wait"])
def test_task_that_starts_in_the_outage_creates_one_run(cases, home, what):
    case = cases[home, what].finish(180)

    assert case.run.state == "success"
    assert "refused the connection" in case.log()
    assert case.run.xcom(TASK, "trigger_run_id") == case.remote_run().run_id

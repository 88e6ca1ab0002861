"""Fixtures of the integration tests: a triggering deployment of Airflow 3, and targets of Airflow 3 and Airflow 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dev.deployments import TARGET, TARGET_V1, TRIGGERING, Deployment, running
from dev.settings import USERS
from tests.integration.fault_cases import CONN, FaultCase
from tests.integration.fault_proxy import FaultProxy, fault_proxy
from tests.integration.runs import Run, trigger_run

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"
BOTH_DAGS = HERE / "dags" / "both"  # for a triggering deployment of Airflow 3 and of Airflow 2
TARGET_DAGS = [EXAMPLES / "target", HERE / "dags" / "target"]

# A user that can read dags only by id. In the Airflow 2 target, the tests that need this user create it.
RESTRICTED_USER = "restricted"
RESTRICTED_USER_SETTINGS = {
    "PYTHONPATH": str(HERE / "auth"),
    "AIRFLOW__CORE__AUTH_MANAGER": "named_dags.NamedDagsAuthManager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
        f"{u}:{role}" for u, role in {**USERS, RESTRICTED_USER: "viewer"}.items()
    ),
}

TRIGGERING_SETTINGS = {
    "PYTHONPATH": str(HERE / "include"),  # modules of the project, which a triggerer can import
    # With many runs at once, the busy scheduler fails tasks that are resumed soon after they were deferred
    # ("finished with state success, but the task instance's state attribute is queued").
    "AIRFLOW__CORE__PARALLELISM": "4",
    # On a busy machine, callbacks take longer than Airflow's defaults of 20 and 50 seconds.
    "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "200",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "200",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # Airflow's default is 300
}

both_targets = pytest.mark.parametrize("conn", ["v2_conn", "v1_conn"])
both_modes = pytest.mark.parametrize("mode", ["sync", "deferred"])
# On a worker, in the triggerer only, or in the triggerer with a worker at the start and at the end.
every_mode = pytest.mark.parametrize("mode", ["sync", "deferred", "worker"])


@dataclass(frozen=True)
class Deployments:
    """The three deployments of the tests."""

    triggering: Deployment
    target: Deployment
    target_v1: Deployment

    def target_of(self, conn: str) -> Deployment:
        """Return the target of a connection."""
        return self.target_v1 if conn.startswith("v1") else self.target


@pytest.fixture(scope="session")
def deployments() -> Iterator[Deployments]:
    deployments = (
        replace(TRIGGERING, dags=[EXAMPLES, HERE / "dags" / "triggering", BOTH_DAGS], env=TRIGGERING_SETTINGS),
        replace(TARGET, dags=TARGET_DAGS, env=RESTRICTED_USER_SETTINGS),
        replace(
            TARGET_V1, dags=[*TARGET_DAGS, EXAMPLES, BOTH_DAGS]
        ),  # which the tests of the examples use as a triggering one
    )
    with running(*deployments) as (triggering, target, target_v1):
        target.wait_for_dags("remote_report", "quick", "daily")
        target_v1.wait_for_dags("remote_report", "quick", "daily")
        triggering.wait_for_dags("trigger_and_wait", "call_endpoints")
        connections: dict[str, dict[str, Any]] = {
            "http_conn": target.connection("http"),
            "v2_conn": target.connection("astro"),
            "v1_conn": target_v1.connection("login"),
            "v2_login": target.connection("login"),
            "v2_viewer": target.connection("astro", "viewer"),
            "v1_viewer": target_v1.connection("login", "viewer"),
            "v2_wrong_token": {**target.connection("astro"), "password": "eyJhbGciOiJIUzI1NiJ9.wrong.token"},
            "v1_wrong_token": {**target_v1.connection("login"), "password": "wrongpassword"},
            "wrong_path": {**target.connection("http"), "host": f"{target.url}/nowhere"},
            "closed_port": {"conn_type": "astro", "host": "http://localhost:9", "password": "some-token"},
        }
        for conn_id, connection in connections.items():
            triggering.add_connection(conn_id, connection)
        yield Deployments(triggering, target, target_v1)


@pytest.fixture
def target(deployments: Deployments, conn: str) -> Deployment:
    """The target of the parametrised connection ``conn``."""
    return deployments.target_of(conn)


@pytest.fixture(scope="session")
def start_case(deployments: Deployments) -> Callable[..., Run]:
    """Triggers a dag of the triggering deployment. Keywords, except ``logical_date``, are the conf of the run."""

    def start_case(dag_id: str, *, logical_date: str | None = None, **conf: Any) -> Run:
        run_id = f"test-{uuid4().hex[:8]}"
        return trigger_run(deployments.triggering, dag_id, run_id=run_id, conf=conf, logical_date=logical_date)

    return start_case


@pytest.fixture(scope="session")
def proxy(deployments: Deployments) -> Iterator[FaultProxy]:
    """A proxy in front of the Airflow 3 target, which the connection of the tests with faults leads to."""
    with fault_proxy(deployments.target) as proxy:
        connection = {**deployments.target.connection("astro"), "host": proxy.url}
        deployments.triggering.add_connection(CONN, connection)
        yield proxy


@pytest.fixture(scope="session")
def fault_case(deployments: Deployments, proxy: FaultProxy) -> Callable[..., FaultCase]:
    """Makes a case whose task triggers a run through the proxy; the keywords are those of `FaultCase`."""
    return partial(FaultCase, deployments.triggering, proxy, deployments.target)


class CaseRuns:
    """
    Independent runs that are all started at once, so that a test waits only for the rest of its own run.

    :param start_case: the fixture of this name
    :param cases: for each name, a dag id and a conf. A case without ``conn`` is started for both targets
    """

    def __init__(self, start_case: Callable[..., Run], cases: dict[str, tuple[str, dict[str, Any]]]) -> None:
        self._runs: dict[tuple[str, str], Run] = {}
        for name, (dag_id, conf) in cases.items():
            for conn in [conf["conn"]] if "conn" in conf else ["v2_conn", "v1_conn"]:
                self._runs[name, conn] = start_case(dag_id, **{**conf, "conn": conn})

    def started(self, name: str, conn: str) -> Run:
        """Return the run of a case, whether it has finished or not."""
        return self._runs[name, conn]

    def finished(self, name: str, conn: str) -> Run:
        """Wait until the run of a case has finished, and return it."""
        return self._runs[name, conn].wait(timeout=240)

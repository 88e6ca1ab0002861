"""Three real deployments for all integration tests: one of Airflow 3 triggers, one of 3 and one of 2 are targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dev.deployments import TARGET, TARGET_V1, TRIGGERING, Deployment, running
from dev.settings import USERS
from tests.integration.runs import Run, start

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"
TARGET_DAGS = [EXAMPLES / "target", HERE / "dags" / "target"]

# A user that may only ask for dags by name; made in the target of Airflow 2 by the tests that need it.
NARROW = "narrow"
NARROW_V2 = {
    "PYTHONPATH": str(HERE / "auth"),
    "AIRFLOW__CORE__AUTH_MANAGER": "named_dags.NamedDagsAuthManager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
        f"{u}:{role}" for u, role in {**USERS, NARROW: "viewer"}.items()
    ),
}

both_targets = pytest.mark.parametrize("conn", ["v2_conn", "v1_conn"])
both_modes = pytest.mark.parametrize("mode", ["sync", "deferred"])


@dataclass(frozen=True)
class World:
    """The deployments of the tests, by their roles."""

    triggering: Deployment
    target: Deployment
    target_v1: Deployment

    def behind(self, conn: str) -> Deployment:
        """The target that a connection leads to."""
        return self.target_v1 if conn.startswith("v1") else self.target


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    deployments = (
        # Many runs at once would keep its scheduler so busy that Airflow takes tasks which are quickly deferred and
        # resumed for lost ones ("finished with state success, but the task instance's state attribute is queued").
        replace(TRIGGERING, dags=[EXAMPLES, HERE / "dags" / "triggering"], env={"AIRFLOW__CORE__PARALLELISM": "4"}),
        replace(TARGET, dags=TARGET_DAGS, env=NARROW_V2),
        replace(TARGET_V1, dags=TARGET_DAGS),
    )
    with running(*deployments) as (triggering, target, target_v1):
        target.wait_for_dags("remote_report", "quick", "daily")
        target_v1.wait_for_dags("remote_report", "quick", "daily")
        triggering.wait_for_dags("trigger_and_wait", "ask")
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
            "nobody_there": {"conn_type": "astro", "host": "http://localhost:9", "password": "token-of-nobody"},
        }
        for conn_id, connection in connections.items():
            triggering.add_connection(conn_id, connection)
        yield World(triggering, target, target_v1)


@pytest.fixture
def target(world: World, conn: str) -> Deployment:
    """The target that the parametrised connection ``conn`` leads to."""
    return world.behind(conn)


@pytest.fixture(scope="session")
def begin(world: World) -> Callable[..., Run]:
    """Start a run of a dag in the triggering deployment; keywords are its conf, but for ``logical_date``."""

    def begin(dag_id: str, *, logical_date: str | None = None, **conf: Any) -> Run:
        run_id = f"test-{uuid4().hex[:8]}"
        return start(world.triggering, dag_id, run_id=run_id, conf=conf, logical_date=logical_date)

    return begin


class Batch:
    """
    Runs that do not get in each other's way, started together: the tests of a module wait for one after the other.

    :param begin: the fixture
    :param cases: name to dag id and conf; a case without ``conn`` is started for both targets
    """

    def __init__(self, begin: Callable[..., Run], cases: dict[str, tuple[str, dict[str, Any]]]) -> None:
        self._runs: dict[tuple[str, str], Run] = {}
        for name, (dag_id, conf) in cases.items():
            for conn in [conf["conn"]] if "conn" in conf else ["v2_conn", "v1_conn"]:
                self._runs[name, conn] = begin(dag_id, **{**conf, "conn": conn})

    def finished(self, name: str, conn: str) -> Run:
        """Wait until a case is over."""
        return self._runs[name, conn].wait(timeout=240)

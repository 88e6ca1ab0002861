"""Three real deployments for all integration tests: one of Airflow 3 triggers, one of 3 and one of 2 are targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dev.deployments import TARGET, TARGET_V1, TRIGGERING, Deployment, running
from tests.integration.runs import Run, start

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"
TARGET_DAGS = [EXAMPLES / "target", HERE / "dags" / "target"]


@dataclass(frozen=True)
class World:
    """The deployments of the tests, by their roles; ``targets`` by the connection that leads to each."""

    triggering: Deployment
    target: Deployment
    target_v1: Deployment

    @property
    def targets(self) -> dict[str, Deployment]:
        return {"v2_conn": self.target, "v1_conn": self.target_v1}


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    deployments = (
        replace(TRIGGERING, dags=[EXAMPLES, HERE / "dags" / "triggering"]),
        replace(TARGET, dags=TARGET_DAGS),
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
    return world.targets[conn]


@pytest.fixture(scope="session")
def begin(world: World) -> Callable[..., Run]:
    """Start a run of a dag in the triggering deployment; keywords are its conf, but for ``logical_date``."""
    number = count()

    def begin(dag_id: str, *, logical_date: str | None = None, **conf: Any) -> Run:
        return start(world.triggering, dag_id, run_id=f"test-{next(number)}", conf=conf, logical_date=logical_date)

    return begin


both_targets = pytest.mark.parametrize("conn", ["v2_conn", "v1_conn"])
both_modes = pytest.mark.parametrize("mode", ["sync", "deferred"])

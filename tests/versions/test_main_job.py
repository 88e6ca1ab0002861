"""The main job on real deployments of every Airflow that the package runs in: trigger, wait, and cancel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dev.deployments import TARGET, TRIGGERING, Deployment, running
from dev.environments import ENVIRONMENTS, RELEASES
from tests.integration.runs import Run, start

HERE = Path(__file__).parent
TARGET_DAGS = HERE.parents[1] / "example_dags" / "target", HERE.parent / "integration" / "dags" / "target"

both_modes = pytest.mark.parametrize("mode", ["worker", "deferred"])


@pytest.fixture(scope="session")
def target() -> Iterator[Deployment]:
    with running(replace(TARGET, dags=TARGET_DAGS)) as (target,):
        target.wait_for_dags("quick", "slow")
        yield target


@pytest.fixture(scope="module", params=RELEASES)
def triggering(request: pytest.FixtureRequest, target: Deployment) -> Iterator[Deployment]:
    environment = ENVIRONMENTS[f"triggering-{request.param}"]
    assert environment.is_fresh(), f"`make {environment.name}` makes its environment"
    deployment = replace(
        TRIGGERING, name=environment.name, environment=environment.name, port=8083, dags=[HERE / "dags"]
    )
    with running(deployment):
        deployment.wait_for_dags("quick_worker", "slow_deferred", "limited_deferred")
        deployment.add_connection("target", target.connection("http"))
        yield deployment


CASES = [f"{dag}_{mode}" for mode in ("worker", "deferred") for dag in ("quick", "marked", "cleared", "limited")]


@pytest.fixture(scope="module")
def runs(triggering: Deployment) -> dict[str, Run]:
    """A run for each case, all started at once to save time."""
    return {
        case: start(triggering, case.replace("marked", "slow").replace("cleared", "slow"), run_id=f"of-{case}")
        for case in (*CASES, "slow_deferred")
    }


@dataclass(frozen=True)
class Waiting:
    """A task that waits for a run of the dag `slow`, and that run."""

    task: Run
    remote: Run

    def wait_until_cancelled(self) -> None:
        self.remote.wait_until(lambda: self.remote.state == "failed", "the remote run is cancelled", timeout=90)


def waiting(run: Run, target: Deployment) -> Waiting:
    """Wait until the task waits, and the remote run runs."""
    run.wait_until(lambda: "trigger" in run.states() and ": running" in run.log("trigger"), "it waits", timeout=120)
    remote = Run(target, "slow", run.xcom("trigger", "trigger_run_id"))
    assert remote.state == "running"
    return Waiting(run, remote)


@both_modes
def test_it_triggers_and_waits(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    run = runs[f"quick_{mode}"].wait(timeout=180)
    assert run.state == "success", run.log("trigger")
    remote = Run(target, "quick", run.xcom("trigger", "trigger_run_id")).get()
    assert (remote["state"], remote["conf"]) == ("success", {"greeting": run.run_id})
    assert ("deferred" in run.log("trigger").lower()) == (mode == "deferred")


@both_modes
def test_marking_it_failed_cancels_the_remote_run(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    waits = waiting(runs[f"marked_{mode}"], target)
    deployment = waits.task.deployment
    body = {"new_state": "failed"} | ({"dry_run": False} if deployment.airflow_major == 2 else {})
    deployment.request("PATCH", f"{waits.task.path}/taskInstances/trigger", json=body)
    waits.wait_until_cancelled()
    assert waits.task.states()["trigger"] == "failed"


@both_modes
def test_clearing_it_cancels_the_remote_run(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    waits = waiting(runs[f"cleared_{mode}"], target)
    waits.task.deployment.request("POST", f"{waits.task.path}/clear", json={"dry_run": False})
    waits.wait_until_cancelled()
    waits.task.deployment.request("PATCH", waits.task.path, json={"state": "failed"})


@both_modes
def test_its_execution_timeout_cancels_the_remote_run(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    run = runs[f"limited_{mode}"].wait()
    assert run.state == "failed"
    remote = Run(target, "slow", run.xcom("trigger", "trigger_run_id"))
    assert remote.state == "failed"
    assert run.says("trigger", "Timed out: ")
    message = run.log("trigger").partition("Timed out: ")[2]
    assert remote.run_id in message
    assert target.url in message
    assert "which was running: " in message


def test_a_triggerer_that_restarts_goes_on_waiting(
    runs: dict[str, Run], triggering: Deployment, target: Deployment
) -> None:
    waits = waiting(runs["slow_deferred"], target)
    triggering.restart("triggerer")
    assert waits.task.states()["trigger"] == "deferred"
    assert waits.remote.state == "running"
    target.request("PATCH", waits.remote.path, json={"state": "success"})
    assert waits.task.wait().state == "success"
    assert waits.task.tasks()["trigger"]["try_number"] == 1

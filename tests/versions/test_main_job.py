"""A task triggers, waits for and cancels a remote run, on real deployments of every supported Airflow release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dev.deployments import TARGET, TRIGGERING, Deployment, running
from dev.environments import ENVIRONMENTS, RELEASES
from tests.integration.runs import Run, trigger_run

FOLDER = Path(__file__).parent
TARGET_DAGS = FOLDER.parents[1] / "example_dags" / "target", FOLDER.parent / "integration" / "dags" / "target"

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
        TRIGGERING, name=environment.name, environment=environment.name, port=8083, dags=[FOLDER / "dags"]
    )
    with running(deployment):
        deployment.wait_for_dags("quick_worker", "slow_deferred", "limited_deferred")
        deployment.add_connection("target", target.connection("http"))
        yield deployment


CASES = [f"{dag}_{mode}" for mode in ("worker", "deferred") for dag in ("quick", "marked", "cleared", "limited")]


@pytest.fixture(scope="module")
def runs(triggering: Deployment) -> dict[str, Run]:
    """A run for each case, all started at the same time."""
    return {
        case: trigger_run(
            triggering, case.replace("marked", "slow").replace("cleared", "slow"), run_id=f"{triggering.name}-{case}"
        )
        for case in (*CASES, "slow_deferred")
    }


@dataclass(frozen=True)
class RunPair:
    """A run whose task `trigger` waits, and the run of the dag `slow` in the target that it waits for."""

    local: Run
    remote: Run

    def wait_until_cancelled(self) -> None:
        self.remote.wait_until(lambda: self.remote.state == "failed", "the remote run is cancelled", timeout=90)


def wait_until_waiting(run: Run, target: Deployment) -> RunPair:
    """Wait until the task `trigger` waits and the remote run is running."""
    run.wait_until(
        lambda: "trigger" in run.states() and ": running" in run.log("trigger"), "the task waits", timeout=120
    )
    remote = Run(target, "slow", run.xcom("trigger", "trigger_run_id"))
    assert remote.state == "running"
    return RunPair(run, remote)


@both_modes
def test_task_triggers_a_run_and_waits_for_it(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    run = runs[f"quick_{mode}"].wait(timeout=180)
    assert run.state == "success", run.log("trigger")
    remote = Run(target, "quick", run.xcom("trigger", "trigger_run_id")).get()
    assert (remote["state"], remote["conf"]) == ("success", {"greeting": run.run_id})
    assert ("deferred" in run.log("trigger").lower()) == (mode == "deferred")


@both_modes
def test_marking_the_task_failed_cancels_the_remote_run(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    pair = wait_until_waiting(runs[f"marked_{mode}"], target)
    deployment = pair.local.deployment
    body = {"new_state": "failed"} | ({"dry_run": False} if deployment.airflow_major == 2 else {})
    deployment.request("PATCH", f"{pair.local.path}/taskInstances/trigger", json=body)
    pair.wait_until_cancelled()
    assert pair.local.states()["trigger"] == "failed"


@both_modes
def test_clearing_the_task_cancels_the_remote_run(runs: dict[str, Run], mode: str, target: Deployment) -> None:
    pair = wait_until_waiting(runs[f"cleared_{mode}"], target)
    pair.local.deployment.request("POST", f"{pair.local.path}/clear", json={"dry_run": False})
    pair.wait_until_cancelled()
    pair.local.deployment.request("PATCH", pair.local.path, json={"state": "failed"})


@both_modes
def test_execution_timeout_of_the_task_cancels_the_remote_run(
    runs: dict[str, Run], mode: str, target: Deployment
) -> None:
    run = runs[f"limited_{mode}"].wait()
    assert run.state == "failed"
    remote = Run(target, "slow", run.xcom("trigger", "trigger_run_id"))
    assert remote.state == "failed"
    assert run.log_contains("trigger", "Timed out after ")
    message = run.log("trigger").partition("Timed out after ")[2]
    assert remote.run_id in message
    assert target.url in message
    assert "its run was running" in message


def test_wait_continues_after_a_restart_of_the_triggerer(
    runs: dict[str, Run], triggering: Deployment, target: Deployment
) -> None:
    pair = wait_until_waiting(runs["slow_deferred"], target)
    triggering.restart("triggerer")
    assert pair.local.states()["trigger"] == "deferred"
    assert pair.remote.state == "running"
    target.request("PATCH", pair.remote.path, json={"state": "success"})
    assert pair.local.wait().state == "success"
    assert pair.local.tasks()["trigger"]["try_number"] == 1

"""
Two deployments here, and a DAG in the one that triggers a DAG in the other and brings home what it returned.

    python -m dev.demo [--keep]

Ends with 0 only if both runs really happened and both sides agree on what the target's task returned.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from rich.console import Console
from rich.table import Table

from dev.deployments import TARGET, TRIGGERING, Deployment, DeploymentError, running
from dev.environments import ROOT
from dev.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = ROOT / "example_dags"
# In the triggering deployment: the dag, its task that triggers, its task that shows what came home.
TRIGGERING_DAG, TRIGGER_TASK, RESULT_TASK = "trigger_and_wait", "trigger", "show_result"
# In the target: the dag, and its task that returns something.
TARGET_DAG, TARGET_TASK = "remote_report", "report"
RUN_TIMEOUT = 180  # seconds; it takes about 20
POLL_INTERVAL = 0.5


class DemoError(Exception):
    """The demo did not do what it should; the text says what is wrong."""


@dataclass(frozen=True)
class Run:
    """One dag run, in one of the two deployments."""

    deployment: Deployment
    dag_id: str
    run_id: str

    def ask(self, below: str = "") -> Any:
        return self.deployment.request("GET", f"dags/{self.dag_id}/dagRuns/{quote(self.run_id, safe='')}{below}")

    def tasks(self) -> Any:
        return self.ask("/taskInstances")["task_instances"]

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        try:
            return self.ask(f"/taskInstances/{task_id}/xcomEntries/{key}")["value"]
        except requests.HTTPError as error:
            raise DemoError(f"{task_id} of {self.dag_id} in {self.deployment.name} left no {key}: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave both deployments up until Ctrl-C")
    keep = parser.parse_args().keep
    # Not a terminal: a log, which has room for whole run ids.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        return demo(console, keep)
    except (DemoError, DeploymentError, requests.RequestException) as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything is stopped.")
        return 130


def demo(console: Console, keep: bool) -> int:
    triggering = replace(TRIGGERING, dags=[EXAMPLES / f"{TRIGGERING_DAG}.py"])
    target = replace(TARGET, dags=[EXAMPLES / "target" / f"{TARGET_DAG}.py"])
    with ExitStack() as stack:
        with Screen(console, "Starting two deployments") as screen:
            progress = lambda deployment, state: screen.show(deployment.name, deployment.url, state)  # noqa: E731
            stack.enter_context(running(triggering, target, progress=progress))
            triggering.add_connection("http_conn", target.connection())
            for deployment, dag_id in (triggering, TRIGGERING_DAG), (target, TARGET_DAG):
                screen.show(deployment.name, dag_id, "waiting for the dag")
                deployment.wait_for_dags(dag_id)
                screen.show(deployment.name, dag_id, "ready")
        try:
            with Screen(console, f"Running {TRIGGERING_DAG}, which triggers {TARGET_DAG}") as screen:
                local = trigger(triggering)
                follow(local, target, screen)
            summarise(console, local, target)
        finally:
            if keep and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                stay_up(console, triggering, target)
        console.print("Stopping both ...")
    return 0


def trigger(triggering: Deployment) -> Run:
    run = triggering.request("POST", f"dags/{TRIGGERING_DAG}/dagRuns", json={"logical_date": None})
    return Run(triggering, TRIGGERING_DAG, run["dag_run_id"])


def follow(local: Run, target: Deployment, screen: Screen) -> None:
    """Show what happens on both sides until the run in the triggering deployment is over."""
    screen.show(local.deployment.name, local.dag_id, "queued")
    screen.show(target.name, TARGET_DAG, "not there yet")
    deadline = time.monotonic() + RUN_TIMEOUT
    state = ""
    while state not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise DemoError(f"{TRIGGERING_DAG} is still {state} after {RUN_TIMEOUT} s")
        time.sleep(POLL_INTERVAL)
        state = local.ask()["state"]  # before the tasks, so that they are shown as they ended
        for run in (local, *newest_run(target)):
            show(run, screen)


def newest_run(target: Deployment) -> Iterator[Run]:
    for run in target.request("GET", f"dags/{TARGET_DAG}/dagRuns", params={"order_by": "-id", "limit": 1})["dag_runs"]:
        yield Run(target, TARGET_DAG, run["dag_run_id"])


def show(run: Run, screen: Screen) -> None:
    screen.show(run.deployment.name, run.dag_id, run.ask()["state"])
    for task in run.tasks():
        screen.show(run.deployment.name, f"  {task['task_id']}", task["state"] or "not scheduled")


def summarise(console: Console, local: Run, target: Deployment) -> None:
    """
    Print both runs and the value that came home.

    :raises DemoError: something of that is not as it should be
    """
    if (state := local.ask()["state"]) != "success":
        logs = [last_words(local, task) for task in local.tasks() if task["state"] == "failed"]
        raise DemoError("\n".join([f"{local.dag_id} ended {state}.", *logs]))
    remote = Run(target, TARGET_DAG, local.xcom(TRIGGER_TASK, "trigger_run_id"))
    table = Table(title="What happened", title_justify="left")
    for heading in ("deployment", "dag", "run", "state", "duration"):
        table.add_column(heading, overflow="fold")
    for run in (local, remote):
        answer = run.ask()
        table.add_row(run.deployment.name, run.dag_id, run.run_id, answer["state"], f"{answer['duration']:.1f} s")
    console.print(table)
    if (state := remote.ask()["state"]) != "success":
        raise DemoError(f"{remote.dag_id} in {target.name} is {state}, but {local.dag_id} took it for a success")
    returned, brought_home = remote.xcom(TARGET_TASK), local.xcom(RESULT_TASK)
    console.print(f"{TARGET_TASK} in {target.name} returned     {returned!r}", markup=False)
    console.print(f"{RESULT_TASK} in {local.deployment.name} saw  {brought_home!r}", markup=False)
    if returned != brought_home:
        raise DemoError("They differ: the value did not come home.")
    console.print("Both agree: the value came home.", style="green")


def last_words(run: Run, task: dict[str, Any]) -> str:
    """The end of a task's log."""
    log = run.ask(f"/taskInstances/{task['task_id']}/logs/{task['try_number']}")["content"]
    lines = [entry["event"] for entry in log if not entry["event"].startswith("::")]
    for entry in log:
        lines += [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
    return "\n  ".join([f"The last log lines of {task['task_id']}:", *lines[-15:]])


def stay_up(console: Console, *deployments: Deployment) -> None:
    """Print where the deployments are and how to get in, and wait for Ctrl-C."""
    table = Table(title="Both stay up until Ctrl-C", title_justify="left")
    for heading in ("deployment", "address", "user", "password"):
        table.add_column(heading)
    for deployment in deployments:
        table.add_row(deployment.name, deployment.url, deployment.username, deployment.password)
    console.print(table)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())

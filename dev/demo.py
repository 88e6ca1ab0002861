"""
Start two deployments; a DAG in one triggers a DAG in the other and returns its result.

    python -m dev.demo [--keep]

The exit code is 0 only if both runs succeeded and both deployments hold the same result.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from rich.console import Console
from rich.table import Table

from dev.deployments import TARGET, TRIGGERING, Deployment, DeploymentError, running
from dev.environments import ROOT
from dev.progress_table import ProgressTable

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = ROOT / "example_dags"
# In the triggering deployment: the dag, the task that triggers the remote run, and the task that shows its result.
TRIGGERING_DAG, TRIGGER_TASK, RESULT_TASK = "trigger_and_wait", "trigger", "show_result"
# In the target: the dag, and the task that returns the result.
TARGET_DAG, TARGET_TASK = "remote_report", "report"
RUN_TIMEOUT_SECONDS = 180  # a run usually takes about 12
POLL_INTERVAL_SECONDS = 0.5


class DemoError(Exception):
    """The demo failed; the message says why."""


@dataclass(frozen=True)
class DemoRun:
    """A dag run in one of the two deployments."""

    deployment: Deployment
    dag_id: str
    run_id: str

    def get(self, subpath: str = "") -> Any:
        return self.deployment.request("GET", f"dags/{self.dag_id}/dagRuns/{quote(self.run_id, safe='')}{subpath}")

    def tasks(self) -> Any:
        return self.get("/taskInstances")["task_instances"]

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        try:
            return self.get(f"/taskInstances/{task_id}/xcomEntries/{key}")["value"]
        except requests.HTTPError as error:
            raise DemoError(f"{task_id} of {self.dag_id} in {self.deployment.name} left no {key}: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep both deployments running until Ctrl-C or `kill`")
    keep = parser.parse_args().keep
    # A script starts its background jobs with SIGINT ignored, so Python does not handle it. SIGTERM would end this
    # program without a message.
    for end_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end_signal, signal.default_int_handler)
    # Output that is not a terminal is a log file, which has room for whole run ids.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        return demo(console, keep)
    except (DemoError, DeploymentError, requests.RequestException) as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; both deployments are stopped.")
        return 130


def demo(console: Console, keep: bool) -> int:
    triggering = replace(TRIGGERING, dags=[EXAMPLES / f"{TRIGGERING_DAG}.py"])
    target = replace(TARGET, dags=[EXAMPLES / "target" / f"{TARGET_DAG}.py"])
    with ExitStack() as stack:
        with ProgressTable(console, "Starting two deployments") as progress_table:
            progress = lambda deployment, state: progress_table.show(deployment.name, deployment.url, state)  # noqa: E731
            stack.enter_context(running(triggering, target, progress=progress))
            triggering.add_connection("http_conn", target.connection())
            for deployment, dag_id in (triggering, TRIGGERING_DAG), (target, TARGET_DAG):
                progress_table.show(deployment.name, dag_id, "waiting for the dag")
                deployment.wait_for_dags(dag_id)
                progress_table.show(deployment.name, dag_id, "ready")
        try:
            with ProgressTable(console, f"Running {TRIGGERING_DAG}, which triggers {TARGET_DAG}") as progress_table:
                local = trigger(triggering)
                follow(local, target, progress_table)
            summarise(console, local, target)
        finally:
            if keep and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                keep_running(console, triggering, target)
        console.print("Stopping both ...")
    return 0


def trigger(triggering: Deployment) -> DemoRun:
    run = triggering.request("POST", f"dags/{TRIGGERING_DAG}/dagRuns", json={"logical_date": None})
    return DemoRun(triggering, TRIGGERING_DAG, run["dag_run_id"])


def follow(local: DemoRun, target: Deployment, progress_table: ProgressTable) -> None:
    """Show the runs and tasks of both deployments until the run in the triggering deployment has ended."""
    progress_table.show(local.deployment.name, local.dag_id, "queued")
    progress_table.show(target.name, TARGET_DAG, "not created yet")
    deadline = time.monotonic() + RUN_TIMEOUT_SECONDS
    state = ""
    while state not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise DemoError(f"{TRIGGERING_DAG} is still {state} after {RUN_TIMEOUT_SECONDS} s")
        time.sleep(POLL_INTERVAL_SECONDS)
        state = local.get()["state"]  # read before the tasks, so that the final states of the tasks are shown
        for run in (local, *newest_run(target)):
            show(run, progress_table)


def newest_run(target: Deployment) -> Iterator[DemoRun]:
    for run in target.request("GET", f"dags/{TARGET_DAG}/dagRuns", params={"order_by": "-id", "limit": 1})["dag_runs"]:
        yield DemoRun(target, TARGET_DAG, run["dag_run_id"])


def show(run: DemoRun, progress_table: ProgressTable) -> None:
    progress_table.show(run.deployment.name, run.dag_id, run.get()["state"])
    for task in run.tasks():
        progress_table.show(run.deployment.name, f"  {task['task_id']}", state_and_place(task))


def state_and_place(task: dict[str, Any]) -> str:
    """Return the state of a task, and where it runs."""
    places = {"deferred": " in the triggerer", "running": " on a worker"}
    return f"{task['state'] or 'not scheduled'}{places.get(task['state'], '')}"


def summarise(console: Console, local: DemoRun, target: Deployment) -> None:
    """
    Print both runs, their tasks and the result.

    :raises DemoError: a run failed, or the results differ
    """
    if (state := local.get()["state"]) != "success":
        logs = [last_log_lines(local, task) for task in local.tasks() if task["state"] == "failed"]
        raise DemoError("\n".join([f"{local.dag_id} ended {state}.", *logs]))
    remote = DemoRun(target, TARGET_DAG, local.xcom(TRIGGER_TASK, "trigger_run_id"))
    table = Table(title="Runs", title_justify="left")
    for heading in ("deployment", "dag", "run", "state", "duration"):
        table.add_column(heading, overflow="fold")
    for run in (local, remote):
        details = run.get()
        table.add_row(run.deployment.name, run.dag_id, run.run_id, details["state"], f"{details['duration']:.1f} s")
    console.print(table)
    if (state := remote.get()["state"]) != "success":
        raise DemoError(f"{remote.dag_id} in {target.name} is {state}, but {local.dag_id} reported success")
    console.print(tasks_table(local, remote))
    console.print(
        f"{TRIGGER_TASK} ended {seconds_after_remote_run(local, remote):.1f} s after the run that it triggered."
    )
    returned, received = remote.xcom(TARGET_TASK), local.xcom(RESULT_TASK)
    console.print(f"{TARGET_TASK} in {target.name} returned {returned!r}", markup=False)
    console.print(f"{RESULT_TASK} in {local.deployment.name} received {received!r}", markup=False)
    if returned != received:
        raise DemoError(
            "The results differ: the target returned another value than the triggering deployment received."
        )
    console.print("Both deployments hold the same result.", style="green")


def tasks_table(*runs: DemoRun) -> Table:
    table = Table(title="Tasks", title_justify="left")
    for heading in ("deployment", "task", "ran in", "state", "duration"):
        table.add_column(heading)
    for run in runs:
        for task in sorted(run.tasks(), key=lambda task: str(task["start_date"])):
            # Only a task process stores its process id.
            place = "worker" if task["pid"] else "triggerer, without a task process"
            table.add_row(run.deployment.name, task["task_id"], place, task["state"], f"{task['duration']:.1f} s")
    return table


def seconds_after_remote_run(local: DemoRun, remote: DemoRun) -> float:
    """Return the time from the end of the remote run to the end of the task that waited for it."""
    (trigger_task,) = (task for task in local.tasks() if task["task_id"] == TRIGGER_TASK)
    run_end, task_end = (
        datetime.fromisoformat(each["end_date"].replace("Z", "+00:00")) for each in (remote.get(), trigger_task)
    )
    return (task_end - run_end).total_seconds()


def last_log_lines(run: DemoRun, task: dict[str, Any]) -> str:
    """Return the last lines of a task's log."""
    log = run.get(f"/taskInstances/{task['task_id']}/logs/{task['try_number']}")["content"]
    lines = [entry["event"] for entry in log if not entry["event"].startswith("::")]
    for entry in log:
        lines += [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
    return "\n  ".join([f"The last log lines of {task['task_id']}:", *lines[-15:]])


def keep_running(console: Console, *deployments: Deployment) -> None:
    """Print how to use the deployments, and wait for Ctrl-C or SIGTERM."""
    with suppress(KeyboardInterrupt):
        show_usage(console, *deployments)
        while True:
            time.sleep(1)


def show_usage(console: Console, *deployments: Deployment) -> None:
    """Print the addresses and logins of the deployments, their dags folders, and a command line for each."""
    table = Table(title="Both deployments run", title_justify="left")
    for heading in ("deployment", "address", "user", "password"):
        table.add_column(heading)
    for deployment in deployments:
        table.add_row(deployment.name, deployment.url, deployment.username, deployment.password)
    console.print(table)
    for deployment in deployments:
        console.print(
            f"{deployment.name}:\n"
            f"  put DAG files into {os.path.relpath(deployment.dags_folder)}\n"
            f"  command line:      {os.path.relpath(deployment.write_command())} dags list",
            markup=False,
            soft_wrap=True,
        )
    console.print(f"To stop both, press Ctrl-C here, or run: kill {os.getpid()}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

"""Dag runs of real deployments, which tests trigger, wait for and read with plain REST API requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dev.deployments import Deployment

FINISHED = ("success", "failed")
POLL_INTERVAL_SECONDS = 0.5


@dataclass(frozen=True)
class Run:
    """A dag run of a real deployment."""

    deployment: Deployment
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        return f"dags/{quote(self.dag_id, safe='')}/dagRuns/{quote(self.run_id, safe='')}"

    def get(self) -> dict[str, Any]:
        return self.deployment.request("GET", self.path)

    @property
    def state(self) -> str:
        return self.get()["state"]

    def wait(self, timeout: float = 120) -> Run:
        """Wait until the run has finished."""
        return self.wait_until(lambda: self.state in FINISHED, f"{self.dag_id} has finished", timeout)

    def wait_until(self, condition: Callable[[], bool], expected: str, timeout: float = 60) -> Run:
        """Wait until ``condition`` is true; ``expected`` describes it in the error."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                states = {task: self.tasks()[task]["state"] for task in self.tasks()}
                raise TimeoutError(f"not within {timeout:g} s: {expected}; tasks: {states}")
            time.sleep(POLL_INTERVAL_SECONDS)
        return self

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the task instances of the run by task id, mapped ones as `id[index]`."""
        instances = self.deployment.request("GET", f"{self.path}/taskInstances")["task_instances"]
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task for task in instances
        }

    def states(self) -> dict[str, str]:
        return {name: task["state"] for name, task in self.tasks().items()}

    def task_is(self, task_id: str, *states: str) -> Callable[[], bool]:
        """Return a condition for ``wait_until``: the task is in one of these states."""
        return lambda: self.states().get(task_id) in states

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        params = {"stringify": "false"}
        path = f"{self.path}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.deployment.request("GET", path, params=params)["value"]

    def log(self, task_id: str, try_number: int | None = None, map_index: int = -1) -> str:
        """Return the log of a task as one text, by default the log of its last try."""
        number = try_number or self.tasks()[task_id]["try_number"]
        path = f"{self.path}/taskInstances/{task_id}/logs/{number}"
        params = {"full_content": "true", "map_index": map_index}
        answer = self.deployment.request("GET", path, params=params, headers={"Accept": "application/json"})
        content = answer["content"]
        return content if isinstance(content, str) else "\n".join(map(str, content))

    def log_contains(self, task_id: str, text: str, try_number: int | None = None) -> bool:
        """Wait until the log of a task contains this text. A triggerer writes its log after it has ended the task."""
        self.wait_until(
            lambda: text in self.log(task_id, try_number), f"log of {task_id} contains {text!r}", timeout=60
        )
        return True

    def tells_once(self, task_id: str, outcome: str, dag_id: str, try_number: int | None = None) -> bool:
        """Wait until the log of a task tells an outcome of a dag, and check that one message begins with it."""
        beginning = f"{outcome}: dag '{dag_id}'"
        self.log_contains(task_id, beginning, try_number)
        number = try_number or self.tasks()[task_id]["try_number"]
        path = f"{self.path}/taskInstances/{task_id}/logs/{number}"
        params = {"full_content": "true"}
        entries = self.deployment.request("GET", path, params=params, headers={"Accept": "application/json"})["content"]
        messages = [entry["event"] for entry in entries]
        # Airflow shows the class and the message of an exception beside its own "Task failed with exception".
        messages += [str(error["exc_value"]) for entry in entries for error in entry.get("error_detail") or ()]
        told = [message for message in messages if f"{dag_id!r}" in message and message.startswith(outcome)]
        assert len(told) == 1, messages
        assert told[0][:60].startswith(beginning)
        return True


def trigger_run(deployment: Deployment, dag_id: str, *, run_id: str | None = None, **body: Any) -> Run:
    """Trigger a dag run with a plain REST API request."""
    if deployment.airflow_major == 3:
        body.setdefault("logical_date", None)
    if run_id:
        body["dag_run_id"] = run_id
    answer = deployment.request("POST", f"dags/{quote(dag_id, safe='')}/dagRuns", json=body)
    return Run(deployment, dag_id, answer["dag_run_id"])


def runs_of(deployment: Deployment, dag_id: str) -> dict[str, Run]:
    """Return the last hundred runs of a dag by run id."""
    params = {"limit": 100, "order_by": "-id"}
    answer = deployment.request("GET", f"dags/{quote(dag_id, safe='')}/dagRuns", params=params)
    return {run["dag_run_id"]: Run(deployment, dag_id, run["dag_run_id"]) for run in answer["dag_runs"]}

"""A dag of sensors in the triggering deployment, and the runs in the target that the sensors wait for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.benchmarks.pair import SLOTS
from tests.benchmarks.seeding import start_queued_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.pair import DeploymentPair

REMOTE = "dags/remote_0/dagRuns"
TIMEOUT_SECONDS = 400.0
POLL_INTERVAL_SECONDS = 2.0


@dataclass(frozen=True)
class WaitingDag:
    """
    A dag of dags/triggering/waits.py, which is run once.

    :param count: the number of its sensors
    """

    pair: DeploymentPair
    dag_id: str
    count: int

    @property
    def run_ids(self) -> list[str]:
        """The ids of the runs in the target, in the order of the sensors."""
        return [f"{self.dag_id}-{number}" for number in range(self.count)]

    def create_remote_runs(self) -> None:
        for run_id in self.run_ids:
            self.pair.target.request("POST", REMOTE, json={"dag_run_id": run_id, "logical_date": None})
        start_queued_runs(self.pair.target, self.run_ids)

    def start(self, *, on_workers: bool) -> None:
        """
        Start the dag, and wait until as many sensors wait as can at the same time.

        :param on_workers: whether the sensors wait on workers instead of deferring
        """
        body = {"dag_run_id": "benchmark", "logical_date": None}
        self.pair.triggering.request("POST", f"dags/{self.dag_id}/dagRuns", json=body)
        state, count = ("running", min(self.count, SLOTS)) if on_workers else ("deferred", self.count)
        self._wait_until(lambda: [task["state"] for task in self.tasks()].count(state) == count, f"{count} are {state}")

    def end_remote_run(self, run_id: str) -> datetime:
        """End a run in the target, and return its end date."""
        run = self.pair.target.request("PATCH", f"{REMOTE}/{run_id}", json={"state": "success"})
        return datetime.fromisoformat(run["end_date"].replace("Z", "+00:00"))

    def wait_until_ended(self) -> list[datetime]:
        """Wait until all sensors have ended, and return their end dates, in the order of the sensors."""

        def all_ended() -> bool:
            tasks = self.tasks()
            if failed := [task["task_id"] for task in tasks if task["state"] in ("failed", "upstream_failed")]:
                raise RuntimeError(f"{self.dag_id}: {', '.join(failed)} failed; see the logs in its AIRFLOW_HOME")
            return all(task["state"] == "success" for task in tasks)

        self._wait_until(all_ended, "all have ended")
        ends = {task["task_id"]: task["end_date"].replace("Z", "+00:00") for task in self.tasks()}
        return [datetime.fromisoformat(ends[f"wait_{number}"]) for number in range(self.count)]

    def tasks(self) -> list[dict[str, Any]]:
        path = f"dags/{self.dag_id}/dagRuns/benchmark/taskInstances"
        answer = self.pair.triggering.request("GET", path, params={"limit": 100})
        return list(answer["task_instances"])

    def _wait_until(self, condition: Callable[[], bool], expected: str) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                states = sorted(str(task["state"]) for task in self.tasks())
                raise TimeoutError(f"{self.dag_id}: not within {TIMEOUT_SECONDS:.0f} s: {expected}; {states}")
            time.sleep(POLL_INTERVAL_SECONDS)

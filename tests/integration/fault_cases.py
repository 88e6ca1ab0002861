"""Tasks that trigger a run through a proxy with faults, and the runs that they created in the target."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from dev.deployments import Deployment
from tests.integration.fault_proxy import FaultProxy
from tests.integration.runs import POLL_INTERVAL_SECONDS, Run, trigger_run

POST = "POST dags/held/dagRuns"
CHECK = "GET dags/held/dagRuns/*"
CONN = "fault_conn"
TASK = "trigger"


@dataclass
class FaultCase:
    """
    A task of the triggering deployment, in a dag run of its own, that triggers a run through a proxy.

    :param triggering: the triggering deployment
    :param proxy: the proxy in front of the target
    :param target: the target
    :param home: where the task lives, `worker` or `triggerer`
    :param wait: whether the task waits for the run
    :param retry_delay: of the task, in seconds; 1 or 30
    :param conf: further choices, see the dags in `faults.py`
    :ivar marker: a text that is in each request about the run: part of its run id
    """

    triggering: Deployment
    proxy: FaultProxy
    target: Deployment
    home: str
    wait: bool = False
    retry_delay: int = 1
    conn: str = CONN
    conf: dict[str, Any] = field(default_factory=dict)
    marker: str = field(default_factory=lambda: f"fault-{uuid4().hex[:8]}")

    def start(self) -> FaultCase:
        conf = {"conn": self.conn, "dag": "held", "wait": self.wait, **self.conf}
        trigger_run(self.triggering, self.run.dag_id, run_id=self.marker, conf=conf)
        return self

    @cached_property
    def run(self) -> Run:
        """The dag run of the task."""
        return Run(self.triggering, f"fault_{self.home}_{self.retry_delay}", self.marker)

    def remote_runs(self) -> list[Run]:
        """Return all runs that the task has created in the target."""
        return remote_runs(self.target, "held", self.marker)

    def remote_run(self) -> Run:
        """Return the only run that the task has created in the target."""
        (run,) = self.remote_runs()
        return run

    def waits(self) -> bool:
        """Whether the current try has pushed the run id of its run, after which it waits."""
        entries = self.triggering.request("GET", f"{self.run.path}/taskInstances/{TASK}/xcomEntries")["xcom_entries"]
        return "remote_dag_run_url" in [entry["key"] for entry in entries]

    @property
    def try_number(self) -> int:
        return self.run.tasks()[TASK]["try_number"]

    @property
    def pid(self) -> int:
        """The process of the current try, whose connections Airflow hides from other processes of the same user."""
        return self.run.tasks()[TASK]["pid"]

    def kill_process(self) -> None:
        """Kill the process of the task on its worker."""
        os.kill(self.pid, signal.SIGKILL)

    def log(self) -> str:
        """Return the logs of all tries."""
        return "\n".join(self.run.log(TASK, number) for number in range(1, self.try_number + 1))

    def end_remote_run(self, state: str = "success") -> None:
        """Wait for the run in the target, and end it."""
        until(lambda: bool(self.remote_runs()), f"{self.marker} has created a run")
        run = self.remote_run()
        self.target.request("PATCH", run.path, json={"state": state})

    def finish(self, timeout: float = 120) -> FaultCase:
        """End the run in the target if the task waits for it, and wait until the task has finished."""
        if self.wait:
            self.end_remote_run()
        self.run.wait(timeout)
        return self


def remote_runs(target: Deployment, dag_id: str, containing: str) -> list[Run]:
    """Return all runs of a dag whose run id contains a text."""
    found: list[Run] = []
    offset, total = 0, 1
    while offset < total:
        params = {"limit": 100, "offset": offset, "order_by": "id"}
        page = target.request("GET", f"dags/{quote(dag_id, safe='')}/dagRuns", params=params)
        total = page["total_entries"]
        offset += len(page["dag_runs"]) or total
        found += [Run(target, dag_id, run["dag_run_id"]) for run in page["dag_runs"]]
    return [run for run in found if containing in run.run_id]


def until(condition: Callable[[], bool], expected: str, timeout: float = 60) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {expected}")
        time.sleep(POLL_INTERVAL_SECONDS)


def until_after(moment: float) -> None:
    """Wait until a moment, in seconds since the epoch, has passed."""
    until(lambda: time.time() > moment, "the moment has passed")


class Concurrently:
    """
    Runs a function for each of several cases at the same time, so that a test waits only for its own case.

    :param run: the function, called with the name of the case and the case
    :param cases: the cases by name
    """

    def __init__(self, run: Callable[[Any, FaultCase], FaultCase], cases: dict[Any, FaultCase]) -> None:
        executor = ThreadPoolExecutor(len(cases))
        self._results: dict[Any, Future[FaultCase]] = {
            name: executor.submit(run, name, case) for name, case in cases.items()
        }
        executor.shutdown(wait=False)

    def __getitem__(self, name: Any) -> FaultCase:
        """Wait for a case, and return it."""
        return self._results[name].result(300)

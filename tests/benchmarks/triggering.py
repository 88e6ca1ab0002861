"""The cost of triggering a dag run: time, requests, and throughput of mapped tasks."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tests.benchmarks.access_log import AccessLog
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.pair import DeploymentPair, SharedDeployments
    from tests.benchmarks.sizes import Sizes

TITLE = "Triggering"
OURS, SESSION, HTTP = "this package", "requests.Session.post", "HttpOperator"
ROUND_TRIP, COLD, MAPPED = "round trip, ms", "requests of a cold process", "mapped triggers, runs per second"
DAGS = {OURS: "mapped_astro", HTTP: "mapped_http"}
TIMEOUT_SECONDS = 900.0

METHOD = """
Round trip: `AstroHook.trigger_dag_run` and a bare `requests.Session.post` of the same body take turns in one process,
each with a connection to the target that stays open; the figures are medians. Requests: those in the access log of the
target from a process that starts, triggers one run and ends. Mapped: a task of
`AstroTriggerDagRunOperator.partial(...).expand(conf=...)`, and then the same with `HttpOperator` and the POST of the
Astro documentation, with Airflow's defaults; the figure is the number of runs created in the target, divided by the
duration of the triggering dag run in seconds.
"""
LIMITATIONS = """
a network between the two, and workers on several machines. A mapped task mostly takes the time to start its process.
"""


@dataclass(frozen=True)
class TriggerTimes:
    """The values of one figure for one way of triggering."""

    what: str
    way: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def measure(sizes: Sizes, progress: Callable[[str], None], deployments: SharedDeployments) -> list[TriggerTimes]:
    pair = deployments.pair
    connections = {"http_conn": pair.target.connection("http")}
    progress(f"{sizes.round_trips} round trips each")
    with program("round_trip", str(sizes.round_trips), connections=connections) as client:
        rows = [TriggerTimes(ROUND_TRIP, way, values) for way, values in client.read().items()]
    log = AccessLog(pair.target)
    with program("cold_trigger", connections=connections) as client:
        client.read()
    rows.append(TriggerTimes(COLD, OURS, [log.count()]))
    for way, dag_id in DAGS.items():
        progress(f"{sizes.mapped_triggers} mapped triggers, {way}")
        rows.append(TriggerTimes(MAPPED, way, [mapped(pair, dag_id, sizes.mapped_triggers)]))
        progress(f"  {rows[-1].median:.1f} runs per second")
    return rows


def mapped(pair: DeploymentPair, dag_id: str, count: int) -> float:
    """Run a dag that triggers `count` runs; return the number of runs created per second."""
    log = AccessLog(pair.target)
    path = f"dags/{dag_id}/dagRuns"
    pair.triggering.request("POST", path, json={"dag_run_id": "benchmark", "logical_date": None})
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (run := pair.triggering.request("GET", f"{path}/benchmark"))["state"] not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{dag_id} is still {run['state']} after {TIMEOUT_SECONDS:.0f} s")
        time.sleep(1)
    created = sum(each.method == "POST" and each.status < 300 for each in log.requests())
    if created != count or run["state"] != "success":
        raise RuntimeError(
            f"{dag_id} is {run['state']} and created {created} runs of {count}; see the logs in its AIRFLOW_HOME"
        )
    start, end = (datetime.fromisoformat(run[f"{each}_date"].replace("Z", "+00:00")) for each in ("start", "end"))
    return created / (end - start).total_seconds()


def figures(rows: Sequence[TriggerTimes]) -> list[Figure]:
    medians = {(row.what, row.way): row.median for row in rows}
    return [
        Figure("trigger, round trip, median", "ms", medians[ROUND_TRIP, OURS],
               {SESSION: medians[ROUND_TRIP, SESSION]}, digits=1),
        Figure("requests per trigger, cold process, v2", "requests", medians[COLD, OURS], goal=Goal(1), digits=0),
        Figure("mapped triggers (more is better)", "runs per second", medians[MAPPED, OURS],
               {HTTP: medians[MAPPED, HTTP]}),
    ]  # fmt: skip


def plots(rows: Sequence[TriggerTimes]) -> list[Plot]:
    drawn = []
    for name, what in (("round-trip", ROUND_TRIP), ("mapped", MAPPED)):
        series = {row.way: [row.median] for row in rows if row.what == what}
        drawn.append(bars(f"triggering-{name}", what.capitalize(), [""], series, log=False))
    return drawn


def table(rows: Sequence[TriggerTimes]) -> Table:
    lines = [[row.what, row.way, f"{len(row.values)}",
              *(f"{each:.1f}" for each in (min(row.values), row.median, max(row.values)))] for row in rows]  # fmt: skip
    return Table(("figure", "way", "times", "minimum", "median", "maximum"), lines)

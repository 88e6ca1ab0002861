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
    from collections.abc import Callable, Mapping, Sequence

    from tests.benchmarks.pair import DeploymentPair, SharedDeployments
    from tests.benchmarks.sizes import Sizes

TITLE = "Triggering"
OURS, SESSION, HTTP = "this package", "requests.Session.post", "HttpOperator"
ROUND_TRIP, COLD, REQUESTS = "round trip, ms", "requests of a cold process", "requests per unmapped trigger"
MAPPED, UNMAPPED, WIDE = "mapped triggers, runs/s", "unmapped triggers, runs/s", "unmapped triggers in one run, runs/s"
DAGS = {
    MAPPED: {OURS: "mapped_astro", HTTP: "mapped_http"},
    UNMAPPED: {OURS: "unmapped_astro", HTTP: "unmapped_http"},
    WIDE: {OURS: "wide_astro", HTTP: "wide_http"},
}
TIMEOUT_SECONDS = 900.0

METHOD = """
Round trip: `AstroHook.trigger_dag_run` and a bare `requests.Session.post` of the same body take turns in one process,
each with a connection to the target that stays open; the figures are medians. Requests: those in the access log of the
target from a process that starts, triggers one run and ends, and those of the unmapped triggers, divided by their
number. Mapped: a task of `AstroTriggerDagRunOperator.partial(...).expand(conf=...)`, and then the same with
`HttpOperator` and the POST of the Astro documentation, with Airflow's defaults. Unmapped: ten runs, which start
together, of a dag with 20 tasks of `AstroTriggerDagRunOperator(deferrable=True)`, which does not wait for the runs, and
then the same with `HttpOperator`. All in one run: one run of a dag with 200 such tasks. The figure is the number of
runs created in the target, divided by the seconds from the start of the first triggering dag run to the end of the last
one. Of Airflow's defaults, 16 active runs of a dag, 16 active tasks of a run and 32 slots limit the tasks on workers.
"""
LIMITATIONS = """
a network between the two, and workers on several machines. A task on a worker mostly takes the time to start its
process.
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
    for what, dags in DAGS.items():
        runs = sizes.triggers // sizes.tasks_per_run if what == UNMAPPED else 1
        for way, dag_id in dags.items():
            progress(f"{what}: {sizes.triggers}, {way}")
            log = AccessLog(pair.target)
            rows.append(TriggerTimes(what, way, [created_per_second(pair, dag_id, runs, sizes.triggers)]))
            progress(f"  {rows[-1].median:.1f}")
            if what == UNMAPPED:
                rows.append(TriggerTimes(REQUESTS, way, [log.count() / sizes.triggers]))
    return rows


def created_per_second(pair: DeploymentPair, dag_id: str, runs: int, triggers: int) -> float:
    """
    Run a dag of tasks that trigger.

    :param runs: the number of its runs, which all start together
    :param triggers: the number of runs that they create in the target
    :return: the number of runs created per second
    """
    log = AccessLog(pair.target)
    path = f"dags/{dag_id}/dagRuns"
    for number in range(runs):
        pair.triggering.request("POST", path, json={"dag_run_id": f"benchmark-{number}", "logical_date": None})
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while pair.triggering.request("GET", path, params={"state": ["queued", "running"], "limit": 1})["total_entries"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{dag_id} has unfinished runs after {TIMEOUT_SECONDS:.0f} s")
        time.sleep(1)
    created = sum(each.method == "POST" and each.status < 300 for each in log.requests())
    ended = pair.triggering.request("GET", path, params={"limit": runs})["dag_runs"]
    states = sorted({run["state"] for run in ended})
    if created != triggers or states != ["success"]:
        raise RuntimeError(f"{dag_id} is {states}, created {created} runs of {triggers}; see the logs in AIRFLOW_HOME")
    start, end = min(_date(run, "start_date") for run in ended), max(_date(run, "end_date") for run in ended)
    return created / (end - start).total_seconds()


def _date(run: Mapping[str, str], name: str) -> datetime:
    return datetime.fromisoformat(run[name].replace("Z", "+00:00"))


def figures(rows: Sequence[TriggerTimes]) -> list[Figure]:
    medians = {(row.what, row.way): row.median for row in rows}
    return [
        Figure("trigger, round trip, median", "ms", medians[ROUND_TRIP, OURS],
               {SESSION: medians[ROUND_TRIP, SESSION]}, digits=1),
        Figure("requests per trigger, cold process, v2", "requests", medians[COLD, OURS], goal=Goal(1), digits=0),
        Figure("requests per trigger, in the triggerer", "requests", medians[REQUESTS, OURS],
               {HTTP: medians[REQUESTS, HTTP]}, Goal(1)),
        Figure("mapped triggers (more is better)", "runs per second", medians[MAPPED, OURS],
               {HTTP: medians[MAPPED, HTTP]}),
        Figure("unmapped triggers (more is better)", "runs per second", medians[UNMAPPED, OURS],
               {HTTP: medians[UNMAPPED, HTTP]}, Goal(4, HTTP, at_least=True)),
        Figure("unmapped triggers, all in one run (more is better)", "runs per second", medians[WIDE, OURS],
               {HTTP: medians[WIDE, HTTP]}),
    ]  # fmt: skip


def plots(rows: Sequence[TriggerTimes]) -> list[Plot]:
    series = {row.way: [row.median] for row in rows if row.what == ROUND_TRIP}
    drawn = [bars("triggering-round-trip", "Round trip, ms", [""], series, log=False)]
    created = {way: [row.median for row in rows if row.what in DAGS and row.way == way] for way in (OURS, HTTP)}
    labels = ["mapped", "unmapped", "unmapped, one run"]
    drawn.append(bars("triggering-created", "Runs created per second", labels, created, log=False))
    return drawn


def table(rows: Sequence[TriggerTimes]) -> Table:
    lines = [[row.what, row.way, f"{len(row.values)}",
              *(f"{each:.1f}" for each in (min(row.values), row.median, max(row.values)))] for row in rows]  # fmt: skip
    return Table(("figure", "way", "times", "minimum", "median", "maximum"), lines)

"""What triggering a dag run takes: time, requests, and many at once."""

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

    from tests.benchmarks.pair import Deployments, Pair
    from tests.benchmarks.sizes import Sizes

TITLE = "Triggering"
OURS, SESSION, HTTP = "this package", "requests.Session.post", "HttpOperator"
ROUND_TRIP, COLD, MAPPED = "round trip, ms", "requests of a cold process", "mapped triggers, runs per second"
DAGS = {OURS: "mapped_astro", HTTP: "mapped_http"}
TIMEOUT = 900.0  # seconds

HOW = """
Round trip: `AstroHook.trigger_dag_run` and a bare `requests.Session.post` of the same body, in turn in one process,
each with a connection to the target that is kept; medians. Requests: those in the target's access log, of a process
that is started, triggers one run, and ends. Mapped: one task of
`AstroTriggerDagRunOperator.partial(...).expand(conf=...)`, and the same by `HttpOperator` with the POST of the Astro
documentation, run one after the other with Airflow's defaults; the runs that the target made, by the seconds from start
to end of the triggering dag run.
"""
NOT_SHOWN = """
a network between the two, and workers on several machines: a mapped task is mostly the start of its process.
"""


@dataclass(frozen=True)
class Row:
    """One way to trigger, and what was measured of it."""

    what: str
    way: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def measure(sizes: Sizes, say: Callable[[str], None], deployments: Deployments) -> list[Row]:
    pair = deployments.pair
    connections = {"http_conn": pair.target.connection("http")}
    say(f"{sizes.round_trips} round trips each")
    with program("round_trip", str(sizes.round_trips), connections=connections) as client:
        rows = [Row(ROUND_TRIP, way, values) for way, values in client.hear().items()]
    log = AccessLog(pair.target)
    with program("cold_trigger", connections=connections) as client:
        client.hear()
    rows.append(Row(COLD, OURS, [log.count()]))
    for way, dag_id in DAGS.items():
        say(f"{sizes.mapped_triggers} mapped triggers, {way}")
        rows.append(Row(MAPPED, way, [mapped(pair, dag_id, sizes.mapped_triggers)]))
        say(f"  {rows[-1].median:.1f} runs per second")
    return rows


def mapped(pair: Pair, dag_id: str, count: int) -> float:
    """Run a dag that triggers so many; return how many runs per second that made."""
    log = AccessLog(pair.target)
    path = f"dags/{dag_id}/dagRuns"
    pair.triggering.request("POST", path, json={"dag_run_id": "benchmark", "logical_date": None})
    deadline = time.monotonic() + TIMEOUT
    while (run := pair.triggering.request("GET", f"{path}/benchmark"))["state"] not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{dag_id} is still {run['state']} after {TIMEOUT:.0f} s")
        time.sleep(1)
    made = sum(each.method == "POST" and each.status < 300 for each in log.requests())
    if made != count or run["state"] != "success":
        raise RuntimeError(f"{dag_id} is {run['state']} and made {made} runs of {count}; see the logs in its home")
    start, end = (datetime.fromisoformat(run[f"{each}_date"].replace("Z", "+00:00")) for each in ("start", "end"))
    return made / (end - start).total_seconds()


def figures(rows: Sequence[Row]) -> list[Figure]:
    medians = {(row.what, row.way): row.median for row in rows}
    return [
        Figure("trigger, round trip, median", "ms", medians[ROUND_TRIP, OURS],
               {SESSION: medians[ROUND_TRIP, SESSION]}, digits=1),
        Figure("requests per trigger, cold process, v2", "requests", medians[COLD, OURS], goal=Goal(1), digits=0),
        Figure("mapped triggers (more is better)", "runs per second", medians[MAPPED, OURS],
               {HTTP: medians[MAPPED, HTTP]}),
    ]  # fmt: skip


def plots(rows: Sequence[Row]) -> list[Plot]:
    drawn = []
    for name, what in (("round-trip", ROUND_TRIP), ("mapped", MAPPED)):
        series = {row.way: [row.median] for row in rows if row.what == what}
        drawn.append(bars(f"triggering-{name}", what.capitalize(), [""], series, log=False))
    return drawn


def table(rows: Sequence[Row]) -> Table:
    lines = [[row.what, row.way, f"{len(row.values)}",
              *(f"{each:.1f}" for each in (min(row.values), row.median, max(row.values)))] for row in rows]  # fmt: skip
    return Table(("what", "way", "times", "least", "median", "most"), lines)

"""The time that triggering a run and waiting for it takes in addition to the run itself, and the task processes."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psutil

from tests.benchmarks.access_log import AccessLog, started_task_processes
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars, cumulative, curves, percentile_99
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dev.deployments import Deployment
    from tests.benchmarks.pair import DeploymentPair, SharedDeployments

TITLE = "Trigger and wait"
OURS, ON_WORKER, HTTP = "deferrable", "on a worker", "HttpOperator + HttpSensor"
WAYS = {OURS: "triggerer", ON_WORKER: "worker", HTTP: "http"}  # the ends of the names of the dags
SHORT, MIDDLE, LONG = 1, 5, 30  # seconds that the task of the remote run sleeps on average
SPACING_SECONDS = 1.1  # one start in each of these periods, at a random time
TIMEOUT_SECONDS = 300.0
POLL_INTERVAL_SECONDS = 2.0
PAGE_SIZE = 100

METHOD = f"""
A task in the target sleeps for {SHORT}, {MIDDLE} or {LONG} s on average. (The times are evenly distributed from 0.5 to
1.5 s, from 2.5 to 7.5 s and from 27.5 to 32.5 s; with equal times, all runs would end at the same moment between two
checks.)

A run of its dag is triggered and waited for in three ways: with `AstroTriggerDagRunOperator(wait_for_completion=True,
deferrable=True)`, with the same on a worker (`deferrable=False`), and with `HttpOperator` followed by `HttpSensor`.
`HttpOperator` sends the POST of the Astro documentation, with the run id of the triggering run, so that the sensor can
find the run; the sensor has a `response_check` on the state of the run, and so holds a worker. Both packages check
every 5 s (`poke_interval`), and all other settings of both deployments are Airflow's defaults.

Each triggering run is a dag run of its own. They start at random times, about one per second, and the ways take turns.
Only runs of {LONG} s are waited for in separate groups, whose waits are about equally old, because all waits in a
triggerer share one poll, which is as frequent as the youngest wait needs.

The overhead is the time from the start of the first task to the end of the last one in the triggering deployment, minus
the time from `start_date` to `end_date` of the remote run. A task that starts in the triggerer starts when the
scheduler hands it over; one on a worker starts when its process runs, so that its overhead contains neither the queue
nor the start of the process. "Overhead of the dag run" contains these: it is the duration of the triggering dag run
minus that of the remote one. Task processes are counted as in "Worker time". One run of each way comes first and is not
counted.
"""
LIMITATIONS = """
a full triggerer, workers on other machines, and executors that start a pod or a container for each task process. Both
deployments run on the same machine; "machine busy" is the share of its processor time that was used.
"""


@dataclass(frozen=True)
class TriggeredRuns:
    """
    The runs of one length that were triggered and waited for in one way.

    :param seconds: how long the task in the target sleeps on average
    :param remote: the duration of each remote run
    :param overheads: the duration of the triggering tasks minus that of the remote run
    :param run_overheads: the duration of the triggering dag run minus that of the remote run
    :param ends: the time from the end of the remote run to the end of the last triggering task
    :param processes: the number of task processes in the triggering deployment
    :param busy: the share of processor time that was used on the machine
    """

    way: str
    seconds: int
    remote: list[float]
    overheads: list[float]
    run_overheads: list[float]
    ends: list[float]
    processes: int
    busy: float


@dataclass(frozen=True)
class Batch:
    """Runs of one length that are triggered in the same period: for each way, how many."""

    seconds: int
    counts: Mapping[str, int]


def measure(sizes: Sizes, progress: Callable[[str], None], deployments: SharedDeployments) -> list[TriggeredRuns]:
    pair = deployments.pair
    pair.triggering.wait_for_dags(*(f"wait_{name}" for name in WAYS.values()))
    pair.target.start("scheduler", "dag-processor")
    try:
        pair.target.wait_for_dags(*(f"sleep_{name}" for name in WAYS.values()))
        pair.target.stop("dag-processor")
        progress("one run of each way that is not counted")
        run_batch(pair, Batch(0, dict.fromkeys(WAYS, 1)))
        rows = []
        for batch in batches(sizes):
            progress(f"{sum(batch.counts.values())} remote runs of {batch.seconds} s, {', '.join(batch.counts)}")
            rows += run_batch(pair, batch)
            progress(
                "  " + ", ".join(f"{statistics.median(row.overheads):.1f} s" for row in rows[-len(batch.counts) :])
            )
        return rows
    finally:
        pair.target.stop("scheduler", "dag-processor")


def batches(sizes: Sizes) -> list[Batch]:
    ours, others = sizes.long_remote_runs
    return [
        Batch(SHORT, _counts(*sizes.short_remote_runs)),
        Batch(MIDDLE, _counts(*sizes.middle_remote_runs)),
        Batch(LONG, {OURS: ours}),
        Batch(LONG, {ON_WORKER: others, HTTP: others}),
    ]


def _counts(ours: int, others: int) -> dict[str, int]:
    return {OURS: ours, ON_WORKER: others, HTTP: others}


def run_batch(pair: DeploymentPair, batch: Batch) -> list[TriggeredRuns]:
    """Trigger the runs of a batch one after the other, wait for all, and return one row for each way."""
    random_source = random.Random(batch.seconds)  # the same order and times in each benchmark
    starts = [way for way, count in batch.counts.items() for _ in range(count)]
    random_source.shuffle(starts)
    spread = min(batch.seconds, POKE_INTERVAL_SECONDS) / 2
    log, began = AccessLog(pair.triggering), time.monotonic()
    psutil.cpu_percent()
    for number, way in enumerate(starts):
        at = began + SPACING_SECONDS * (number + random_source.random())
        time.sleep(max(0.0, at - time.monotonic()))
        conf = {"seconds": batch.seconds + spread * random_source.uniform(-1, 1)}
        body = {"dag_run_id": f"{batch.seconds}s-{number}", "logical_date": None, "conf": conf}
        pair.triggering.request("POST", f"dags/wait_{WAYS[way]}/dagRuns", json=body)
    _wait_until_ended(pair.triggering, [f"wait_{WAYS[way]}" for way in batch.counts])
    busy = psutil.cpu_percent() / 100
    started = started_task_processes(log)
    return [_row(pair, way, batch.seconds, started, busy) for way in batch.counts]


def _wait_until_ended(triggering: Deployment, dag_ids: Iterable[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    for dag_id in dag_ids:
        while _unfinished(triggering, dag_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{dag_id} has unfinished runs after {TIMEOUT_SECONDS:.0f} s")
            time.sleep(POLL_INTERVAL_SECONDS)


def _unfinished(triggering: Deployment, dag_id: str) -> int:
    params = {"state": ["queued", "running"], "limit": 1}
    return int(triggering.request("GET", f"dags/{dag_id}/dagRuns", params=params)["total_entries"])


def _row(pair: DeploymentPair, way: str, seconds: int, started: Sequence[str], busy: float) -> TriggeredRuns:
    dag_id, remote_dag_id = f"wait_{WAYS[way]}", f"sleep_{WAYS[way]}"
    prefix = f"{seconds}s-"
    remote_runs = {run["dag_run_id"]: run for run in _rows(pair.target, f"dags/{remote_dag_id}/dagRuns", "dag_runs")}
    tasks = [task for task in _rows(pair.triggering, f"dags/{dag_id}/dagRuns/~/taskInstances", "task_instances")
             if task["dag_run_id"].startswith(prefix)]  # fmt: skip
    row = TriggeredRuns(way, seconds, [], [], [], [], sum(started.count(task["id"]) for task in tasks), busy)
    for run in _rows(pair.triggering, f"dags/{dag_id}/dagRuns", "dag_runs"):
        if not run["dag_run_id"].startswith(prefix):
            continue
        if run["state"] != "success":
            raise RuntimeError(f"{run['dag_run_id']} of {dag_id} is {run['state']}; see the logs in its AIRFLOW_HOME")
        remote = remote_runs[_remote_run_id(pair.triggering, way, run)]
        own_tasks = [task for task in tasks if task["dag_run_id"] == run["dag_run_id"]]
        start, end = min(_date(task, "start") for task in own_tasks), max(_date(task, "end") for task in own_tasks)
        duration = _seconds(_date(remote, "start"), _date(remote, "end"))
        row.remote.append(duration)
        row.overheads.append(_seconds(start, end) - duration)
        row.run_overheads.append(_seconds(_date(run, "start"), _date(run, "end")) - duration)
        row.ends.append(_seconds(_date(remote, "end"), end))
    return row


def _remote_run_id(triggering: Deployment, way: str, run: Mapping[str, Any]) -> str:
    if way == HTTP:
        return str(run["dag_run_id"])
    path = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/trigger/xcomEntries/trigger_run_id"
    return str(triggering.request("GET", path)["value"])


def _rows(deployment: Deployment, path: str, key: str) -> list[dict[str, Any]]:
    """Return the rows of all pages of a list."""
    found: list[dict[str, Any]] = []
    while True:
        params = {"limit": PAGE_SIZE, "offset": len(found), "order_by": "id" if key == "dag_runs" else "start_date"}
        page = deployment.request("GET", path, params=params)
        found += page[key]
        if len(found) >= page["total_entries"]:
            return found


def _date(row: Mapping[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(row[f"{name}_date"].replace("Z", "+00:00"))


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def figures(rows: Sequence[TriggeredRuns]) -> list[Figure]:
    overhead = lambda row: statistics.median(row.overheads)  # noqa: E731
    median_end = lambda row: statistics.median(row.ends)  # noqa: E731
    return [
        _figure(rows, SHORT, "overhead of trigger and wait, run of 1 s, median", overhead, Goal(5)),
        _figure(rows, MIDDLE, "overhead of trigger and wait, run of 5 s, median", overhead),
        _figure(rows, LONG, "overhead of trigger and wait, run of 30 s, median", overhead),
        _figure(rows, MIDDLE, "end of a run of 5 s to end of task, median", median_end, Goal(2.5)),
        _figure(rows, MIDDLE, "end of a run of 5 s to end of task, p99", lambda row: percentile_99(row.ends), Goal(5)),
        _figure(rows, MIDDLE, "task processes per trigger and wait", _processes, Goal(0), unit="processes"),
    ]


def _processes(row: TriggeredRuns) -> float:
    return row.processes / len(row.ends)


def _figure(
    rows: Sequence[TriggeredRuns],
    seconds: int,
    what: str,
    value: Callable[[TriggeredRuns], float],
    goal: Goal | None = None,
    unit: str = "s",
) -> Figure:
    values = {row.way: value(row) for row in rows if row.seconds == seconds}
    return Figure(what, unit, values[OURS], {way: values[way] for way in (HTTP, ON_WORKER)}, goal)


def plots(rows: Sequence[TriggeredRuns]) -> list[Plot]:
    lengths = (SHORT, MIDDLE, LONG)
    medians = {(row.way, row.seconds): statistics.median(row.overheads) for row in rows}
    overheads = {way: [medians[way, seconds] for seconds in lengths] for way in WAYS}
    ends = {row.way: cumulative(row.ends) for row in rows if row.seconds == MIDDLE}
    return [
        bars("trigger-and-wait", "Overhead of trigger and wait, median, s", [f"run of {each} s" for each in lengths],
             overheads, log=False),
        curves("trigger-and-wait-ends", f"Tasks that have ended (%), by seconds after the end of a run of {MIDDLE} s",
               "s", ends),
    ]  # fmt: skip


def table(rows: Sequence[TriggeredRuns]) -> Table:
    headings = ("task sleeps, s", "way", "runs", "remote run, median, s", "overhead, median, s", "maximum, s",
                "overhead of the dag run, median, s", "end to end, median, s", "p99, s", "maximum, s",
                "task processes", "machine busy")  # fmt: skip
    lines = []
    for row in sorted(rows, key=lambda row: row.seconds):
        values = (statistics.median(row.remote), statistics.median(row.overheads), max(row.overheads),
                  statistics.median(row.run_overheads), statistics.median(row.ends), percentile_99(row.ends),
                  max(row.ends))  # fmt: skip
        lines.append([f"{row.seconds}", row.way, f"{len(row.ends)}", *(f"{each:.2f}" for each in values),
                      f"{row.processes}", f"{row.busy:.0%}"])  # fmt: skip
    return Table(headings, lines)

"""What a deferrable sensor takes of the workers: processes, their processor time, seconds of slots."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.access_log import AccessLog
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.pair import SLOTS
from tests.benchmarks.waiting_dag import WaitingDag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from dev.deployments import Deployment
    from tests.benchmarks.pair import Deployments
    from tests.benchmarks.sizes import Sizes

TITLE = "Worker time"
OURS, UNCHECKED, CHECKED = "AstroDagRunSensor", "HttpSensor", "HttpSensor with response_check"
DAGS = {OURS: "slots_deferrable", UNCHECKED: "slots_http_unchecked", CHECKED: "slots_http"}
MIN_DEFERRAL_SECONDS = 20.0  # seconds that all wait before their runs end

HOW = f"""
One dag of sensors after the other in the same deployment (LocalExecutor, {SLOTS} slots), all `deferrable=True`;
{MIN_DEFERRAL_SECONDS:g} s after all wait, their runs end together. A task process tells the API server of the
triggering deployment that its task runs (`PATCH .../run`) when it starts, and in which state it leaves it when it ends:
the first are counted, between the two the slot is held. CPU is that of all of the triggering deployment but its
database (scheduler and workers, DAG processor, triggerer, API server), above what it uses when idle. `HttpSensor`
defers only without a `response_check`, and then waits for no state: here until the run is there (404 before). With
one, which a wait for a state needs, it stays on its worker. A task that ends in the triggerer has Airflow's DAG
processor parse its file once more, whether there is a callback or not; that is part of the CPU.
"""
NOT_SHOWN = """
Executors that start a pod or a container for each task process, where a start costs seconds rather than this.
"""


@dataclass(frozen=True)
class Row:
    """
    One kind of sensor.

    :param starts: task processes started
    :param held: seconds of slots, all together
    :param cpu: processor seconds of the triggering deployment in the window, of which `idle` without any sensor
    """

    way: str
    sensors: int
    window: float
    starts: int
    held: float
    cpu: float
    idle: float


def measure(sizes: Sizes, say: Callable[[str], None], deployments: Deployments) -> list[Row]:
    triggering = deployments.pair.triggering
    say("idle")
    began = cpu_seconds(triggering)
    time.sleep(sizes.idle_window)
    idle = (cpu_seconds(triggering) - began) / sizes.idle_window
    rows = []
    for way, dag_id in DAGS.items():
        say(f"{sizes.sensors} sensors, {way}")
        rows.append(of_sensors(WaitingDag(deployments.pair, dag_id, sizes.sensors), way, idle))
        say(f"  {rows[-1].starts} task processes")
    return rows


def of_sensors(dag: WaitingDag, way: str, idle: float) -> Row:
    triggering = dag.pair.triggering
    if way != UNCHECKED:
        dag.make_remote_runs()
    log, cpu, began = AccessLog(triggering), cpu_seconds(triggering), time.monotonic()
    dag.begin(on_workers=way == CHECKED)
    time.sleep(MIN_DEFERRAL_SECONDS)
    if way == UNCHECKED:
        dag.make_remote_runs()
    for run_id in dag.run_ids:
        dag.end_remote_run(run_id)
    dag.ended()
    window = time.monotonic() - began
    starts, held = task_processes(log)
    used = cpu_seconds(triggering) - cpu
    return Row(way, dag.count, window, starts, held, used, idle * window)


def cpu_seconds(deployment: Deployment) -> float:
    """What all of a deployment but its database has used, from its start."""
    return sum(deployment.cpu_seconds(name) for name in deployment.components if name != "database")


def task_processes(log: AccessLog) -> tuple[int, float]:
    """Count those that have started, and the seconds from start to end of all."""
    running: dict[str, datetime] = {}
    starts, held = 0, 0.0
    for request in log.requests():
        task, _, what = request.path.rpartition("/")
        if request.method != "PATCH" or "/task-instances/" not in request.path or request.status >= 300:
            continue
        if what == "run":
            starts += 1
            running[task] = request.at
        elif what == "state" and task in running:
            held += (request.at - running.pop(task)).total_seconds()
    return starts, held


def figures(rows: Sequence[Row]) -> list[Figure]:
    per_sensor: dict[str, Callable[[Row], float]] = {
        "task processes started per sensor": lambda row: row.starts / row.sensors,
        "CPU of the triggering deployment per sensor, s": lambda row: (row.cpu - row.idle) / row.sensors,
        "slot held per sensor, s": lambda row: row.held / row.sensors,
    }
    found = []
    for what, value in per_sensor.items():
        ours, *peers = map(value, rows)
        name, _, unit = what.partition(", ")
        goal = Goal(0) if unit == "" else None
        found.append(Figure(name, unit or "processes", ours, dict(zip((UNCHECKED, CHECKED), peers, strict=True)), goal))
    return found


def plots(rows: Sequence[Row]) -> list[Plot]:
    series = {row.way: [row.starts / row.sensors, (row.cpu - row.idle) / row.sensors] for row in rows}
    return [bars("slots", "Per deferrable sensor", ["task processes", "CPU seconds"], series, log=False)]


def table(rows: Sequence[Row]) -> Table:
    headings = ("sensor", "sensors", "window, s", "task processes", "slots held, s", "CPU, s", "of which idle, s")
    lines = [
        [row.way, f"{row.sensors}", f"{row.window:.0f}", f"{row.starts}", f"{row.held:.1f}", f"{row.cpu:.1f}",
         f"{row.idle:.1f}"]
        for row in rows
    ]  # fmt: skip
    return Table(headings, lines)

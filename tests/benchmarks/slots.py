"""The use of workers by a deferrable sensor: task processes, processor time, and time in a slot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.access_log import AccessLog, task_processes
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.pair import SLOTS
from tests.benchmarks.waiting_dag import WaitingDag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from dev.deployments import Deployment
    from tests.benchmarks.pair import SharedDeployments
    from tests.benchmarks.sizes import Sizes

TITLE = "Worker time"
OURS, UNCHECKED, CHECKED = "AstroDagRunSensor", "HttpSensor", "HttpSensor with response_check"
DAGS = {OURS: "slots_deferrable", UNCHECKED: "slots_http_unchecked", CHECKED: "slots_http"}
DEFERRAL_SECONDS = 20.0  # all sensors wait for this time before their runs end

METHOD = f"""
One dag for each kind of sensor runs after the other in the same deployment (LocalExecutor, {SLOTS} slots). All sensors
have `deferrable=True`. {DEFERRAL_SECONDS:g} s after all of them wait, their runs end together. A task process sends
`PATCH .../run` to the API server of the triggering deployment when it starts, and `PATCH .../state` when it ends. The
number of task processes is that of the first requests; a slot is held between the two. CPU is the processor time of the
triggering deployment without its database (scheduler and workers, DAG processor, triggerer, API server), minus that of
the idle deployment. `HttpSensor` defers only without a `response_check`, and then cannot wait for a state: here it
waits until the run exists. With a `response_check`, which a wait for a state needs, it stays on its worker. When a task
ends in the triggerer, Airflow's DAG processor parses its file once more, even without a callback; CPU includes that.
"""
LIMITATIONS = """
executors that start a pod or a container for each task process, which takes seconds.
"""


@dataclass(frozen=True)
class SlotUse:
    """
    The use of workers by one kind of sensor.

    :param starts: number of task processes started
    :param held: seconds in a slot, summed over all sensors
    :param cpu: processor seconds of the triggering deployment in the window
    :param idle: the part of `cpu` that the deployment uses without sensors
    """

    way: str
    sensors: int
    window: float
    starts: int
    held: float
    cpu: float
    idle: float


def measure(sizes: Sizes, progress: Callable[[str], None], deployments: SharedDeployments) -> list[SlotUse]:
    triggering = deployments.pair.triggering
    progress("idle")
    began = cpu_seconds(triggering)
    time.sleep(sizes.idle_window)
    idle = (cpu_seconds(triggering) - began) / sizes.idle_window
    rows = []
    for way, dag_id in DAGS.items():
        progress(f"{sizes.sensors} sensors, {way}")
        rows.append(measure_sensors(WaitingDag(deployments.pair, dag_id, sizes.sensors), way, idle))
        progress(f"  {rows[-1].starts} task processes")
    return rows


def measure_sensors(dag: WaitingDag, way: str, idle: float) -> SlotUse:
    triggering = dag.pair.triggering
    if way != UNCHECKED:
        dag.create_remote_runs()
    log, cpu, began = AccessLog(triggering), cpu_seconds(triggering), time.monotonic()
    dag.start(on_workers=way == CHECKED)
    time.sleep(DEFERRAL_SECONDS)
    if way == UNCHECKED:
        dag.create_remote_runs()
    for run_id in dag.run_ids:
        dag.end_remote_run(run_id)
    dag.wait_until_ended()
    window = time.monotonic() - began
    starts, held = starts_and_duration(log)
    used = cpu_seconds(triggering) - cpu
    return SlotUse(way, dag.count, window, starts, held, used, idle * window)


def cpu_seconds(deployment: Deployment) -> float:
    """Return the processor time of a deployment since its start, without its database."""
    return sum(deployment.cpu_seconds(name) for name in deployment.components if name != "database")


def starts_and_duration(log: AccessLog) -> tuple[int, float]:
    """Return the number of task processes started, and the sum of their durations in seconds."""
    running: dict[str, datetime] = {}
    starts, held = 0, 0.0
    for task, resource, at in task_processes(log):
        if resource == "run":
            starts += 1
            running[task] = at
        elif resource == "state" and task in running:
            held += (at - running.pop(task)).total_seconds()
    return starts, held


def figures(rows: Sequence[SlotUse]) -> list[Figure]:
    per_sensor: dict[str, Callable[[SlotUse], float]] = {
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


def plots(rows: Sequence[SlotUse]) -> list[Plot]:
    series = {row.way: [row.starts / row.sensors, (row.cpu - row.idle) / row.sensors] for row in rows}
    return [bars("slots", "Per deferrable sensor", ["task processes", "CPU seconds"], series, log=False)]


def table(rows: Sequence[SlotUse]) -> Table:
    headings = ("sensor", "sensors", "window, s", "task processes", "slots held, s", "CPU, s", "of which idle, s")
    lines = [
        [row.way, f"{row.sensors}", f"{row.window:.0f}", f"{row.starts}", f"{row.held:.1f}", f"{row.cpu:.1f}",
         f"{row.idle:.1f}"]
        for row in rows
    ]  # fmt: skip
    return Table(headings, lines)

"""The time from the end of a remote run to the end of the task that waits for it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, Goal, Plot, Table, cumulative, curves, percentile_99
from tests.benchmarks.pair import SLOTS
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS, Sizes
from tests.benchmarks.waiting_dag import WaitingDag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.pair import SharedDeployments

TITLE = "From the end of a remote run to the end of the waiting task"
DEFERRABLE, RESUMED, HTTP = "AstroDagRunSensor", "AstroDagRunSensor, resumed on a worker", "HttpSensor"
DAGS = {DEFERRABLE: "latency_deferrable", RESUMED: "latency_resumed", HTTP: "latency_http"}

METHOD = f"""
The target has one run for each sensor. The runs end at regular intervals, each by a PATCH of its state. The first one
ends after all sensors of this package have waited for {Sizes.settled_age} s, as a younger wait is checked more often:
these are the figures of long runs, and those of short ones are in "Trigger and wait". The latency is the time from the
`end_date` of the run in the target to the `end_date` of the task in the triggering deployment; both use the same clock.
All settings are Airflow's defaults, and `poke_interval` is {POKE_INTERVAL_SECONDS:g} s. `AstroDagRunSensor` has
`deferrable=True`. Its second variant also has `start_from_trigger=False`, so that it starts and ends on a worker, as
tasks do that need one. `HttpSensor` has `deferrable=True` and a `response_check` on the state of the run. With a
`response_check` it never defers, because it cannot check a response in the triggerer: it checks on a worker and holds a
slot. So its number is limited by Airflow's {SLOTS} slots.
"""
LIMITATIONS = """
a full triggerer, a scheduler that is busy with other dags, and a network between the deployments.
"""


@dataclass(frozen=True)
class Latencies:
    """One way of waiting, and the latency of each wait."""

    way: str
    seconds: list[float]
    over: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return percentile_99(self.seconds)


def measure(sizes: Sizes, progress: Callable[[str], None], deployments: SharedDeployments) -> list[Latencies]:
    rows = []
    for way, dag_id in DAGS.items():
        count = sizes.ending_waits_on_workers if way == HTTP else sizes.ending_waits
        dag = WaitingDag(deployments.pair, dag_id, count)
        progress(f"{count} waits, {way}")
        dag.create_remote_runs()
        dag.start(on_workers=way == HTTP)
        time.sleep(POKE_INTERVAL_SECONDS if way == HTTP else sizes.settled_age)
        progress(f"  all wait; their runs end over {sizes.ending_seconds} s")
        rows.append(Latencies(way, latencies(dag, sizes.ending_seconds), sizes.ending_seconds))
        progress(f"  median {rows[-1].median:.1f} s")
    return rows


def latencies(dag: WaitingDag, over: int) -> list[float]:
    """End the remote runs one after the other; return the seconds until each sensor ended."""
    began = time.monotonic()
    run_ends = []
    for number, run_id in enumerate(dag.run_ids):
        time.sleep(max(0.0, began + number * over / dag.count - time.monotonic()))
        run_ends.append(dag.end_remote_run(run_id))
    return [(task - run).total_seconds() for task, run in zip(dag.wait_until_ended(), run_ends, strict=True)]


def figures(rows: Sequence[Latencies]) -> list[Figure]:
    *own, http = rows
    found = []
    for row in own:
        what = "end of run to end of task" + (", resumed on a worker" if row.way == RESUMED else "")
        found.append(Figure(f"{what}, median", "s", row.median, {HTTP: http.median}, Goal(4, below=True)))
        found.append(Figure(f"{what}, p99", "s", row.p99, {HTTP: http.p99}, Goal(7, below=True)))
    return found


def plots(rows: Sequence[Latencies]) -> list[Plot]:
    series = {row.way: cumulative(row.seconds) for row in rows}
    return [curves("latency", "Waiting tasks that have ended (%), by seconds after the run's end", "s", series)]


def table(rows: Sequence[Latencies]) -> Table:
    lines = [
        [row.way, f"{len(row.seconds)}", f"{row.over}",
         *(f"{each:.2f}" for each in (min(row.seconds), row.median, row.p99, max(row.seconds)))]
        for row in rows
    ]  # fmt: skip
    return Table(("sensor", "waits", "runs end over, s", "minimum, s", "median, s", "p99, s", "maximum, s"), lines)

"""How soon a waiting task ends after the run that it waits for."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, Goal, Plot, Table, curves
from tests.benchmarks.pair import SLOTS
from tests.benchmarks.waiting_dag import WaitingDag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.pair import Deployments
    from tests.benchmarks.sizes import Sizes

TITLE = "From the end of a remote run to the end of the waiting task"
DEFERRABLE, RESUMED, HTTP = "AstroDagRunSensor", "AstroDagRunSensor, resumed on a worker", "HttpSensor"
DAGS = {DEFERRABLE: "latency_deferrable", RESUMED: "latency_resumed", HTTP: "latency_http"}
MIN_DEFERRAL_SECONDS = 20.0  # seconds; a wait in the triggerer looks at its run for the first time after ten

HOW = f"""
As many runs in the target as there are sensors end evenly spread, each by a PATCH of its state. From the `end_date` of
the run, as the target has it, to that of the task, as the triggering deployment has it; both have the same clock. All
settings are Airflow's defaults, `poke_interval` is 5 s. `AstroDagRunSensor` is `deferrable=True`; the second variant is
the same with `start_from_trigger=False`, as an operator waits, too. `HttpSensor` is `deferrable=True` with a
`response_check` on the run's state: with such a check it never defers (it cannot look at an answer in the triggerer),
but holds a worker slot and looks there, so that no more of them are measured than fit into Airflow's {SLOTS} slots.
"""
NOT_SHOWN = """
A triggerer that is full, a scheduler that is busy with other dags, and a network between the deployments.
"""


@dataclass(frozen=True)
class Row:
    """One way of waiting, and the seconds of each wait."""

    way: str
    seconds: list[float]
    over: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98]


def measure(sizes: Sizes, say: Callable[[str], None], deployments: Deployments) -> list[Row]:
    rows = []
    for way, dag_id in DAGS.items():
        count = sizes.ending_waits_on_workers if way == HTTP else sizes.ending_waits
        dag = WaitingDag(deployments.pair, dag_id, count)
        say(f"{count} waits, {way}")
        dag.make_remote_runs()
        dag.begin(on_workers=way == HTTP)
        time.sleep(MIN_DEFERRAL_SECONDS)
        say(f"  all wait; their runs end over {sizes.ending_seconds} s")
        rows.append(Row(way, latencies(dag, sizes.ending_seconds), sizes.ending_seconds))
        say(f"  median {rows[-1].median:.1f} s")
    return rows


def latencies(dag: WaitingDag, over: int) -> list[float]:
    """End the remote runs one after the other; return how much later each sensor ended."""
    began = time.monotonic()
    run_ends = []
    for number, run_id in enumerate(dag.run_ids):
        time.sleep(max(0.0, began + number * over / dag.count - time.monotonic()))
        run_ends.append(dag.end_remote_run(run_id))
    return [(task - run).total_seconds() for task, run in zip(dag.ended(), run_ends, strict=True)]


def figures(rows: Sequence[Row]) -> list[Figure]:
    *own, http = rows
    found = []
    for row in own:
        what = "end of run to end of task" + (", resumed on a worker" if row.way == RESUMED else "")
        found.append(Figure(f"{what}, median", "s", row.median, {HTTP: http.median}, Goal(4, below=True)))
        found.append(Figure(f"{what}, p99", "s", row.p99, {HTTP: http.p99}, Goal(7, below=True)))
    return found


def plots(rows: Sequence[Row]) -> list[Plot]:
    series = {row.way: _share(row.seconds) for row in rows}
    return [curves("latency", "Waiting tasks that have ended (%), by seconds after the run's end", "s", series)]


def _share(seconds: Sequence[float]) -> list[tuple[float, float]]:
    in_order = sorted(seconds)
    return [(in_order[0], 0), *((each, 100 * number / len(in_order)) for number, each in enumerate(in_order, start=1))]


def table(rows: Sequence[Row]) -> Table:
    lines = [
        [row.way, f"{len(row.seconds)}", f"{row.over}",
         *(f"{each:.2f}" for each in (min(row.seconds), row.median, row.p99, max(row.seconds)))]
        for row in rows
    ]  # fmt: skip
    return Table(("sensor", "waits", "runs end over, s", "least, s", "median, s", "p99, s", "most, s"), lines)

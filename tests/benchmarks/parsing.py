"""The time that Airflow needs to build and serialize a DAG of many deferrable tasks, at every parse of its file."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.programs import program
from tests.benchmarks.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.pair import SharedDeployments

TITLE = "Building and serializing a DAG"
NEIGHBOURS = {"AstroDagRunSensor": "ExternalTaskSensor", "AstroTriggerDagRunOperator": "TriggerDagRunOperator"}

METHOD = f"""
One process creates a DAG of {Sizes.tasks_of_dag:,} tasks of one class, all with `deferrable=True`, and serializes it,
as Airflow's DAG processor does at every parse. The classes take turns. The time is the processor time of both steps,
without imports. The first round, in which Airflow fills its caches, is not counted. The figures are medians. The
operators have `wait_for_completion=True` and a `conf`.
"""
LIMITATIONS = """
the start of the process that parses a file, imports (see above), and the database, into which Airflow writes the
serialized DAG when it has changed.
"""


@dataclass(frozen=True)
class ParseTimes:
    """The milliseconds that a DAG of tasks of one class took, measured several times."""

    kind: str
    tasks: int
    building: list[float]
    serializing: list[float]

    @property
    def median(self) -> float:
        return statistics.median(map(sum, zip(self.building, self.serializing, strict=True)))


def measure(sizes: Sizes, progress: Callable[[str], None], _: SharedDeployments) -> list[ParseTimes]:
    progress(f"DAGs of {sizes.tasks_of_dag:,} tasks, {sizes.parses} times each")
    with program("build_dags", str(sizes.tasks_of_dag), str(sizes.parses), connections={}) as client:
        times = client.read()
    return [ParseTimes(kind, sizes.tasks_of_dag, *map(list, zip(*each, strict=True))) for kind, each in times.items()]


def figures(rows: Sequence[ParseTimes]) -> list[Figure]:
    medians = {row.kind: row.median for row in rows}
    return [
        Figure(f"building and serializing {rows[0].tasks:,} tasks, {ours}", "ms", medians[ours],
               {neighbour: medians[neighbour]}, Goal(1.2, neighbour), digits=0)
        for ours, neighbour in NEIGHBOURS.items()
    ]  # fmt: skip


def plots(rows: Sequence[ParseTimes]) -> list[Plot]:
    series = {row.kind: [statistics.median(row.building), statistics.median(row.serializing)] for row in rows}
    title = f"Milliseconds of processor time for {rows[0].tasks:,} deferrable tasks"
    return [bars("parsing", title, ["building", "serializing"], series, log=False)]


def table(rows: Sequence[ParseTimes]) -> Table:
    headings = ("class", "times", "building, median, ms", "serializing, median, ms", "both, minimum, ms", "median, ms",
                "maximum, ms")  # fmt: skip
    lines = []
    for row in rows:
        both = [sum(each) for each in zip(row.building, row.serializing, strict=True)]
        values = (statistics.median(row.building), statistics.median(row.serializing), min(both), row.median, max(both))
        lines.append([row.kind, f"{len(both)}", *(f"{each:.0f}" for each in values)])
    return Table(headings, lines)

"""What a DAG file pays for naming a class, at every parse."""

from __future__ import annotations

import statistics
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dev import environments
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.programs import environ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.benchmarks.pair import Deployments
    from tests.benchmarks.sizes import Sizes

TITLE = "Imports"
OURS = "all operators and sensors of this package"
IMPORTS = {
    OURS: """
from astro_provider.operators.api import AstroApiOperator
from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
""",
    "HttpOperator": "from airflow.providers.http.operators.http import HttpOperator",
    "TriggerDagRunOperator": "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator",
    "ExternalTaskSensor": "from airflow.providers.standard.sensors.external_task import ExternalTaskSensor",
}
TIMED = """
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from time import perf_counter
began = perf_counter()
{code}
print(perf_counter() - began)
"""

HOW = """
A fresh process for each, one after the other in turn; the time of the import statements after
`from airflow.sdk import DAG, BaseOperator, BaseSensorOperator`, which every DAG file with such classes has loaded.
The first round, which fills the disk's cache, does not count. Medians.
"""
NOT_SHOWN = """
what is loaded when a task runs, and DAG files that have loaded parts of it for other classes.
"""


@dataclass(frozen=True)
class Row:
    """One import, and the milliseconds that it took each time."""

    what: str
    milliseconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


def measure(sizes: Sizes, say: Callable[[str], None], _: Deployments) -> list[Row]:
    say(f"{len(IMPORTS)} imports, {sizes.imports} times each")
    rounds = [{what: timed(code) for what, code in IMPORTS.items()} for _ in range(sizes.imports + 1)][1:]
    return [Row(what, [each[what] for each in rounds]) for what in IMPORTS]


def timed(code: str) -> float:
    """Milliseconds of an import in a process of its own."""
    command: list[str | Path] = [environments.python("triggering"), "-c", TIMED.format(code=code)]
    done = subprocess.run(command, env=environ({}), capture_output=True, text=True, timeout=120, check=True)
    return 1000 * float(done.stdout.splitlines()[-1])


def figures(rows: Sequence[Row]) -> list[Figure]:
    ours, *peers = rows
    others = {row.what: row.median for row in peers}
    return [Figure("importing all operators and sensors", "ms", ours.median, others, Goal(30), digits=0)]


def plots(rows: Sequence[Row]) -> list[Plot]:
    series = {row.what: [row.median] for row in rows}
    return [bars("imports", "Milliseconds of an import", [""], series, log=False)]


def table(rows: Sequence[Row]) -> Table:
    lines = [[row.what, *(f"{each:.0f}" for each in (min(row.milliseconds), row.median, max(row.milliseconds)))]
             for row in rows]  # fmt: skip
    return Table(("import", "least, ms", "median, ms", "most, ms"), lines)

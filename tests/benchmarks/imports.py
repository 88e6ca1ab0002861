"""The time that a DAG file spends on importing a class, at every parse."""

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

    from tests.benchmarks.pair import SharedDeployments
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
TIMED_PROGRAM = """
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from time import perf_counter
began = perf_counter()
{code}
print(perf_counter() - began)
"""

METHOD = """
Each import runs in a new process, and the imports take turns. The time is that of the import statements after
`from airflow.sdk import DAG, BaseOperator, BaseSensorOperator`, which every DAG file with such classes needs anyway.
The first round, which fills the disk cache, is not counted. The figures are medians.
"""
LIMITATIONS = """
imports at the time when a task runs, and DAG files that share imports between several classes.
"""


@dataclass(frozen=True)
class ImportTimes:
    """The milliseconds of an import, measured several times."""

    what: str
    milliseconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


def measure(sizes: Sizes, progress: Callable[[str], None], _: SharedDeployments) -> list[ImportTimes]:
    progress(f"{len(IMPORTS)} imports, {sizes.imports} times each")
    rounds = [{what: time_import(code) for what, code in IMPORTS.items()} for _ in range(sizes.imports + 1)][1:]
    return [ImportTimes(what, [each[what] for each in rounds]) for what in IMPORTS]


def time_import(code: str) -> float:
    """Return the milliseconds of an import in a new process."""
    command: list[str | Path] = [environments.python("triggering"), "-c", TIMED_PROGRAM.format(code=code)]
    done = subprocess.run(command, env=environ({}), capture_output=True, text=True, timeout=120, check=True)
    return 1000 * float(done.stdout.splitlines()[-1])


def figures(rows: Sequence[ImportTimes]) -> list[Figure]:
    ours, *peers = rows
    others = {row.what: row.median for row in peers}
    return [Figure("importing all operators and sensors", "ms", ours.median, others, Goal(30), digits=0)]


def plots(rows: Sequence[ImportTimes]) -> list[Plot]:
    series = {row.what: [row.median] for row in rows}
    return [bars("imports", "Milliseconds of an import", [""], series, log=False)]


def table(rows: Sequence[ImportTimes]) -> Table:
    lines = [[row.what, *(f"{each:.0f}" for each in (min(row.milliseconds), row.median, max(row.milliseconds)))]
             for row in rows]  # fmt: skip
    return Table(("import", "minimum, ms", "median, ms", "maximum, ms"), lines)

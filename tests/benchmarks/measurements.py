"""The measurements by name, in the order of the report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.benchmarks import (
    idle_waits,
    imports,
    latency,
    parsing,
    range_waits,
    results,
    slots,
    trigger_and_wait,
    triggering,
    waits,
)
from tests.benchmarks.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from tests.benchmarks.figures import Figure, Plot, Table
    from tests.benchmarks.pair import SharedDeployments

# Measurements that need a pair of deployments come last, because the idle deployments use some processor time. The
# first of these starts the scheduler of the target, which would start the runs that the others leave queued.
MEASUREMENTS: dict[str, ModuleType] = {
    "waits": waits,
    "idle_waits": idle_waits,
    "range_waits": range_waits,
    "imports": imports,
    "parsing": parsing,
    "trigger_and_wait": trigger_and_wait,
    "latency": latency,
    "slots": slots,
    "triggering": triggering,
}
ROW_CLASSES: dict[str, type[Any]] = {
    "waits": waits.WaitCosts,
    "idle_waits": idle_waits.IdleWaitCosts,
    "range_waits": range_waits.RangeWaitCosts,
    "imports": imports.ImportTimes,
    "parsing": parsing.ParseTimes,
    "trigger_and_wait": trigger_and_wait.TriggeredRuns,
    "latency": latency.Latencies,
    "slots": slots.SlotUse,
    "triggering": triggering.TriggerTimes,
}


@dataclass(frozen=True)
class Section:
    """A measurement as the report shows it."""

    title: str
    method: str
    limitations: str
    when: str
    seconds: float
    full: bool
    figures: Sequence[Figure]
    plots: Sequence[Plot]
    table: Table | None


def measure(name: str, sizes: Sizes, progress: Callable[[str], None], deployments: SharedDeployments) -> None:
    """Run a measurement and save its rows."""
    began = time.monotonic()
    rows = MEASUREMENTS[name].measure(sizes, progress, deployments)
    results.save(name, rows, seconds=time.monotonic() - began, full=sizes == Sizes())


def load_sections() -> list[Section]:
    """Return all measurements that have been saved, in the order of the report."""
    sections = []
    for name, module in MEASUREMENTS.items():
        if result := results.load(name, ROW_CLASSES[name]):
            sections.append(
                Section(
                    title=module.TITLE,
                    method=module.METHOD,
                    limitations=module.LIMITATIONS,
                    when=result.when,
                    seconds=result.seconds,
                    full=result.full,
                    figures=module.figures(result.rows),
                    plots=module.plots(result.rows),
                    table=module.table(result.rows),
                )
            )
    return sections

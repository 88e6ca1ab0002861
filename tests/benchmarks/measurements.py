"""The measurements by name, in the order of the report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks import imports, latency, results, slots, triggering, waits
from tests.benchmarks.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from tests.benchmarks.figures import Figure, Plot, Table
    from tests.benchmarks.pair import Deployments

# Those that need a pair of deployments last: it keeps the processors a little busy once it is there.
MEASUREMENTS: dict[str, ModuleType] = {
    "waits": waits,
    "imports": imports,
    "latency": latency,
    "slots": slots,
    "triggering": triggering,
}


@dataclass(frozen=True)
class Found:
    """What a measurement has found, as the report shows it."""

    title: str
    how: str
    not_shown: str
    when: str
    seconds: float
    full: bool
    figures: Sequence[Figure]
    plots: Sequence[Plot]
    table: Table | None


def measure(name: str, sizes: Sizes, say: Callable[[str], None], deployments: Deployments) -> None:
    """Take a measurement, and keep what it finds."""
    began = time.monotonic()
    rows = MEASUREMENTS[name].measure(sizes, say, deployments)
    results.save(name, rows, seconds=time.monotonic() - began, full=sizes == Sizes())


def found() -> list[Found]:
    """Whatever has been measured so far."""
    everything = []
    for name, module in MEASUREMENTS.items():
        if kept := results.load(name, module.Row):
            everything.append(
                Found(
                    title=module.TITLE,
                    how=module.HOW,
                    not_shown=module.NOT_SHOWN,
                    when=kept.when,
                    seconds=kept.seconds,
                    full=kept.full,
                    figures=module.figures(kept.rows),
                    plots=module.plots(kept.rows),
                    table=module.table(kept.rows),
                )
            )
    return everything

"""The cost of waiting for the runs in ranges of logical dates while they stay running: requests per poll interval."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure, Goal, Plot, Table
from tests.benchmarks.programs import program
from tests.benchmarks.seeding import date_unfinished_runs
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS
from tests.benchmarks.waits import (
    REAL,
    SETTLING_SECONDS,
    STUB,
    AirflowCounter,
    StubCounter,
    real_target,
    wait_until_joined,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.pair import SharedDeployments
    from tests.benchmarks.sizes import Sizes
    from tests.benchmarks.waits import RequestCounter

TITLE = "Waiting for the runs in ranges of logical dates"

METHOD = f"""
Waits for ranges (`AstroDagRunSensor(logical_date_range=...)`), with a check every {POKE_INTERVAL_SECONDS:g} s, in one
process with one asyncio loop, as in a triggerer. Each wait is for another range, which has one run that stays running.
Requests are counted as in "Waiting while nothing happens".
"""
LIMITATIONS = """
runs that finish, and ranges with many runs.
"""


@dataclass(frozen=True)
class RangeWaitCosts:
    """The requests of a number of waits for ranges: to join, and in the window after that."""

    target: str
    waits: int
    window: float
    joining: int
    requests: int

    @property
    def per_interval(self) -> float:
        return self.requests * POKE_INTERVAL_SECONDS / self.window


def measure(sizes: Sizes, progress: Callable[[str], None], _: SharedDeployments) -> list[RangeWaitCosts]:
    count = max(sizes.waits)
    with program("stub", str(count)) as stub:
        rows = [_waiting(StubCounter(stub.read()), count, sizes.stub_window, progress)]
    with real_target(sizes, progress) as deployment:
        date_unfinished_runs(deployment)
        rows.append(_waiting(AirflowCounter(deployment, REAL), count, max(sizes.windows), progress))
    return rows


def _waiting(target: RequestCounter, count: int, window: float, progress: Callable[[str], None]) -> RangeWaitCosts:
    progress(f"{target.name}: {count:,} waits for ranges")
    before = target.count()
    with program("waiting", "until_range_has_succeeded", str(count), connections=target.connections()) as client:
        wait_until_joined(client, count)
        joined = target.count()
        time.sleep(SETTLING_SECONDS)
        settled, began = target.count(), time.monotonic()
        time.sleep(window)
        row = RangeWaitCosts(
            target.name,
            count,
            window=time.monotonic() - began,
            joining=joined - before,
            requests=target.count() - settled,
        )
    progress(f"  {row.joining} requests to join, {row.per_interval:.1f} requests per interval")
    return row


def figures(rows: Sequence[RangeWaitCosts]) -> list[Figure]:
    return [
        Figure(
            f"requests per poll interval, {row.waits:,} waits for ranges" + (f", {STUB}" if row.target == STUB else ""),
            "requests",
            row.per_interval,
            goal=Goal(3) if row.waits >= 1_000 else None,
        )
        for row in rows
    ]


def plots(rows: Sequence[RangeWaitCosts]) -> list[Plot]:
    return []


def table(rows: Sequence[RangeWaitCosts]) -> Table:
    lines = [[row.target, f"{row.waits:,}", f"{row.window:.0f}", f"{row.joining:,}", f"{row.per_interval:.2f}"]
             for row in rows]  # fmt: skip
    return Table(("target", "waits", "window, s", "requests to join", "requests per interval"), lines)

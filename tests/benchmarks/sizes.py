"""The sizes and durations of all measurements."""

from __future__ import annotations

from dataclasses import dataclass

POKE_INTERVAL_SECONDS = 5.0
"""The time between two checks of a wait, for this package and its peers."""


@dataclass(frozen=True)
class Sizes:
    """The defaults are those of `docs/benchmarks.md`; `QUICK` only checks that everything works."""

    finished_runs: int = 300_000
    waits: tuple[int, ...] = (10, 100, 1_000)
    waits_on_stub: int = 10_000
    windows: tuple[int, ...] = (20, 20, 40)  # seconds, for each number of waits
    stub_window: int = 60  # long enough for the few checks per interval of this package
    stub_window_of_peers: int = 20
    idle_window: int = 20
    settled_age: int = 50  # seconds: ten intervals, from which this package checks a wait only once per interval
    ending_waits: int = 100
    ending_waits_on_workers: int = 30  # each holds one of Airflow's 32 slots while it waits
    ending_seconds: int = 100
    short_remote_runs: tuple[int, int] = (15, 15)  # in the triggerer, and in each other way
    middle_remote_runs: tuple[int, int] = (60, 20)
    long_remote_runs: tuple[int, int] = (10, 10)
    sensors: int = 50
    imports: int = 5
    tasks_of_dag: int = 1_000
    parses: int = 10
    round_trips: int = 100
    triggers: int = 200
    tasks_per_run: int = 20  # of a dag with unmapped triggers


QUICK = Sizes(
    finished_runs=5_000,
    waits=(50,),
    waits_on_stub=200,
    windows=(15,),
    stub_window=15,
    stub_window_of_peers=15,
    idle_window=10,
    settled_age=10,
    ending_waits=6,
    ending_waits_on_workers=4,
    ending_seconds=15,
    short_remote_runs=(2, 2),
    middle_remote_runs=(4, 2),
    long_remote_runs=(2, 2),
    sensors=4,
    imports=2,
    tasks_of_dag=100,
    parses=3,
    round_trips=10,
    triggers=10,
    tasks_per_run=5,
)

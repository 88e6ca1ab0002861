"""The cost of waiting for idle dags while all of them are busy: requests per poll interval."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

from dev.deployments import TARGET, Deployment, running
from tests.benchmarks.figures import Figure, Goal, Plot, Table
from tests.benchmarks.programs import program
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS
from tests.benchmarks.waits import REAL, SETTLING_SECONDS, STUB, AirflowCounter, StubCounter, wait_until_joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.pair import SharedDeployments
    from tests.benchmarks.sizes import Sizes
    from tests.benchmarks.waits import RequestCounter

TITLE = "Waiting for idle dags"
DAGS = Path(__file__).parent / "dags" / "busy"
PARSING_TIMEOUT_SECONDS = 300
WAYS = {"one dag": "until_one_dag_is_idle", "as many dags": "until_dags_are_idle"}

RUNS = """
INSERT INTO dag_run (dag_id, run_id, run_after, queued_at, start_date, state, run_type, triggered_by,
    triggering_user_name, conf, created_at, updated_at, clear_number, span_status, created_dag_version_id)
SELECT dag_id, 'run', now(), now(), now(), 'running', 'manual', 'REST_API', 'admin', '{}', now(), now(), 0,
    'not_started', id
FROM dag_version
"""
TASKS = """
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, pool,
    pool_slots, queue, priority_weight, operator, span_status, task_display_name, dag_version_id, updated_at)
SELECT gen_random_uuid(), 'work', dag_id, 'run', -1, now(), 'running', 1, 0, 'default_pool', 1, 'default', 1,
    'EmptyOperator', 'not_started', 'work', id, now()
FROM dag_version
"""

METHOD = f"""
Waits for idle dags (`AstroDagRunSensor(idle=True)`), with a check every {POKE_INTERVAL_SECONDS:g} s, in one process
with one asyncio loop, as in a triggerer: once all for one dag, and once each for another dag. Every dag has one task
that stays running. Requests are counted as in "Waiting while nothing happens".
"""
LIMITATIONS = """
dags that become idle, and dags with many active tasks.
"""


@dataclass(frozen=True)
class IdleWaitCosts:
    """The requests of a number of waits for idle dags: to join, and in the window after that."""

    target: str
    way: str
    waits: int
    window: float
    joining: int
    requests: int

    @property
    def per_interval(self) -> float:
        return self.requests * POKE_INTERVAL_SECONDS / self.window


def measure(sizes: Sizes, progress: Callable[[str], None], _: SharedDeployments) -> list[IdleWaitCosts]:
    count = max(sizes.waits)
    with program("stub", str(count)) as stub:
        target = StubCounter(stub.read())
        rows = [_waiting(target, way, count, sizes.stub_window, progress) for way in WAYS]
    with _busy_target(count, progress) as deployment:
        real_target = AirflowCounter(deployment, REAL)
        rows += [_waiting(real_target, way, count, max(sizes.windows), progress) for way in WAYS]
    return rows


@contextmanager
def _busy_target(count: int, progress: Callable[[str], None]) -> Iterator[Deployment]:
    progress(f"starting a target with {count:,} busy dags")
    with running(replace(TARGET, dags=[DAGS], env={"BUSY_DAGS": str(count)})) as (deployment,):
        deployment.wait_for_dags(*(f"busy_{number}" for number in (1, count)), timeout=PARSING_TIMEOUT_SECONDS)
        deployment.stop("scheduler", "dag-processor", "triggerer")
        engine = create_engine(deployment.database_address)
        with engine.begin() as connection:
            connection.execute(text(RUNS))
            connection.execute(text(TASKS))
        engine.dispose()
        yield deployment


def _waiting(
    target: RequestCounter, way: str, count: int, window: float, progress: Callable[[str], None]
) -> IdleWaitCosts:
    progress(f"{target.name}: {count:,} waits for {way} to be idle")
    before = target.count()
    with program("waiting", WAYS[way], str(count), connections=target.connections()) as client:
        wait_until_joined(client, count)
        joined = target.count()
        time.sleep(SETTLING_SECONDS)
        settled, began = target.count(), time.monotonic()
        time.sleep(window)
        row = IdleWaitCosts(
            target.name,
            way,
            count,
            window=time.monotonic() - began,
            joining=joined - before,
            requests=target.count() - settled,
        )
    progress(f"  {row.joining} requests to join, {row.per_interval:.1f} requests per interval")
    return row


def figures(rows: Sequence[IdleWaitCosts]) -> list[Figure]:
    return [
        Figure(
            f"requests per poll interval, {row.waits:,} waits for {row.way} to be idle"
            + (f", {STUB}" if row.target == STUB else ""),
            "requests",
            row.per_interval,
            goal=Goal(3) if row.waits >= 1_000 else None,
        )
        for row in rows
    ]


def plots(rows: Sequence[IdleWaitCosts]) -> list[Plot]:
    return []


def table(rows: Sequence[IdleWaitCosts]) -> Table:
    lines = [[row.target, f"{row.waits:,}", row.way, f"{row.window:.0f}", f"{row.joining:,}", f"{row.per_interval:.2f}"]
             for row in rows]  # fmt: skip
    return Table(("target", "waits", "for", "window, s", "requests to join", "requests per interval"), lines)

"""A deployment that triggers and waits, as Airflow is by default, and a target; shared by the measurements."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dev.deployments import TARGET, TRIGGERING, Deployment, running
from tests.benchmarks.seeding import DAG_IDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.sizes import Sizes

DAGS = Path(__file__).parent / "dags"

SLOTS = 32
# What dev/settings.py has quicker, or smaller, than Airflow has it by default.
AIRFLOWS_OWN = {
    "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
}


@dataclass(frozen=True)
class Pair:
    """Both are ready; of the target only what the REST API needs."""

    triggering: Deployment
    target: Deployment


class Deployments:
    """
    What the measurements of one run share; started by the first that needs it.

    :param say: told what takes time
    """

    def __init__(self, sizes: Sizes, say: Callable[[str], None]) -> None:
        self._counts = counts(sizes)
        self._say = say
        self._stack = ExitStack()

    def __enter__(self) -> Deployments:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def pair(self) -> Pair:
        self._say("starting a deployment that triggers, and a target")
        env = {**AIRFLOWS_OWN, "BENCHMARK_COUNTS": json.dumps(self._counts)}
        deployments = (
            replace(TRIGGERING, dags=[DAGS / "triggering"], env=env),
            replace(TARGET, dags=[DAGS / "target"]),
        )
        triggering, target = self._stack.enter_context(running(*deployments))
        target.wait_for_dags(*DAG_IDS)
        target.stop("scheduler", "dag-processor", "triggerer")
        triggering.wait_for_dags(*self._counts)
        triggering.add_connection("http_conn", target.connection("http"))
        return Pair(triggering, target)


def counts(sizes: Sizes) -> dict[str, int]:
    """How many tasks each dag of the triggering deployment has."""
    return {
        "latency_deferrable": sizes.ending_waits,
        "latency_resumed": sizes.ending_waits,
        "latency_http": sizes.ending_waits_on_workers,
        "slots_deferrable": sizes.sensors,
        "slots_http": sizes.sensors,
        "slots_http_unchecked": sizes.sensors,
        "mapped_astro": sizes.mapped_triggers,
        "mapped_http": sizes.mapped_triggers,
    }

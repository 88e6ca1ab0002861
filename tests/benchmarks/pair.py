"""A triggering deployment with Airflow's default settings, and a target; the measurements share them."""

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
# Airflow's defaults of the settings that dev/settings.py changes.
AIRFLOW_DEFAULTS = {
    "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
}


@dataclass(frozen=True)
class DeploymentPair:
    """Two running deployments; the target runs only what the REST API needs."""

    triggering: Deployment
    target: Deployment


class SharedDeployments:
    """
    The deployments that the measurements share; the first measurement that needs them starts them.

    :param progress: called with a line before each step that takes time
    """

    def __init__(self, sizes: Sizes, progress: Callable[[str], None]) -> None:
        self._counts = counts(sizes)
        self._progress = progress
        self._stack = ExitStack()

    def __enter__(self) -> SharedDeployments:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def pair(self) -> DeploymentPair:
        self._progress("starting a triggering deployment and a target")
        env = {**AIRFLOW_DEFAULTS, "BENCHMARK_COUNTS": json.dumps(self._counts)}
        deployments = (
            replace(TRIGGERING, dags=[DAGS / "triggering"], env=env),
            replace(TARGET, dags=[DAGS / "target"], env=AIRFLOW_DEFAULTS),
        )
        triggering, target = self._stack.enter_context(running(*deployments))
        target.wait_for_dags(*DAG_IDS)
        target.stop("scheduler", "dag-processor", "triggerer")
        triggering.wait_for_dags(*self._counts)
        triggering.add_connection("http_conn", target.connection("http"))
        return DeploymentPair(triggering, target)


def counts(sizes: Sizes) -> dict[str, int]:
    """Return the number of tasks of each dag of the triggering deployment."""
    return {
        "latency_deferrable": sizes.ending_waits,
        "latency_resumed": sizes.ending_waits,
        "latency_http": sizes.ending_waits_on_workers,
        "slots_deferrable": sizes.sensors,
        "slots_http": sizes.sensors,
        "slots_http_unchecked": sizes.sensors,
        "mapped_astro": sizes.triggers,
        "mapped_http": sizes.triggers,
        "unmapped_astro": sizes.tasks_per_run,
        "unmapped_http": sizes.tasks_per_run,
        "wide_astro": sizes.triggers,
        "wide_http": sizes.triggers,
    }

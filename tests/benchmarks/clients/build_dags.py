"""
Build and serialize DAGs of many deferrable tasks of different classes, in turn; print the milliseconds of each.

    python -m tests.benchmarks.clients.build_dags TASKS ROUNDS
"""

from __future__ import annotations

import gc
import json
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor

if TYPE_CHECKING:
    from collections.abc import Callable


def astro_sensor(task_id: str) -> None:
    AstroDagRunSensor(task_id=task_id, external_dag_id="upstream", deferrable=True)


def external_task_sensor(task_id: str) -> None:
    ExternalTaskSensor(task_id=task_id, external_dag_id="upstream", deferrable=True)


def astro_trigger(task_id: str) -> None:
    AstroTriggerDagRunOperator(
        task_id=task_id, trigger_dag_id="remote", conf={"task": task_id}, wait_for_completion=True, deferrable=True
    )


def trigger_dag_run(task_id: str) -> None:
    TriggerDagRunOperator(
        task_id=task_id, trigger_dag_id="remote", conf={"task": task_id}, wait_for_completion=True, deferrable=True
    )


CLASSES = {
    "AstroDagRunSensor": astro_sensor,
    "ExternalTaskSensor": external_task_sensor,
    "AstroTriggerDagRunOperator": astro_trigger,
    "TriggerDagRunOperator": trigger_dag_run,
}


def milliseconds(make_task: Callable[[str], None], count: int) -> tuple[float, float]:
    """Return the processor time that it takes to build a DAG, and to serialize it."""
    gc.collect()  # so that no class pays for the DAG of the one before
    began = time.process_time()
    with DAG("many_tasks", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)) as dag:
        for number in range(count):
            make_task(f"task_{number}")
    built = time.process_time()
    DagSerialization.to_dict(dag)
    return 1000 * (built - began), 1000 * (time.process_time() - built)


def main() -> None:
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CLASSES}
    for number in range(rounds + 1):
        for name, make_task in CLASSES.items():
            times = milliseconds(make_task, count)
            if number:  # the first round imports modules and fills caches
                found[name].append(times)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""Dags of many sensors, each for its own run in the target. BENCHMARK_COUNTS contains the numbers of sensors."""

import json
import os
from datetime import datetime, timezone
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

from astro_provider.sensors.dag_run import AstroDagRunSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Response

COUNTS = json.loads(os.environ["BENCHMARK_COUNTS"])
ON_WORKER = {"start_from_trigger": False} if "start_from_trigger" in signature(AstroDagRunSensor).parameters else {}


def has_succeeded(response: "Response") -> bool:
    return bool(response.json()["state"] == "success")


def deferrable(task_id: str, run_id: str, **options: Any) -> None:
    AstroDagRunSensor(task_id=task_id, external_dag_id="remote_0", external_run_id=run_id, deferrable=True, **options)


def resumed(task_id: str, run_id: str) -> None:
    deferrable(task_id, run_id, **ON_WORKER)


def http(task_id: str, run_id: str, response_check: "Callable[[Response], bool] | None" = has_succeeded) -> None:
    HttpSensor(
        task_id=task_id,
        http_conn_id="http_conn",
        endpoint=f"api/v2/dags/remote_0/dagRuns/{run_id}",
        response_check=response_check,
        deferrable=True,
        poke_interval=5,
    )


def http_unchecked(task_id: str, run_id: str) -> None:
    http(task_id, run_id, response_check=None)


for dag_id, make in {
    "latency_deferrable": deferrable,
    "latency_resumed": resumed,
    "latency_http": http,
    "slots_deferrable": deferrable,
    "slots_http": http,
    "slots_http_unchecked": http_unchecked,
}.items():
    count = COUNTS[dag_id]
    start = datetime(2025, 1, 1, tzinfo=timezone.utc)
    with DAG(dag_id, schedule=None, start_date=start, max_active_tasks=count):
        for number in range(count):
            make(f"wait_{number}", f"{dag_id}-{number}")

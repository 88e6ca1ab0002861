"""Dags that trigger a run in the target and wait for it, one dag for each way to do so."""

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

if TYPE_CHECKING:
    from requests import Response

START = datetime(2025, 1, 1, tzinfo=timezone.utc)
CONF = {"seconds": "{{ dag_run.conf['seconds'] }}"}


def has_succeeded(response: "Response") -> bool:
    return bool(response.json()["state"] == "success")


for name, deferrable in {"triggerer": True, "worker": False}.items():
    with DAG(f"wait_{name}", schedule=None, start_date=START):
        AstroTriggerDagRunOperator(
            task_id="trigger",
            trigger_dag_id=f"sleep_{name}",
            conf=CONF,
            wait_for_completion=True,
            deferrable=deferrable,
        )

with DAG("wait_http", schedule=None, start_date=START):
    HttpOperator(
        task_id="trigger",
        http_conn_id="http_conn",
        method="POST",
        endpoint="api/v2/dags/sleep_http/dagRuns",
        data=json.dumps({"dag_run_id": "{{ run_id }}", "logical_date": None, "conf": CONF}),
    ) >> HttpSensor(
        task_id="wait",
        http_conn_id="http_conn",
        endpoint="api/v2/dags/sleep_http/dagRuns/{{ run_id }}",
        response_check=has_succeeded,
        poke_interval=5,
    )

"""Dags of many tasks that each trigger a run without waiting for it, with this package and with HttpOperator."""

import json
import os
from datetime import datetime, timezone

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

COUNTS = json.loads(os.environ["BENCHMARK_COUNTS"])


def astro(number: int) -> None:
    AstroTriggerDagRunOperator(
        task_id=f"trigger_{number}", trigger_dag_id="remote_1", conf={"part": number}, deferrable=True
    )


def http(number: int) -> None:
    HttpOperator(
        task_id=f"trigger_{number}",
        http_conn_id="http_conn",
        method="POST",
        endpoint="api/v2/dags/remote_1/dagRuns",
        data=json.dumps({"logical_date": None, "conf": {"part": number}}),
    )


for dag_id, make in {"unmapped_astro": astro, "unmapped_http": http, "wide_astro": astro, "wide_http": http}.items():
    with DAG(dag_id, schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)):
        for number in range(COUNTS[dag_id]):
            make(number)

"""Many mapped triggers, once by this package and once as the Astro documentation has it."""

import json
import os
from datetime import datetime, timezone

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

COUNTS = json.loads(os.environ["BENCHMARK_COUNTS"])
START = datetime(2025, 1, 1, tzinfo=timezone.utc)

with DAG("mapped_astro", schedule=None, start_date=START):
    AstroTriggerDagRunOperator.partial(task_id="trigger", trigger_dag_id="remote_1").expand(
        conf=[{"part": number} for number in range(COUNTS["mapped_astro"])]
    )

with DAG("mapped_http", schedule=None, start_date=START):
    HttpOperator.partial(
        task_id="trigger", http_conn_id="http_conn", method="POST", endpoint="api/v2/dags/remote_1/dagRuns"
    ).expand(
        data=[json.dumps({"logical_date": None, "conf": {"part": number}}) for number in range(COUNTS["mapped_http"])]
    )

"""A mapped task that triggers many runs as the Astro documentation describes."""

import json
import os
from datetime import datetime, timezone

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

COUNT = json.loads(os.environ["BENCHMARK_COUNTS"])["mapped_http"]

with DAG("mapped_http", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)):
    HttpOperator.partial(
        task_id="trigger", http_conn_id="http_conn", method="POST", endpoint="api/v2/dags/remote_1/dagRuns"
    ).expand(data=[json.dumps({"logical_date": None, "conf": {"part": number}}) for number in range(COUNT)])

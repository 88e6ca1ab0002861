"""A mapped task that triggers many runs with this package."""

import json
import os
from datetime import datetime, timezone

from airflow.sdk import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

COUNT = json.loads(os.environ["BENCHMARK_COUNTS"])["mapped_astro"]

with DAG("mapped_astro", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)):
    AstroTriggerDagRunOperator.partial(task_id="trigger", trigger_dag_id="remote_1").expand(
        conf=[{"part": number} for number in range(COUNT)]
    )

"""
The pattern of the Astro documentation, before and after.

`before` fires and forgets, cannot be retried (a second try is answered with 409), must know the path of the API
generation, and says nothing when the remote run fails. `after` is the same in one operator.
"""

import json
from datetime import datetime, timezone

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import dag

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def before_and_after():
    before = HttpOperator(
        task_id="before",
        http_conn_id="http_conn",
        method="POST",
        endpoint="/api/v2/dags/remote_report/dagRuns",  # breaks when the target changes its Airflow generation
        data=json.dumps({"logical_date": "{{ logical_date }}"}),  # breaks in a run that has none, and on a retry
        log_response=True,
    )

    after = AstroTriggerDagRunOperator(
        task_id="after",
        http_conn_id="http_conn",
        trigger_dag_id="remote_report",
        wait_for_completion=True,
    )

    before >> after


before_and_after()

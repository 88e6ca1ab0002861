"""
Trigger a DAG in another Deployment as the Astro documentation shows it, and with this package.

The task `before` does not wait for the remote run, and does not notice when it fails. It cannot be retried, because the
target responds to a second request for the same logical date with 409, and its path needs one version of the API. The
task `after` has none of these limits. Both need the connection `http_conn` to the other Deployment.
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
        endpoint="/api/v2/dags/remote_report/dagRuns",  # fails if the target has another API version
        data=json.dumps({"logical_date": "{{ logical_date }}"}),  # fails in a run without one, and on a retry
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

"""
Trigger a DAG in another Deployment as the Astro documentation shows it, and with this package.

The task `before` does not wait for the remote run, and does not notice when it fails. It cannot be retried, because the
target responds to a second request for the same logical date with 409, its path needs one version of the API, and it
fails in a run of this DAG without a logical date, such as one that an asset triggers.

The task `same_date` is its true equal, without these limits. The dates of the remote run are those of this run, so `{{
ds }}` in the remote DAG is the same as here. The target has one run for each logical date, so `on_existing_run` says
what to do with the run that `before` has created. In a run without a logical date, `dag_run.logical_date` is None, and
the remote run has none either.

The task `now` leaves the date out: the logical date of the remote run is the current time, as after a click on Play.

All need the connection `http_conn` to the other Deployment.
"""

import json
from datetime import datetime, timezone

from airflow.providers.http.operators.http import HttpOperator

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2
    from airflow.decorators import dag

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

    same_date = AstroTriggerDagRunOperator(
        task_id="same_date",
        http_conn_id="http_conn",
        trigger_dag_id="remote_report",
        logical_date="{{ dag_run.logical_date }}",
        on_existing_run="attach",
        wait_for_completion=True,
    )

    now = AstroTriggerDagRunOperator(
        task_id="now",
        http_conn_id="http_conn",
        trigger_dag_id="remote_report",
        wait_for_completion=True,
    )

    before >> same_date >> now


before_and_after()

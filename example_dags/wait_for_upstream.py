"""
Wait for a DAG of another Deployment, and for one task of a DAG there, before going on.

The newest run of `remote_report` is waited for (`latest=True`). For DAGs on the same schedule in both Deployments
leave that out: the run with this run's own logical date is waited for, or one earlier by `execution_delta`.
"""

from datetime import datetime, timezone

from airflow.sdk import dag, task

from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def wait_for_upstream():
    extracted = AstroTaskSensor(
        task_id="extracted",
        http_conn_id="http_conn",
        external_dag_id="remote_report",
        external_task_id="extract",
        latest=True,
        deferrable=True,
        timeout=60 * 60,
    )

    finished = AstroDagRunSensor(
        task_id="finished",
        http_conn_id="http_conn",
        external_dag_id="remote_report",
        latest=True,
        deferrable=True,
        timeout=60 * 60,
    )

    @task
    def go_on():
        return "the upstream Deployment is done"

    extracted >> finished >> go_on()


wait_for_upstream()

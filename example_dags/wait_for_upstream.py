"""
Wait for one task of a DAG in another Deployment, and for the whole DAG run, before this DAG continues.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). With `latest=True`,
the sensors wait for the newest run. If both DAGs have the same schedule, leave `latest` out: the sensors then wait for
the run with the logical date of this run, minus `execution_delta` if it is given.
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

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

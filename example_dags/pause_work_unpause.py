"""
Pause a DAG in another Deployment while this DAG changes the data that the other one reads, then unpause it.

Tasks that run when a DAG is paused go on, and its runs stay in the state "running" until it is unpaused. The task
`wait_until_idle` therefore waits until no task of the paused DAG runs.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`).
"""

from datetime import datetime, timezone

from airflow.exceptions import AirflowSkipException

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor

REMOTE = {"http_conn_id": "http_conn", "external_dag_id": "remote_report"}


def skip_if_paused_before(context):
    if context["ti"].xcom_pull(task_ids="pause")["was_paused"]:
        raise AirflowSkipException("Somebody else has paused remote_report, so it stays paused")


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def pause_work_unpause():
    pause = AstroPauseDagOperator(task_id="pause", **REMOTE)

    wait_until_idle = AstroDagRunSensor(task_id="wait_until_idle", idle=True, timeout=3600, **REMOTE)

    @task
    def work():
        return "the tables that remote_report reads are rebuilt"

    unpause = AstroUnpauseDagOperator(task_id="unpause", pre_execute=skip_if_paused_before, **REMOTE)

    # A teardown runs even if wait_until_idle or work() fails, and their failure still fails this DAG run.
    pause >> wait_until_idle >> work() >> unpause.as_teardown(setups=pause)


pause_work_unpause()

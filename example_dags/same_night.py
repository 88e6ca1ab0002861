"""
Wait for last night's run of a DAG in another Deployment that runs an hour before this one.

Needs the connection `http_conn` to the Deployment that has the DAG `nightly_load` (see `target/`), which runs at 02:00.
This DAG runs at 03:00. The sensor waits for the run whose logical date is an hour before that of its own run, whether
it has finished already, is still running, or does not exist yet.

This `execution_delta` is right if both Deployments derive logical dates in the same way, as two Deployments with
Airflow 3 do, and two with Airflow 2. `docs/logical-dates.md` says what to do between Airflow 2 and Airflow 3.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.sensors.dag_run import AstroDagRunSensor


@dag(schedule="0 3 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def same_night():
    loaded = AstroDagRunSensor(
        task_id="loaded",
        http_conn_id="http_conn",
        external_dag_id="nightly_load",
        execution_delta=timedelta(hours=1),
        deferrable=True,
        timeout=60 * 60 * 3,
    )

    @task
    def go_on():
        return "the tables of last night are complete"

    loaded >> go_on()


same_night()

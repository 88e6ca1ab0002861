"""
Wait for all four runs of yesterday of a DAG in another Deployment.

Needs the connection `http_conn` to the Deployment that has the DAG `six_hourly_load` (see `target/`), which runs every
six hours. The range contains its start and not its end, so it has the runs with the logical dates 00:00, 06:00, 12:00
and 18:00. `data_interval_end` is the time at which this DAG runs, on Airflow 2 as on Airflow 3.
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.sensors.dag_run import AstroDagRunSensor


@dag(schedule="30 0 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def day_of_runs():
    loaded = AstroDagRunSensor(
        task_id="loaded",
        http_conn_id="http_conn",
        external_dag_id="six_hourly_load",
        logical_date_range=("{{ macros.ds_add(data_interval_end | ds, -1) }}", "{{ data_interval_end | ds }}"),
        expected_runs=4,
        deferrable=True,
        timeout=60 * 60 * 3,
    )

    @task
    def go_on():
        return "the tables of yesterday are complete"

    loaded >> go_on()


day_of_runs()

"""
Pause a DAG in another Deployment while this DAG changes the data that the other one reads, then unpause it.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`).
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def pause_work_unpause():
    pause = AstroPauseDagOperator(task_id="pause", http_conn_id="http_conn", external_dag_id="remote_report")

    @task
    def work():
        return "the tables that remote_report reads are rebuilt"

    unpause = AstroUnpauseDagOperator(task_id="unpause", http_conn_id="http_conn", external_dag_id="remote_report")

    # A teardown runs even if work() fails, and the failure of work() still fails this DAG run.
    pause >> work() >> unpause.as_teardown(setups=pause)


pause_work_unpause()

"""A paused DAG: its runs keep their state until a test ends them with the REST API."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2000, 1, 1, tzinfo=timezone.utc), catchup=False, is_paused_upon_creation=True)
def watched():
    @task
    def load():
        pass

    @task
    def check():
        pass

    load()
    check()


watched()

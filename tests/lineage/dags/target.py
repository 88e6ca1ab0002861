"""The dags in the targets: one succeeds, one fails, one has a schedule."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dag(schedule=None, start_date=START, catchup=False)
def downstream():
    @task
    def answer():
        return 42

    answer()


@dag(schedule=None, start_date=START, catchup=False)
def broken():
    @task
    def load():
        raise ValueError("the file has no rows")

    load()


@dag(schedule="@daily", start_date=START, end_date=START, catchup=False)
def scheduled():
    @task
    def load():
        return 42

    load()


downstream()
broken()
scheduled()

"""Runs every night at 02:00; the example `same_night` waits for it. It belongs in the target Deployment."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule="0 2 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def nightly_load():
    @task
    def load():
        return "loaded"

    load()


nightly_load()

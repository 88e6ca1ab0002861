"""Runs every six hours; the example `day_of_runs` waits for it. It belongs in the target Deployment."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule="0 */6 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def six_hourly_load():
    @task
    def load():
        return "loaded"

    load()


six_hourly_load()

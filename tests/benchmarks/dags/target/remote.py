"""Dags whose runs are triggered and waited for. The scheduler is stopped, so their tasks never run."""

from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range(5):
    with DAG(f"remote_{number}", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)):
        EmptyOperator(task_id="work")

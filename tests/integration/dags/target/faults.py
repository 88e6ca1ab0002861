"""DAGs that cost the target nothing: one whose runs stay queued until a test ends them, and one that only succeeds."""

from datetime import datetime, timezone

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.empty import EmptyOperator

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}

for dag_id, is_paused in {"held": True, "instant": False}.items():
    with DAG(dag_id, **COMMON, is_paused_upon_creation=is_paused, max_active_runs=1000):
        EmptyOperator(task_id="nothing")

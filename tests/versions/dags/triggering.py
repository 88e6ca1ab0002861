"""DAGs of the triggering Deployment, for every supported Airflow release."""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}

for mode in ("worker", "deferred"):
    wait = {"wait_for_completion": True, "deferrable": mode == "deferred", "poke_interval": 1, "http_conn_id": "target"}

    with DAG(f"quick_{mode}", **COMMON):
        AstroTriggerDagRunOperator(task_id="trigger", trigger_dag_id="quick", conf={"greeting": "{{ run_id }}"}, **wait)

    with DAG(f"slow_{mode}", **COMMON):
        AstroTriggerDagRunOperator(task_id="trigger", trigger_dag_id="slow", conf={"seconds": 600}, retries=1, **wait)

    with DAG(f"limited_{mode}", **COMMON):
        AstroTriggerDagRunOperator(
            task_id="trigger",
            trigger_dag_id="slow",
            conf={"seconds": 600},
            execution_timeout=timedelta(seconds=60),
            retries=0,
            **wait,
        )

"""The DAG that the other examples trigger, pause and wait for. It belongs in the target Deployment."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def remote_report():
    @task
    def extract(dag_run=None):
        return (dag_run.conf or {}).get("rows", 3)

    @task
    def report(rows: int):
        return {"rows": rows, "status": "ready"}

    report(extract())


remote_report()

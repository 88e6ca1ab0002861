"""
Trigger a DAG in another Deployment, wait for it, and use what its task `report` returned.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). With
`result_task_id`, the task `trigger` returns the value of that remote task instead of the dag run. With
`deferrable=True`, the task `trigger` runs in the triggerer and needs no worker (before Airflow 3.3: no worker while it
waits). A retry continues with the run of the earlier try. If the remote run fails, the error names the tasks that
failed there.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def trigger_and_wait():
    trigger = AstroTriggerDagRunOperator(
        task_id="trigger",
        http_conn_id="http_conn",
        trigger_dag_id="remote_report",
        conf={"rows": 12, "triggered_by": "{{ run_id }}"},
        wait_for_completion=True,
        result_task_id="report",
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def show_result(report):
        """Use the value like that of any other task."""
        print(f"{report['rows']} rows are {report['status']}")
        return report

    show_result(trigger.output)


trigger_and_wait()

"""
Trigger a DAG in another Deployment, wait for it, and use what it returned.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). With
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
        deferrable=True,
        retries=2,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def show_result(remote_run):
        """Read the XCom of the remote task over the same connection."""
        from astro_provider.hooks.astro import AstroHook

        with AstroHook("http_conn") as hook:
            return hook.get_xcom(remote_run["dag_id"], remote_run["dag_run_id"], "report")

    show_result(trigger.output)


trigger_and_wait()

"""
Trigger a DAG in another Deployment, wait for it, and use what it returned.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). The wait takes
no worker slot (`deferrable=True`), a retry finds the run of the earlier try, and a failure names what failed there.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task

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
        """Read what the remote task returned: its XCom, over the same connection."""
        from astro_provider.hooks.astro import AstroHook

        with AstroHook("http_conn") as hook:
            return hook.get_xcom(remote_run["dag_id"], remote_run["dag_run_id"], "report")

    show_result(trigger.output)


trigger_and_wait()

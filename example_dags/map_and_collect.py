"""
Trigger one run for each element of a list in another Deployment, at most two at a time, and collect the results.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). The list can be
the result of another task, as here, or stand in the DAG file.

The two tasks wait on workers. On Airflow 3.3, `deferrable=True` frees the workers and keeps the limit. On Airflow 2,
which does not count deferred tasks for `max_active_tis_per_dagrun`, this needs a pool: see `docs/recipes.md`.
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def map_and_collect():
    @task
    def make_confs():
        return [{"rows": rows} for rows in (1, 2, 3)]

    trigger = AstroTriggerDagRunOperator.partial(
        task_id="trigger",
        http_conn_id="http_conn",
        trigger_dag_id="remote_report",
        wait_for_completion=True,
        result_task_id="report",
        max_active_tis_per_dagrun=2,
    ).expand(conf=make_confs())

    @task
    def collect(reports):
        """Collect what the remote task `report` returned in each run."""
        return list(reports)

    collect(trigger.output)


map_and_collect()

"""
Run a DAG in another Deployment again for each date of a range, and wait for all of its runs.

Needs the connection `http_conn` to a Deployment with Airflow 3 that has the DAG `nightly_load` (see `target/`), whose
schedule gives it a run for each night between the two dates. A DAG can have only one running backfill. If runs
fail, the error names them, and a retry runs only these again.
"""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import Param, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models.param import Param

from astro_provider.operators.backfill import AstroBackfillOperator


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={
        "first": Param("2026-05-01", type="string", format="date"),
        "last": Param("2026-05-04", type="string", format="date"),
    },
    tags=["example"],
)
def backfill():
    run_again = AstroBackfillOperator(
        task_id="run_again",
        http_conn_id="http_conn",
        external_dag_id="nightly_load",
        from_date="{{ params.first }}",
        to_date="{{ params.last }}",
        reprocess_behavior="completed",
        max_active_runs=2,
        wait_for_completion=True,
        deferrable=True,
        retries=1,
        retry_delay=timedelta(seconds=30),
    )

    @task
    def summarise(backfill):
        return f"{backfill['succeeded_runs']} of {backfill['total_runs']} days have run again"

    summarise(run_again.output)


backfill()

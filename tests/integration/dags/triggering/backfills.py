"""DAGs of the triggering Deployment that create backfills of `backfilled_...` in the target."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from astro_provider.operators.backfill import AstroBackfillOperator

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
MODES = {"sync": {"deferrable": False}, "deferred": {"deferrable": True}}


def backfill(name, mode, **kwargs):
    with DAG(f"backfill_{name}_{mode}", **COMMON):
        AstroBackfillOperator(
            task_id="backfill",
            http_conn_id="{{ dag_run.conf['conn'] }}",
            external_dag_id=f"backfilled_{name}_{mode}",
            from_date="2026-01-02",
            to_date="2026-01-04",
            wait_for_completion=True,
            poke_interval=2,
            retry_delay=timedelta(seconds=1),
            **MODES[mode],
            **kwargs,
        )


for mode in MODES:
    backfill("quick", mode, retries=1, dag_run_conf={"seconds": 0, "by": "{{ run_id }}"})
    backfill("failing", mode, retries=1, dag_run_conf={"fails_on": "2026-01-03"})
    backfill("slow", mode, dag_run_conf={"seconds": 120}, max_active_runs=1)
    backfill("busy", mode, retries=1)
    # The first try ends before the backfill, which a later try continues with.
    options = {"retries": 9, "execution_timeout": timedelta(seconds=20), "cancel_on_kill": False}
    backfill("continued", mode, dag_run_conf={"seconds": 15}, max_active_runs=3, **options)

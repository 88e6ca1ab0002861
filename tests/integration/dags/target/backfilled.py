"""DAGs of the target whose runs the tests of backfills create: one for each test, because a DAG has one at a time."""

import time
from datetime import datetime, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

# All dates of the schedule are past, so that the scheduler creates no run.
DATES = {
    "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "end_date": datetime(2026, 1, 31, tzinfo=timezone.utc),
}

for name in ("quick", "failing", "slow", "continued", "busy"):
    for mode in ("sync", "deferred"):
        with DAG(f"backfilled_{name}_{mode}", schedule="@daily", catchup=False, is_paused_upon_creation=False, **DATES):

            @task(retries=0)
            def work(dag_run=None, ti=None):
                """Take the time of the conf, and fail on a date of the conf, unless the task was cleared."""
                time.sleep(dag_run.conf.get("seconds", 0))
                if dag_run.conf.get("fails_on") == f"{dag_run.logical_date:%Y-%m-%d}" and ti.try_number == 1:
                    raise RuntimeError("the file has no rows")

            work()

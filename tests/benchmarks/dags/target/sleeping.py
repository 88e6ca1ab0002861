"""Dags whose runs sleep for the number of seconds in their conf, one dag for each way to trigger and wait."""

import time
from datetime import datetime, timezone

from airflow.sdk import dag, task

for name in ("triggerer", "worker", "http"):

    @dag(f"sleep_{name}", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc))
    def sleeping():
        @task
        def work(dag_run=None):
            time.sleep(float(dag_run.conf["seconds"]))

        work()

    sleeping()

"""DAGs of the target Deployments that the tests of idle dags pause and wait for."""

import time
from datetime import datetime, timezone
from pathlib import Path

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

COMMON = {
    "schedule": None,
    "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "is_paused_upon_creation": False,
}


@dag(**COMMON)
def stepping():
    """Has a task that lasts until the file in the conf exists, and another one after it."""

    @task(retries=0)
    def work(dag_run=None):
        while not Path(dag_run.conf["until"]).exists():
            time.sleep(0.2)

    @task
    def after():
        return "after"

    work() >> after()


@dag(**COMMON, max_active_runs=1)
def pooled():
    """Has a task in a pool that has no slot until the test gives it one, so that a second run stays queued."""

    @task(pool="of_idle_test")
    def work():
        return "worked"

    work()


@dag(**COMMON)
def pausable():
    """Is only paused and unpaused."""

    @task
    def work():
        return "worked"

    work()


stepping()
pooled()
pausable()

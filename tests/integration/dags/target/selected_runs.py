"""DAGs whose runs the sensors choose by date or by partition. They are paused: a test ends their runs."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

try:
    from airflow.sdk import PartitionedAtRuntime
except ImportError:  # before Airflow 3.3
    PartitionedAtRuntime = None

COMMON = {"start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False, "is_paused_upon_creation": True}


@dag(schedule=None, **COMMON)
def held():
    @task
    def work():
        return "worked"

    work()


@dag(schedule=None, **COMMON)
def nightly():
    @task
    def work():
        return "worked"

    work()


@dag(schedule=PartitionedAtRuntime() if PartitionedAtRuntime else None, **COMMON)
def partitioned():
    @task
    def work():
        return "worked"

    work()


held()
nightly()
partitioned()

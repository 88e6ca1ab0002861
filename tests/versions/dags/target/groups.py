"""A DAG of the target: a task group with a prefix, one without, and a failing task outside of them."""

from datetime import datetime, timezone

from airflow.sdk import TaskGroup, dag, task


@dag(
    schedule=None,
    start_date=datetime(2000, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    is_paused_upon_creation=False,
)
def groups():
    @task(retries=0)
    def outside():
        raise RuntimeError("outside fails")

    with TaskGroup("prefixed"):

        @task
        def inside():
            return 1

        inside()

    with TaskGroup("unprefixed", prefix_group_id=False):

        @task
        def loose():
            return 1

        loose()

    outside()


groups()

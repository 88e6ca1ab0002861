"""DAGs of the target Deployments whose runs the integration tests clear."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

COMMON = {
    "schedule": None,
    "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "is_paused_upon_creation": False,
    "max_active_runs": 3,  # more tasks at once would overload a small machine
}


def make(dag_id):
    @dag(dag_id, **COMMON)
    def fails_in_the_middle():
        """The first try of the second of three tasks fails; mapped tasks beside them succeed."""

        @task
        def first():
            return 1

        @task(retries=0)
        def flaky(ti=None):
            if ti.try_number == 1:
                raise RuntimeError("not yet")

        @task
        def last():
            return 3

        @task
        def mapped(number: int):
            return number

        first() >> flaky() >> last()
        mapped.expand(number=[1, 2])

    return fails_in_the_middle()


make("cleared")
make("cleared_newest")

"""A DAG whose tasks return values of many kinds, and a paused one that returns a value once a test unpauses it."""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
RETURNED = {
    "report": {"rows": 12, "share": 0.5, "name": "żółw", "parts": [1, None, True], "more": {}},
    "number": 7,
    "text": "plain",
    "nothing": None,
    "pair": ("a", 1),
    "moment": {"at": datetime(2026, 1, 31, tzinfo=timezone.utc)},
    "large": "x" * (1024 * 1024),
}


@dag(**COMMON, is_paused_upon_creation=False)
def results():
    for task_id, value in RETURNED.items():

        @task(task_id=task_id, multiple_outputs=False)
        def give(value=value):
            return value

        give()

    @task
    def part(number: int):
        return None if number == 1 else {"number": number}

    part.expand(number=[2, 1, 0])
    part.override(task_id="no_part").expand(number=[])

    @task
    def pushes(ti=None):
        ti.xcom_push(key="rows/a b", value=[1, 2])

    pushes()


@dag(**COMMON, is_paused_upon_creation=True)
def late_result():
    @task
    def answer():
        return {"answer": 42}

    answer()


results()
late_result()

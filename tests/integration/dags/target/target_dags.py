"""DAGs of the target Deployments that the integration tests trigger, pause and wait for."""

import time
from datetime import datetime, timedelta, timezone

from airflow.exceptions import AirflowSkipException

try:
    from airflow.sdk import Param, TaskGroup, dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.models.param import Param
    from airflow.utils.task_group import TaskGroup

START = datetime(2000, 1, 1, tzinfo=timezone.utc)
COMMON = {"schedule": None, "start_date": START, "catchup": False, "is_paused_upon_creation": False}


@dag(**COMMON)
def quick():
    @task
    def answer(dag_run=None):
        return {"conf": dag_run.conf, "answer": 42}

    answer()


@dag(**{**COMMON, "is_paused_upon_creation": True})
def sleeping():
    """A paused dag, whose runs stay queued until a test unpauses it."""

    @task
    def wake():
        return "awake"

    wake()


@dag(**{**COMMON, "is_paused_upon_creation": True})
def busy():
    """A paused dag, whose runs stay queued until a test ends them."""

    @task
    def work():
        return "worked"

    work()


@dag(**COMMON)
def dated():
    """Its task cannot be rendered in a run without a logical date."""

    @task(retries=0)
    def use(day):
        return day

    use("{{ ds }}")


@dag(**COMMON)
def slow():
    """Runs one task for the number of seconds in the conf."""

    # A task that is cleared while it runs starts again on Airflow 2 after its retry delay, by default 5 minutes.
    @task(retries=0, retry_delay=timedelta(seconds=1))
    def wait(dag_run=None):
        for _ in range(int((dag_run.conf or {}).get("seconds", 20)) * 2):
            time.sleep(0.5)

    wait()


@dag(**COMMON)
def broken():
    """A task and one of three mapped tasks fail, and so does the task downstream of them."""

    @task(retries=0)
    def load():
        raise ValueError("the file has no rows")

    @task(retries=0)
    def part(number: int):
        if number == 1:
            raise RuntimeError(f"part {number} is lost")

    @task
    def publish():
        pass

    [load(), part.expand(number=[0, 1, 2])] >> publish()


@dag(**COMMON)
def fails_once():
    """Fails once, and succeeds when its failed task is cleared."""

    @task
    def first():
        return "done"

    @task(retries=0)
    def flaky(ti=None):
        if ti.try_number == 1:
            raise RuntimeError("not yet")

    first() >> flaky()


@dag(**COMMON)
def branches():
    """Chooses one of two branches; the first try of a later task hangs or fails."""

    @task.branch
    def choose():
        return "left"

    @task
    def left():
        return "left"

    @task
    def right():
        return "right"

    @task(retries=0)
    def work(ti=None, dag_run=None):
        if ti.try_number == 1:
            time.sleep(60 if dag_run.conf.get("hangs") else 7)
            raise RuntimeError("not yet")

    @task
    def after():
        return "after"

    chosen = choose()
    chosen >> left() >> work() >> after()
    chosen >> right()


@dag(**COMMON, params={"day": Param(type="string", format="date")})
def strict():
    """Its params require a day in the conf."""

    @task
    def use(params=None):
        return params["day"]

    use()


@dag(**COMMON)
def grouped():
    """A task group, a failing and a skipped task outside it, and a mapped task."""

    with TaskGroup("inner"):

        @task
        def one():
            return 1

        @task
        def two():
            return 2

        one() >> two()

    @task(retries=0)
    def outside():
        raise RuntimeError("outside fails")

    @task
    def skipped():
        raise AirflowSkipException

    @task
    def mapped(number: int):
        return number

    outside()
    skipped()
    mapped.expand(number=[1, 2, 3])


@dag(**{**COMMON, "schedule": timedelta(days=1)}, max_active_runs=1)
def daily():
    """Scheduled daily, so that its runs have logical dates."""

    @task
    def work():
        return "worked"

    work()


@dag("żółw.odd-id", **COMMON)
def odd():
    """A dag id that must be percent-encoded."""

    @task
    def work():
        return "odd"

    work()


quick()
sleeping()
busy()
dated()
slow()
broken()
fails_once()
branches()
strict()
grouped()
daily()
odd()

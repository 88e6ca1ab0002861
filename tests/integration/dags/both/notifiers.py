"""DAGs whose callbacks trigger a dag of the target, for Airflow 3 and Airflow 2."""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from astro_provider.notifications.dag_run import AstroTriggerDagRunNotifier

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
CONN = "{{ dag_run.conf.get('conn', 'http_conn') }}"


def notifier(name, **options):
    conf = {"callback": name, "rendered_for": "{{ run_id }}"}
    return AstroTriggerDagRunNotifier(**{"trigger_dag_id": "quick", "http_conn_id": CONN, "conf": conf, **options})


with DAG("notify", on_failure_callback=notifier("dag"), **COMMON):

    @task(
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_failure_callback=notifier("failure"),
        on_retry_callback=notifier("retry"),
    )
    def fails():
        raise ValueError("no rows")

    @task(on_failure_callback=[notifier("mapped"), notifier("mapped"), notifier("second")])
    def mapped(number):
        raise ValueError(f"no row {number}")

    @task(on_success_callback=notifier("success"))
    def succeeds():
        return 1

    @task(on_failure_callback=notifier("nowhere", trigger_dag_id="no_such_dag"))
    def nowhere():
        raise ValueError("the failure itself")

    fails()
    mapped.expand(number=[0, 1])
    succeeds()
    nowhere()

with DAG("notify_success", on_success_callback=notifier("dag success", conf=None), **COMMON):

    @task
    def works():
        return 1

    works()

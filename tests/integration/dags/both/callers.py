"""A DAG whose tasks trigger runs with and without a note; for Airflow 3 and Airflow 2."""

from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

OPTIONS = {"http_conn_id": "{{ dag_run.conf['conn'] }}", "trigger_dag_id": "quick", "deferrable": False}
EXISTING = {"trigger_run_id": "{{ dag_run.conf['existing'] }}", "on_existing_run": "attach"}


def trigger(task_id, **options):
    return AstroTriggerDagRunOperator(task_id=task_id, **{**OPTIONS, **options})


with DAG(
    "callers",
    schedule=None,
    start_date=datetime(2000, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
):
    trigger("on_worker")
    trigger("in_triggerer", deferrable=True)  # on a worker before Airflow 3.3
    trigger("waits", deferrable=True, start_from_trigger=False, wait_for_completion=True)
    trigger("odd__żółw__id")
    AstroTriggerDagRunOperator.partial(task_id="mapped", **OPTIONS).expand(conf=[{"part": part} for part in range(2)])
    trigger("given", note="by hand")
    trigger("none", note="")
    trigger("none_in_triggerer", note="", deferrable=True)
    trigger("rendered_to_none", note="{{ dag_run.conf.get('note') }}")
    (
        trigger("attached", **EXISTING)
        >> trigger("attached_in_triggerer", deferrable=True, **EXISTING)
        >> trigger("reset", **{**EXISTING, "on_existing_run": "reset"})
    )

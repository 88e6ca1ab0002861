"""A DAG of trigger operators that start in the triggerer, and of some that need a worker."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import Asset, dag, task

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

CONN = "{{ dag_run.conf.get('conn', 'v2_conn') }}"
CONF = {
    "from": [
        "{{ run_id }}",
        {"of": "{{ dag_run.conf['run_id'] }}", "rows": 3, "by": "{{ dag.dag_id }}.{{ task.task_id }}"},
    ],
    "none": None,
}


@dag(
    schedule=None,
    start_date=datetime(2000, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 0, "retry_delay": timedelta(seconds=1)},
)
def operators_in_triggerer():
    def trigger(task_id, dag_id="quick", *, waits=True, **options):
        return AstroTriggerDagRunOperator(
            task_id=task_id,
            http_conn_id=CONN,
            trigger_dag_id=dag_id,
            wait_for_completion=waits,
            deferrable=True,
            **options,
        )

    def print_exception(context):
        print("called with", type(context.get("exception")).__name__)

    @task
    def describe(run):
        return [type(run).__name__, run["conf"], type(run["note"]).__name__, run["state"]]

    plain = trigger("plain", conf=CONF)
    describe.override(task_id="use_plain")(plain.output)
    only = trigger("only", waits=False)
    describe.override(task_id="use_only")(only.output)
    trigger("broken", "broken")
    trigger("missing", "quik")
    trigger("retried", "broken", retries=1)
    trigger("outlets", outlets=[Asset("triggered")])
    trigger("success_callback", on_success_callback=print_exception)
    trigger("failure_callback", "broken", on_failure_callback=print_exception)
    existing = {"trigger_run_id": "{{ dag_run.conf['run_id'] }}"}
    trigger("fail", on_existing_run="fail", retries=1, **existing)
    trigger("skip", on_existing_run="skip", **existing)
    trigger("attach", on_existing_run="attach", **existing)
    trigger("limited", "slow", conf={"seconds": 600}, execution_timeout=timedelta(seconds=40))

    @task
    def number(item):
        return len(item)

    number.override(task_id="mapped_downstream").expand(item=trigger("mapped_over").output)

    @task
    def remote_conf():
        return {"rows": 4}

    trigger("xcom", conf=remote_conf())


operators_in_triggerer()

"""DAGs of the triggering Deployment that clear runs of the targets, named by the conf of their own run."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from astro_provider.operators.clear import AstroClearDagRunOperator

COMMON = {
    "schedule": None,
    "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "default_args": {"retries": 0, "retry_delay": timedelta(seconds=1)},
}
RUN_ID = {"external_run_id": "{{ dag_run.conf['run_id'] }}"}
NAMES = {"id": RUN_ID, "date": {"logical_date": "{{ dag_run.conf['date'] }}"}, "newest": {"latest": True}}
CLEAR = {
    "task_id": "clear",
    "http_conn_id": "{{ dag_run.conf['conn'] }}",
    "external_dag_id": "{{ dag_run.conf.get('dag', 'cleared') }}",
    "wait_for_completion": "{{ dag_run.conf.get('wait', true) }}",
    "poke_interval": 1,
}


class FailsAfterItsFirstTry(AstroClearDagRunOperator):
    """Its first try fails after the run was cleared and has finished."""

    def execute(self, context):
        run = super().execute(context)
        if context["ti"].try_number == 1:
            raise RuntimeError("the first try fails after everything is done")
        return run


for mode in ("sync", "deferred"):
    options = {**CLEAR, "deferrable": mode == "deferred"}

    for way, name in NAMES.items():
        with DAG(f"clear_by_{way}_{mode}", **COMMON):
            AstroClearDagRunOperator(**options, **name)

    with DAG(f"clear_failed_{mode}", **COMMON):
        AstroClearDagRunOperator(**options, **RUN_ID, only_failed=True)

    with DAG(f"clear_tasks_{mode}", **COMMON):
        AstroClearDagRunOperator(
            **options,
            **RUN_ID,
            task_ids=["{{ dag_run.conf['task'] }}"],
            include_downstream="{{ dag_run.conf.get('downstream', false) }}",
        )

with DAG("clear_and_fail_once", **COMMON):
    FailsAfterItsFirstTry(**CLEAR, **RUN_ID, retries=1)

"""DAGs of the triggering Deployment for the tests with faults: the task lives on a worker, or in the triggerer."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
# The conf of a run names the connection, the dag in the target, and the choices of the operator.
TRIGGER = {
    "http_conn_id": "{{ dag_run.conf['conn'] }}",
    "trigger_dag_id": "{{ dag_run.conf['dag'] }}",
    "trigger_run_id": "{{ dag_run.conf.get('run_id', '') }}",
    "on_existing_run": "{{ dag_run.conf.get('on_existing_run', 'fail') }}",
    "wait_for_completion": "{{ dag_run.conf.get('wait', false) }}",
    "poke_interval": 1,
}
NUMBER_OF_TASKS = 20

for home, deferrable in {"worker": False, "triggerer": True}.items():
    for retry_delay in (1, 30):
        retries = {"retries": 2, "retry_delay": timedelta(seconds=retry_delay)}
        with DAG(f"fault_{home}_{retry_delay}", **COMMON):
            AstroTriggerDagRunOperator(task_id="trigger", deferrable=deferrable, **TRIGGER, **retries)

retries = {"retries": 2, "retry_delay": timedelta(seconds=5)}

with DAG("fault_mapped", **COMMON):

    @task
    def parts(dag_run):
        return [{"part": part} for part in range(dag_run.conf["parts"])]

    mapped = AstroTriggerDagRunOperator.partial(task_id="trigger", **TRIGGER, **retries)
    mapped.expand(conf=parts())

with DAG("fault_unmapped", **COMMON):
    for number in range(NUMBER_OF_TASKS):
        AstroTriggerDagRunOperator(
            task_id=f"trigger_{number}",
            deferrable=True,
            conf={"part": f"{number} of {{{{ run_id }}}}"},
            **TRIGGER,
            **retries,
        )

"""DAGs of the triggering Deployment that wait for idle dags, and pause dags."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from astro_provider.operators.dag import AstroPauseDagOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor

COMMON = {
    "schedule": None,
    "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "default_args": {"retries": 0, "retry_delay": timedelta(seconds=1)},
}
CONN = "{{ dag_run.conf['conn'] }}"
MODES = {
    "sync": {"deferrable": False},
    "deferred": {"deferrable": True},
    "worker": {"deferrable": True, "start_from_trigger": False},
}

with DAG("wait_until_idle", **COMMON):
    for mode, options in MODES.items():
        AstroDagRunSensor(
            task_id=mode,
            http_conn_id=CONN,
            external_dag_id="{{ dag_run.conf['dag'] }}",
            idle=True,
            poke_interval=1,
            timeout=180,
            **options,
        )


class FailsAfterThePause(AstroPauseDagOperator):
    """Fails at its first try when it has paused the dag, as if the response was lost."""

    def execute(self, context):
        dag = super().execute(context)
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker is lost")
        return dag


with DAG("pause_at_second_try", **COMMON):
    FailsAfterThePause(task_id="pause", http_conn_id=CONN, external_dag_id="pausable", retries=1)

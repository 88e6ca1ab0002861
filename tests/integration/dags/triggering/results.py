"""DAGs of the triggering Deployment whose tasks return what tasks of a remote run returned."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, task

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
CONN = "{{ dag_run.conf['conn'] }}"
RUN_ID = "{{ dag_run.conf['run_id'] }}"
MODES = {
    "sync": {"deferrable": False},
    "deferred": {"deferrable": True},
    "worker": {"deferrable": True, "start_from_trigger": False},
}
RETRIED = {"retries": 1, "retry_delay": timedelta(seconds=1), "poke_interval": 1}
RESULTS = {
    "report": {"result_task_id": "report"},
    "number": {"result_task_id": "number"},
    "text": {"result_task_id": "{{ dag_run.conf['text_task'] }}"},
    "part": {"result_task_id": "part"},
    "no_part": {"result_task_id": "no_part"},
    "several": {"result_task_id": ["number", "part"]},
    "key": {"result_task_id": "pushes", "result_key": "rows/a b"},
    "nothing": {"result_task_id": "nothing"},
    "moment": {"result_task_id": "moment"},
    "pair": {"result_task_id": "pair"},
    "large": {"result_task_id": "large"},
}

for mode, options in MODES.items():
    with DAG(f"result_of_new_run_{mode}", **COMMON):
        trigger = AstroTriggerDagRunOperator(
            task_id="trigger",
            http_conn_id=CONN,
            trigger_dag_id="quick",
            conf={"run": "{{ run_id }}"},
            wait_for_completion=True,
            result_task_id="answer",
            **options,
            **RETRIED,
        )

        @task
        def use(value):
            return value["answer"] + 1

        use(trigger.output)

for mode, options in {**MODES, "reschedule": {"mode": "reschedule", "poke_interval": 10}}.items():
    with DAG(f"late_result_{mode}", **COMMON):
        AstroDagRunSensor(
            task_id="sensor",
            http_conn_id=CONN,
            external_dag_id="late_result",
            external_run_id=RUN_ID,
            result_task_id="answer",
            timeout=600,
            **{**RETRIED, **options},
        )

for mode in ("sync", "deferred"):
    with DAG(f"results_of_run_{mode}", **COMMON):
        for task_id, result in RESULTS.items():
            AstroTriggerDagRunOperator(
                task_id=task_id,
                http_conn_id=CONN,
                trigger_dag_id="results",
                trigger_run_id=RUN_ID,
                on_existing_run="attach",
                wait_for_completion=True,
                **result,
                **MODES[mode],
                **RETRIED,
            )

"""DAGs that wait for the response of any endpoint, and that delete what might not be there."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG
from response_checks import has_value

from astro_provider.operators.api import AstroApiOperator
from astro_provider.sensors.api import AstroApiSensor

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
CONN = "{{ dag_run.conf['conn'] }}"
VARIABLE = "variables/{{ dag_run.conf['key'] }}"


def has_value_here(response):
    return "value" in response


with DAG("wait_for_variable", **COMMON):
    common = {"http_conn_id": CONN, "endpoint": VARIABLE, "response_check": has_value, "allowed_statuses": (404,)}
    # On a busy machine, Airflow fails tasks before they run.
    common |= {"poke_interval": 1, "timeout": 600, "retries": 2, "retry_delay": timedelta(seconds=1)}
    AstroApiSensor(task_id="sync", **common)
    # Few processes, because the busy scheduler fails tasks that are resumed soon after they were rescheduled.
    rescheduled = {**common, "mode": "reschedule", "poke_interval": 10}
    AstroApiSensor(task_id="reschedule", **rescheduled)
    for number in range(3):
        AstroApiSensor(task_id=f"deferred_{number}", deferrable=True, **common)
    AstroApiSensor(task_id="in_dag_file", deferrable=True, **{**rescheduled, "response_check": has_value_here})
    never = {**common, "endpoint": "variables/never_there", "timeout": 15}
    AstroApiSensor(task_id="missing", deferrable=True, **{**never, "allowed_statuses": (), "retries": 1})
    AstroApiSensor(task_id="timeout", deferrable=True, **never)
    AstroApiSensor(task_id="soft", deferrable=True, soft_fail=True, **never)

with DAG("delete_variable_twice", **COMMON):
    delete = {"http_conn_id": CONN, "endpoint": VARIABLE, "method": "DELETE"}
    (
        AstroApiOperator(
            task_id="set",
            http_conn_id=CONN,
            endpoint="variables",
            method="POST",
            data={"key": "{{ dag_run.conf['key'] }}", "value": "1"},
        )
        >> AstroApiOperator(task_id="first", allowed_statuses=(404,), **delete)
        >> AstroApiOperator(task_id="second", allowed_statuses=(404,), **delete)
        >> [
            AstroApiOperator(task_id="third", **delete),
            AstroApiOperator(task_id="misspelt", allowed_statuses=(404, 405), **{**delete, "endpoint": "variable/x"}),
        ]
    )

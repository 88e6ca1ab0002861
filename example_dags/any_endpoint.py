"""
Call any endpoint of another Deployment's REST API: list its DAGs and pools, set and delete a Variable, and wait for it.

Needs the connection `http_conn` to the other Deployment.
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag
except ImportError:  # Airflow 2
    from airflow.decorators import dag

from astro_provider.operators.api import AstroApiOperator
from astro_provider.sensors.api import AstroApiSensor


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["example"])
def any_endpoint():
    AstroApiOperator(
        task_id="list_dags",
        http_conn_id="http_conn",
        endpoint="dags",
        all_pages=True,
        response_filter=lambda response: [dag["dag_id"] for dag in response["dags"]],
    )

    AstroApiOperator(
        task_id="list_pools",
        http_conn_id="http_conn",
        endpoint="pools",
        response_check=lambda response: response["total_entries"] > 0,
        response_filter=lambda response: {pool["name"]: pool["slots"] for pool in response["pools"]},
    )

    delete_if_there = AstroApiOperator(
        task_id="delete_variable_if_there",
        http_conn_id="http_conn",
        endpoint="variables/last_visitor",
        method="DELETE",
        allowed_statuses=(404,),
    )

    set_variable = AstroApiOperator(
        task_id="set_variable",
        http_conn_id="http_conn",
        endpoint="variables",
        method="POST",
        data={"key": "last_visitor", "value": "{{ run_id }}"},
        log_response=True,
    )

    # With deferrable=True, response_check must be a function in a module of the project, such as include/checks.py.
    wait_for_variable = AstroApiSensor(
        task_id="wait_for_variable",
        http_conn_id="http_conn",
        endpoint="variables/last_visitor",
        response_check=lambda variable, run_id: variable["value"] == run_id,
    )

    delete_variable = AstroApiOperator(
        task_id="delete_variable",
        http_conn_id="http_conn",
        endpoint="variables/last_visitor",
        method="DELETE",
    )

    delete_if_there >> set_variable >> wait_for_variable >> delete_variable


any_endpoint()

"""Fails because the dag run that it triggers fails. For `make pictures`."""

from datetime import datetime, timezone

from airflow.sdk import dag

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False)
def morning_reports():
    AstroTriggerDagRunOperator(task_id="load_sales", trigger_dag_id="nightly_sales", wait_for_completion=True)


morning_reports()

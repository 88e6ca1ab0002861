"""Names of Airflow that only tests use, imported from their place in the running Airflow version."""

from __future__ import annotations

try:
    from airflow.sdk import DAG, Asset, dag, task, task_group
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:  # Airflow 2, and for the exception Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred

    try:
        from airflow.sdk import DAG, Asset, dag, task, task_group
    except ImportError:
        from airflow.datasets import Dataset as Asset
        from airflow.decorators import dag, task, task_group
        from airflow.models.dag import DAG

__all__ = ["DAG", "AirflowRescheduleException", "Asset", "TaskDeferred", "dag", "task", "task_group"]

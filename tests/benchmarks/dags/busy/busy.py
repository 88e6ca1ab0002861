"""Dags that are waited for until they are idle. The scheduler is stopped, and each has a task that stays running."""

import os
from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for number in range(1, int(os.environ["BUSY_DAGS"]) + 1):
    dag_id = f"busy_{number}"
    with DAG(dag_id, schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc)) as globals()[dag_id]:
        EmptyOperator(task_id="work")

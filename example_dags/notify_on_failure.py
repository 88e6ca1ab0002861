"""
Trigger a DAG in another Deployment when a task of this DAG fails, as an Astro Alert does, but from the DAG file.

Needs the connection `http_conn` to the Deployment that has the DAG `remote_report` (see `target/`). The conf of the
remote run has the key `triggered_by` with the facts of the failed task, such as its dag id, run id, exception and log.
Trigger this DAG with the conf `{"fail": true}` to see it.
"""

from datetime import datetime, timezone

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task

from astro_provider.notifications.dag_run import AstroTriggerDagRunNotifier

# A callback in the default_args is called for each task that fails. One of @dag would be called once for the run.
notify = AstroTriggerDagRunNotifier(http_conn_id="http_conn", trigger_dag_id="remote_report", conf={"rows": 1})


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"on_failure_callback": notify},
    params={"fail": False},
    tags=["example"],
)
def notify_on_failure():
    @task
    def load(params=None):
        if params["fail"]:
            raise ValueError("the file has no rows")
        return "loaded"

    load()


notify_on_failure()

"""Sensors that choose the runs they wait for by a range of dates, by when they were due, or by partition."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG

from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}
MODES = {
    # Not "poke": sensors that wait together for long would occupy all slots of the triggering deployment.
    # Airflow fails tasks that are rescheduled sooner than it has heard of the end of their process.
    "sync": {"deferrable": False, "mode": "reschedule", "poke_interval": 10},
    "deferred": {"deferrable": True},
    "worker": {"deferrable": True, "start_from_trigger": False},
}

for mode, options in MODES.items():
    common = {"http_conn_id": "{{ dag_run.conf['conn'] }}", "poke_interval": 1, "timeout": 600, **options}
    # A busy machine can fail a task while it starts. The sensor that fails on purpose has no retries.
    retried = {**common, "retries": 2, "retry_delay": timedelta(seconds=1)}
    dates = ("{{ dag_run.conf['start'] }}", "{{ dag_run.conf['end'] }}")
    failed_dates = ("{{ dag_run.conf['end'] }}", "{{ dag_run.conf['failed_end'] }}")
    expected = "{{ dag_run.conf['expected'] }}"
    with DAG(f"wait_for_selected_runs_{mode}", is_paused_upon_creation=False, **COMMON):
        AstroDagRunSensor(
            task_id="range", external_dag_id="held", logical_date_range=dates, expected_runs=expected, **retried
        )
        AstroTaskSensor(
            task_id="tasks",
            external_dag_id="instant",
            external_task_id="nothing",
            logical_date_range=dates,
            expected_runs=expected,
            **retried,
        )
        AstroDagRunSensor(task_id="failed", external_dag_id="held", logical_date_range=failed_dates, **common)
        AstroDagRunSensor(
            task_id="since", external_dag_id="nightly", latest=True, since="{{ dag_run.conf['since'] }}", **retried
        )
        AstroDagRunSensor(
            task_id="partition",
            external_dag_id="partitioned",
            partition_key="{{ dag_run.conf['partition'] }}",
            **retried,
        )

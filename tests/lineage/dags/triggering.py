"""Tasks that trigger, clear and backfill in a target, whose OpenLineage events the tests read."""

from datetime import datetime, timezone

from airflow.sdk import dag

from astro_provider.operators.backfill import AstroBackfillOperator
from astro_provider.operators.clear import AstroClearDagRunOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor

COMMON = {"schedule": None, "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc), "catchup": False}


@dag(**COMMON)
def lineage():
    def trigger(task_id, conn="v2_conn", dag_id="downstream", *, waits=True, **options):
        return AstroTriggerDagRunOperator(
            task_id=task_id, http_conn_id=conn, trigger_dag_id=dag_id, wait_for_completion=waits, **options
        )

    for version in ("v2", "v1"):
        conn = f"{version}_conn"
        on_worker = trigger(f"worker_{version}", conn)
        trigger(f"deferred_{version}", conn, deferrable=True, start_from_trigger=False)
        trigger(f"triggerer_{version}", conn, deferrable=True)
        trigger(f"failed_{version}", conn, "broken")
        trigger(f"no_wait_{version}", conn, waits=False)
        on_worker >> AstroClearDagRunOperator(
            task_id=f"clear_{version}",
            http_conn_id=conn,
            external_dag_id="downstream",
            external_run_id=f"{{{{ ti.xcom_pull(task_ids='worker_{version}', key='trigger_run_id') }}}}",
            wait_for_completion=True,
        )
    AstroDagRunSensor(task_id="sensor", http_conn_id="v2_conn", external_dag_id="downstream", latest=True)
    AstroBackfillOperator(
        task_id="backfill",
        http_conn_id="v2_conn",
        external_dag_id="scheduled",
        from_date="2026-01-01",
        to_date="2026-01-01",
    )


lineage()

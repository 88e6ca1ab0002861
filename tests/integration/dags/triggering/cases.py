"""DAGs of the triggering Deployment: one for each case of the integration tests, for both targets."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, dag, task, task_group
from jinja2 import Undefined

from astro_provider.operators.api import AstroApiOperator
from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor

COMMON = {
    "schedule": None,
    "start_date": datetime(2000, 1, 1, tzinfo=timezone.utc),
    "catchup": False,
    "default_args": {"retries": 0, "retry_delay": timedelta(seconds=1)},
}
# The conf of a run names the connection, so that one DAG serves all targets and credentials.
CONN = "{{ dag_run.conf.get('conn', 'v2_conn') }}"
RUN_ID = "{{ dag_run.conf['run_id'] }}"


def trigger(dag_id, task_id="trigger", **kwargs):
    kwargs = {"http_conn_id": CONN, "trigger_dag_id": dag_id, "poke_interval": 1, **kwargs}
    return AstroTriggerDagRunOperator(task_id=task_id, **kwargs)


# Tasks run on a worker, in the triggerer only, or in the triggerer with a worker at the start and at the end.
MODES = {
    "sync": {"deferrable": False},
    "deferred": {"deferrable": True},
    "worker": {"deferrable": True, "start_from_trigger": False},
}

for mode, options in MODES.items():
    wait = {"wait_for_completion": True, "poke_interval": 1, **options}

    with DAG(f"trigger_quick_{mode}", **COMMON):
        trigger("quick", conf={"greeting": "from {{ run_id }}"}, note=f"made by trigger_quick_{mode}", **wait)

    with DAG(f"trigger_broken_{mode}", **COMMON):
        trigger("broken", **wait)

    with DAG(f"trigger_fails_once_{mode}", **COMMON):
        trigger("fails_once", retries=1, **wait)

    with DAG(f"trigger_branches_{mode}", **COMMON):
        trigger("branches", conf="{{ dag_run.conf.get('remote_conf', {}) | tojson }}", retries=1, **wait)

    with DAG(f"trigger_slow_{mode}", **COMMON):
        trigger("slow", conf={"seconds": 120}, retries=1, **wait)

    with DAG(f"trigger_limited_{mode}", **COMMON):
        trigger("slow", conf={"seconds": 600}, execution_timeout=timedelta(seconds=20), **wait)

    with DAG(f"trigger_sleeping_{mode}", **COMMON):
        trigger("sleeping", **wait)

    with DAG(f"trigger_dated_{mode}", **COMMON):
        trigger("dated", **wait)

    with DAG(f"trigger_undated_{mode}", **COMMON):
        trigger("quick", logical_date=None, **wait)

    with DAG(f"resume_{mode}", **COMMON):
        trigger(
            "fails_once",
            trigger_run_id="{{ dag_run.conf.get('run_id', '') }}",
            logical_date="{{ dag_run.conf.get('date', 'now') }}",
            on_existing_run="resume",
            **wait,
        )

    with DAG(f"trigger_busy_{mode}", **COMMON):
        trigger("busy", on_active_run="{{ dag_run.conf['choice'] }}", retries=1, **wait)


for mode, wait in MODES.items():
    with DAG(f"wait_for_run_{mode}", **COMMON):
        common = {"http_conn_id": CONN, "external_run_id": RUN_ID, **wait, "poke_interval": 1}
        common |= {"timeout": 60, "external_dag_id": "{{ dag_run.conf['dag'] }}"}
        AstroDagRunSensor(task_id="run", **common)
        AstroTaskSensor(task_id="task", external_task_id="{{ dag_run.conf.get('task', 'answer') }}", **common)
        AstroDagRunSensor(task_id="soft", soft_fail=True, **common)

    with DAG(f"wait_for_missing_run_{mode}", **COMMON):
        common = {"http_conn_id": CONN, **wait, "poke_interval": 1, "timeout": 20, "retries": 1}
        common |= {"external_dag_id": "quick", "external_run_id": "never"}
        AstroDagRunSensor(task_id="hard", **common)
        AstroDagRunSensor(task_id="soft", soft_fail=True, **common)
        AstroDagRunSensor(task_id="misspelt", **{**common, "external_dag_id": "quik", "timeout": 30})
        missing = {"http_conn_id": CONN, **wait, "check_existence": True, "timeout": 60}
        AstroDagRunSensor(task_id="missing_dag", **missing, external_dag_id="quik", latest=True)
        AstroTaskSensor(task_id="missing_task", **missing, external_dag_id="quick", external_task_id="no", latest=True)

    with DAG(f"wait_for_group_{mode}", **COMMON):
        common = {"http_conn_id": CONN, "external_run_id": RUN_ID, **wait, "poke_interval": 1}
        common |= {"timeout": 60, "external_dag_id": "grouped"}
        AstroTaskSensor(task_id="group", external_task_group_id="inner", **common)
        AstroTaskSensor(task_id="mapped", external_task_ids=["mapped", "inner.one"], **common)
        AstroTaskSensor(task_id="outside", external_task_id="outside", **common)
        AstroTaskSensor(task_id="skipped", external_task_id="skipped", **common)


with DAG("wait_for_late_target", **COMMON):
    for mode in ("sync", "deferred"):
        common = {"http_conn_id": CONN, "external_run_id": RUN_ID, **MODES[mode], "poke_interval": 1, "timeout": 120}
        AstroDagRunSensor(task_id=mode, external_dag_id="quick", **common)


@dag(**COMMON, render_template_as_native_obj=True)
def rendered_to_nothing():
    """Sensors whose run id or logical date is the result of a task that returns None."""

    @task
    def nothing():
        return None

    returned_none = nothing()
    for mode, wait in MODES.items():
        common = {"http_conn_id": CONN, **wait, "external_dag_id": "quick", "timeout": 60}
        AstroDagRunSensor(task_id=f"by_id_{mode}", external_run_id=returned_none, **common)
        AstroDagRunSensor(task_id=f"by_date_{mode}", logical_date=returned_none, **common)


@dag(**COMMON)
def in_triggerer():
    """Deferrable sensors with retries, outlets, callbacks, mapping and templates that can need a worker."""
    common = {"http_conn_id": CONN, "external_run_id": RUN_ID, "deferrable": True, "poke_interval": 1, "timeout": 60}

    def print_exception(context):
        print("called with", type(context.get("exception")).__name__)

    AstroDagRunSensor(task_id="retried", external_dag_id="broken", retries=1, **common)
    AstroDagRunSensor(task_id="outlets", external_dag_id="quick", outlets=[Asset("waited-for")], **common)
    AstroDagRunSensor(
        task_id="success_callback", external_dag_id="quick", on_success_callback=print_exception, **common
    )
    AstroDagRunSensor(
        task_id="failure_callback", external_dag_id="broken", on_failure_callback=print_exception, **common
    )
    AstroDagRunSensor(task_id="undefined", external_dag_id="quick", **{**common, "external_run_id": "{{ params.x }}"})
    AstroDagRunSensor(task_id="limited", external_dag_id="none", execution_timeout=timedelta(seconds=40), **common)
    # Airflow or the trigger ends this one, whichever is sooner.
    AstroDagRunSensor(task_id="hurried", external_dag_id="none", execution_timeout=timedelta(seconds=1), **common)
    mapped = {key: value for key, value in common.items() if key != "external_run_id"}
    AstroDagRunSensor.partial(task_id="mapped", external_dag_id="quick", **mapped).expand(external_run_id=[RUN_ID])

    @task
    def which(dag_run):
        return dag_run.conf["run_id"]

    AstroDagRunSensor(task_id="xcom", external_dag_id="quick", **{**common, "external_run_id": which()})

    @task_group
    def group(number):
        AstroDagRunSensor(task_id="inside", external_dag_id="quick", **common)

    group.expand(number=[0, 1])


@dag(**COMMON, template_undefined=Undefined)
def undefined_template():
    """A deferrable sensor whose template the triggerer, which renders strictly, cannot render."""
    AstroDagRunSensor(
        task_id="run",
        http_conn_id=CONN,
        external_dag_id="quick",
        external_run_id=RUN_ID + "{{ params.missing }}",
        deferrable=True,
        poke_interval=1,
        timeout=60,
    )


@dag(**COMMON)
def trigger_only():
    """Triggers the dag that the conf names, and does not wait for it."""
    trigger("{{ dag_run.conf['dag'] }}", conf="{{ dag_run.conf.get('remote_conf', {}) | tojson }}", retries=1)


class OtherRetriesAtEveryTry(AstroTriggerDagRunOperator):
    """Has another number of retries at each try, as after a change of the DAG file."""

    def pre_execute(self, context):
        self.retries = context["ti"].max_tries - context["ti"].try_number + 1


with DAG("other_retries_at_every_try", **COMMON):
    OtherRetriesAtEveryTry(
        task_id="trigger",
        http_conn_id=CONN,
        trigger_dag_id="fails_once",
        wait_for_completion=True,
        poke_interval=1,
        retries=1,
    )


for choice in ("fail", "attach", "reset", "skip"):
    with DAG(f"existing_{choice}", **COMMON):
        trigger(
            "quick",
            trigger_run_id="{{ dag_run.conf.get('run_id', '') }}",
            logical_date="{{ dag_run.conf.get('date', '') }}",
            on_existing_run=choice,
            wait_for_completion=True,
            retries=2,
        )


for choice in ("trigger", "unpause", "fail"):
    with DAG(f"paused_{choice}", **COMMON):
        trigger("sleeping", if_paused=choice, retries=2)


@dag(**COMMON)
def mapped_trigger():
    """A mapped task that triggers a run for each conf, and a summary of the returned runs."""

    @task
    def summary(runs):
        return sorted(run["conf"]["part"] for run in runs)

    runs = AstroTriggerDagRunOperator.partial(
        task_id="trigger", http_conn_id=CONN, trigger_dag_id="quick", wait_for_completion=True, deferrable=True
    ).expand(conf=[{"part": part} for part in range(3)])
    summary(runs.output)


@dag(**COMMON)
def reschedule():
    # Airflow fails a task that is resumed before the scheduler has registered that it was rescheduled.
    common = {"http_conn_id": CONN, "external_run_id": RUN_ID, "mode": "reschedule", "poke_interval": 10}
    AstroDagRunSensor(task_id="run", external_dag_id="{{ dag_run.conf['dag'] }}", timeout=60, **common)


@dag(**COMMON)
def by_logical_date():
    """Waits for the runs with the logical date of this run and of the day before."""
    common = {"http_conn_id": CONN, "external_dag_id": "quick", "poke_interval": 1, "timeout": 30}
    AstroDagRunSensor(task_id="same", **common)
    AstroDagRunSensor(task_id="day_before", execution_delta=timedelta(days=1), deferrable=True, **common)
    AstroDagRunSensor(
        task_id="both", execution_date_fn=lambda date, dag_run: [date, date - timedelta(days=1)], **common
    )


@dag(**COMMON)
def pause_and_unpause():
    common = {"http_conn_id": CONN, "external_dag_id": "quick"}
    AstroPauseDagOperator(task_id="pause", **common) >> AstroUnpauseDagOperator(task_id="unpause", **common)


@dag(**COMMON)
def pause_missing():
    AstroPauseDagOperator(task_id="pause", http_conn_id=CONN, external_dag_id="quik")


@dag(**COMMON)
def call_endpoints():
    AstroApiOperator(task_id="dags", http_conn_id=CONN, endpoint="dags", all_pages=True, data={"limit": 2})
    AstroApiOperator(task_id="invalid", http_conn_id=CONN, endpoint="pools", method="POST", data={"slots": "x"})


rendered_to_nothing()
in_triggerer()
undefined_template()
trigger_only()
mapped_trigger()
reschedule()
by_logical_date()
pause_and_unpause()
pause_missing()
call_endpoints()

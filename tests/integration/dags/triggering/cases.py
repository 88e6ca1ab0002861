"""DAGs of the triggering Deployment: one a case, run by the integration tests against both targets."""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, dag, task, task_group

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
# The conf of a run chooses the connection, so that one DAG serves for all targets and all credentials.
CONN = "{{ dag_run.conf.get('conn', 'v2_conn') }}"
RUN_ID = "{{ dag_run.conf['run_id'] }}"


def trigger(dag_id, task_id="trigger", **kwargs):
    kwargs = {"http_conn_id": CONN, "trigger_dag_id": dag_id, "poke_interval": 1, **kwargs}
    return AstroTriggerDagRunOperator(task_id=task_id, **kwargs)


for mode in ("sync", "deferred"):
    deferrable = mode == "deferred"
    wait = {"wait_for_completion": True, "deferrable": deferrable, "poke_interval": 1}

    with DAG(f"trigger_quick_{mode}", **COMMON):
        trigger("quick", conf={"greeting": "from {{ run_id }}"}, note="made by {{ dag.dag_id }}", **wait)

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


# Waiting here, in the triggerer from the start to the end, or in the triggerer and on workers before and after.
MODES = {
    "sync": {"deferrable": False},
    "deferred": {"deferrable": True},
    "worker": {"deferrable": True, "start_from_trigger": False},
}

for mode, wait in MODES.items():
    with DAG(f"wait_for_run_{mode}", **COMMON):
        common = {"http_conn_id": CONN, "external_run_id": RUN_ID, **wait, "poke_interval": 1}
        common |= {"timeout": 60, "external_dag_id": "{{ dag_run.conf['dag'] }}"}
        AstroDagRunSensor(task_id="run", **common)
        AstroTaskSensor(task_id="task", external_task_id="{{ dag_run.conf.get('task', 'answer') }}", **common)
        AstroDagRunSensor(task_id="soft", soft_fail=True, **common)

    with DAG(f"wait_for_nothing_{mode}", **COMMON):
        common = {"http_conn_id": CONN, **wait, "poke_interval": 1, "timeout": 12, "retries": 1}
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
    """Names a run by the result of a task that returns nothing."""

    @task
    def nothing():
        return None

    names_nothing = nothing()
    for mode, wait in MODES.items():
        common = {"http_conn_id": CONN, **wait, "external_dag_id": "quick", "timeout": 60}
        AstroDagRunSensor(task_id=f"by_id_{mode}", external_run_id=names_nothing, **common)
        AstroDagRunSensor(task_id=f"by_date_{mode}", logical_date=names_nothing, **common)


@dag(**COMMON)
def in_triggerer():
    """What happens to sensors that start in the triggerer, besides a good and a bad end."""
    common = {"http_conn_id": CONN, "external_run_id": RUN_ID, "deferrable": True, "poke_interval": 1, "timeout": 60}

    def told(context):
        print("called with", type(context.get("exception")).__name__)

    AstroDagRunSensor(task_id="retried", external_dag_id="broken", retries=1, **common)
    AstroDagRunSensor(task_id="outlets", external_dag_id="quick", outlets=[Asset("waited-for")], **common)
    AstroDagRunSensor(task_id="told_of_success", external_dag_id="quick", on_success_callback=told, **common)
    AstroDagRunSensor(task_id="told_of_failure", external_dag_id="broken", on_failure_callback=told, **common)
    AstroDagRunSensor(task_id="undefined", external_dag_id="quick", **{**common, "external_run_id": "{{ params.x }}"})
    AstroDagRunSensor(task_id="limited", external_dag_id="none", execution_timeout=timedelta(seconds=5), **common)
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


@dag(**COMMON)
def trigger_only():
    """Does not wait; the conf says what: a dag, and how to trigger it."""
    trigger("{{ dag_run.conf['dag'] }}", conf="{{ dag_run.conf.get('remote_conf', {}) | tojson }}", retries=1)


class OtherRetriesAtEveryTry(AstroTriggerDagRunOperator):
    """As if the DAG file were changed between two tries."""

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
    """A run for each conf, and a summary of what came back."""

    @task
    def summary(runs):
        return sorted(run["conf"]["part"] for run in runs)

    runs = AstroTriggerDagRunOperator.partial(
        task_id="trigger", http_conn_id=CONN, trigger_dag_id="quick", wait_for_completion=True, deferrable=True
    ).expand(conf=[{"part": part} for part in range(3)])
    summary(runs.output)


@dag(**COMMON)
def reschedule():
    # Airflow takes a task that is resumed before its scheduler has heard that it was rescheduled for lost.
    common = {"http_conn_id": CONN, "external_run_id": RUN_ID, "mode": "reschedule", "poke_interval": 10}
    AstroDagRunSensor(task_id="run", external_dag_id="{{ dag_run.conf['dag'] }}", timeout=60, **common)


@dag(**COMMON)
def by_logical_date():
    """Waits for the run that has this run's own logical date, and the one of the day before."""
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
def ask():
    AstroApiOperator(task_id="dags", http_conn_id=CONN, endpoint="dags", all_pages=True, data={"limit": 2})
    AstroApiOperator(task_id="refused", http_conn_id=CONN, endpoint="pools", method="POST", data={"slots": "x"})


rendered_to_nothing()
in_triggerer()
trigger_only()
mapped_trigger()
reschedule()
by_logical_date()
pause_and_unpause()
pause_missing()
ask()

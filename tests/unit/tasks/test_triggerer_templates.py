"""Which templates Airflow's triggerer renders as a worker does, and what it renders them to."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import pytest
from jinja2 import UndefinedError

from astro_provider.airflow_versions import AIRFLOW_VERSION, Param
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.tasks.triggerer_templates import Renderable, renderable_context
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import round_trip

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and up")

if TYPE_CHECKING or AIRFLOW_VERSION >= (3, 3):
    from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TriggerEvent

    class RecordingTrigger(BaseTrigger):
        """Records what Airflow renders its field to."""

        rendered: ClassVar[list[Any]] = []

        def __init__(self, conf: Any) -> None:
            super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
            self.conf = conf

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return f"{__name__}.RecordingTrigger", {"conf": self.conf}

        async def run(self) -> Any:
            self.rendered.append(self.conf)
            yield TriggerEvent(None)


class WithConf(AstroDagRunSensor):
    """A sensor with a template field that holds nested values."""

    trigger_fields = template_fields = ("external_dag_id", "conf")
    conf: Any = None

    def __init__(self, conf: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conf = conf

    def build_start_trigger_args(self) -> StartTriggerArgs:
        _, kwargs = RecordingTrigger(self.conf).serialize()
        return StartTriggerArgs(f"{__name__}.RecordingTrigger", "execute_complete", kwargs)


def task_with_conf(conf: Any, **options: Any) -> WithConf:
    task = deferrable_sensor(WithConf, conf=conf, **options)
    assert isinstance(task, WithConf)
    return task


def starts_in_triggerer(task: AstroDagRunSensor) -> bool:
    return bool(round_trip(task.dag).task_dict[task.task_id].start_from_trigger)


async def rendered_by_triggerer(task: WithConf) -> Any:
    """Start the trigger of a task as Airflow's triggerer does, from what Airflow stores; return the rendered conf."""
    from airflow.executors.workloads import RunTrigger
    from airflow.executors.workloads.task import TaskInstanceDTO
    from airflow.jobs.triggerer_job_runner import TriggerRunner
    from airflow.models.trigger import Trigger
    from airflow.serialization.serialized_objects import DagSerialization

    dag_data = json.loads(json.dumps(DagSerialization.to_dict(task.dag)))
    arguments = DagSerialization.from_dict(dag_data).task_dict[task.task_id].start_trigger_args
    assert arguments is not None
    row = Trigger(classpath=arguments.trigger_cls, kwargs=arguments.trigger_kwargs or {})
    date = datetime(2026, 2, 1, 6, tzinfo=timezone.utc)
    names = {"dag_id": task.dag_id, "run_id": "manual__1"}
    ti = {"task_id": task.task_id, "try_number": 1, "pool_slots": 1, "queue": "default", "priority_weight": 1}
    dates = dict.fromkeys(("logical_date", "run_after", "start_date"), date)
    unset = dict.fromkeys(("data_interval_start", "data_interval_end", "end_date", "partition_key", "partition_date"))
    dag_run = {"run_type": "manual", "state": "running", "clear_number": 0, "conf": {"n": 1}, "note": None}
    workload = RunTrigger(
        id=1,
        classpath=row.classpath,
        encrypted_kwargs=row.encrypted_kwargs,
        timeout_after=None,
        ti=TaskInstanceDTO(id=uuid4(), dag_version_id=uuid4(), map_index=-1, **names, **ti),
        dag_data=dag_data,
        dag_run_data={**names, **dates, **unset, **dag_run, "consumed_asset_events": []},
    )
    runner = TriggerRunner()
    runner.to_create.append(workload)
    RecordingTrigger.rendered.clear()
    await runner.create_triggers()
    assert not runner.failed_triggers
    await asyncio.gather(*(details["task"] for details in runner.triggers.values()))
    (rendered,) = RecordingTrigger.rendered
    return rendered


async def test_triggerer_renders_nested_templates_and_keeps_other_values() -> None:
    conf = {
        "text": "plain",
        "{{ ds }}": "{{ ds_nodash }}",
        "numbers": [1, 2.5, True, None, "{{ dag_run.conf['n'] }}"],
        "nested": ({"param": "{{ params.x }}", "__var": "{{ run_id }}"}, []),
    }
    params = {"params": {"x": Param(3, type="integer")}, "schedule": None}
    task = task_with_conf(conf, dag_options=params)
    assert task.worker_reason() is None
    assert json.loads(json.dumps(await rendered_by_triggerer(task))) == {
        "text": "plain",
        "{{ ds }}": "20260201",
        "numbers": [1, 2.5, True, None, "1"],
        "nested": [{"param": "3", "__var": "manual__1"}, []],
    }


@pytest.mark.parametrize("conf", [None, {}, "", '{"json": "{{ ds }}"}', {"a": {"b": ["{{ ts }}"]}}, {"file": "x.json"}])
def test_conf_that_the_triggerer_can_render_needs_no_worker(conf: Any) -> None:
    assert starts_in_triggerer(task_with_conf(conf))


def of_other_task(key: str | None = None) -> Any:
    output = AstroDagRunSensor(task_id="other", external_dag_id="d").output
    return output if key is None else output[key]


@pytest.mark.parametrize(
    "conf",
    [
        {"a": {"b": ["{{ ti.xcom_pull('other') }}"]}},
        {"a": [("{{ var.value.x }}",)]},
        {"a": "{{ mine() }}"},
        {"a": MappingProxyType({"b": "{{ ds }}"})},  # Airflow does not render in it
        {"a": {1: "keys of JSON are text"}},
        {"a": {"__type": "x", "__var": "Airflow would read this as a value that it has serialized itself"}},
        {"a": {"a set"}},
        {"a": object()},
    ],
)
def test_conf_that_the_triggerer_would_render_to_another_value_needs_a_worker(conf: Any) -> None:
    task = task_with_conf(conf)
    assert task.worker_reason() == "conf is rendered from what the triggerer does not know"
    assert task.start_from_trigger is False


@pytest.mark.parametrize("key", [None, "key"])
def test_result_of_another_task_in_conf_needs_a_worker(key: str | None) -> None:
    task = deferrable_sensor(WithConf)
    assert starts_in_triggerer(task)
    with task.dag:
        task.conf = {"a": [of_other_task(key)]}
    assert not starts_in_triggerer(task)


class ReadsFiles(WithConf):
    template_ext = (".json",)


@pytest.mark.parametrize(("name", "on_worker"), [("conf.json", True), ("conf.txt", False)])
def test_name_of_a_template_file_needs_a_worker(name: str, on_worker: bool) -> None:
    task = deferrable_sensor(ReadsFiles, conf={"a": [name]})
    assert starts_in_triggerer(task) is not on_worker


NATIVE = {"render_template_as_native_obj": True}


@pytest.mark.parametrize(
    ("conf", "on_worker"),
    [
        ({"a": "{{ params.x }}"}, True),
        ({"a": ["1.10"]}, True),  # native rendering makes a number of it, although it has no template
        ({"a": "None"}, True),
        ({"a": " 1"}, False),
        ({"a": "text", "b": 1, "c": "2026-01-01"}, False),
    ],
)
@pytest.mark.parametrize("options", [NATIVE, {"dag_options": NATIVE}], ids=["task", "dag"])
def test_text_that_is_rendered_to_a_native_object_needs_a_worker(
    options: dict[str, Any], conf: dict[str, Any], on_worker: bool
) -> None:
    task = task_with_conf(conf, **options)
    assert task.worker_reason() == ("conf is rendered to a native object" if on_worker else None)
    assert starts_in_triggerer(task) is not on_worker
    with_ids = deferrable_sensor(external_run_id=conf["a"] if isinstance(conf["a"], str) else conf["a"][0], **options)
    assert starts_in_triggerer(with_ids) is not on_worker


def test_task_that_renders_no_native_objects_in_a_dag_that_does_needs_no_worker() -> None:
    task = task_with_conf({"a": "{{ ds }}"}, dag_options=NATIVE, render_template_as_native_obj=False)
    assert starts_in_triggerer(task)


@pytest.mark.parametrize(("macro", "on_worker"), [("ds", True), ("mine", False)])
def test_macro_with_the_name_of_a_variable_needs_a_worker(macro: str, on_worker: bool) -> None:
    """In a run without a logical date, a worker renders ``ds`` to such a macro, because the context has no ``ds``."""
    macros = {"user_defined_macros": {macro: "of the DAG"}}
    task = task_with_conf({"a": "{{ ds | default('none') }}"}, dag_options=macros)
    assert starts_in_triggerer(task) is not on_worker


@pytest.mark.parametrize(
    "template", ["{{ dag_run.note | default('none') }}", "{{ dag_run['state'] is defined }}", "{{ dag_run }}"]
)
def test_field_that_differs_in_the_triggerer_is_an_error_there(template: str) -> None:
    from airflow.sdk.definitions._internal.templater import SandboxedEnvironment

    value = type("DagRun", (), {"note": "theirs", "run_id": "manual__1"})()
    dag_run = Renderable("dag_run", value, ("run_id", "missing"))
    environment = SandboxedEnvironment()
    assert environment.from_string("{{ dag_run.run_id }}{{ dag_run['run_id'] }}").render(dag_run=dag_run)
    with pytest.raises((UndefinedError, TypeError), match="the triggerer cannot render dag_run"):
        environment.from_string(template).render(dag_run=dag_run)


def test_ids_of_the_dag_and_the_task_are_rendered_in_the_triggerer() -> None:
    task = task_with_conf({"a": "{{ dag.dag_id }}.{{ task.task_id }}", "b": "{{ task_instance_key_str }}"})
    assert starts_in_triggerer(task)
    context = renderable_context(
        {"dag": task.dag, "task": task, "dag_run": object(), "run_id": "manual__1"}  # type: ignore[typeddict-item]
    )
    assert (context["dag"].dag_id, context["task"].task_id) == (task.dag.dag_id, task.task_id)
    assert context["run_id"] == "manual__1"
    with pytest.raises(UndefinedError, match=r"the triggerer cannot render task\.retries"):
        context["task"].retries  # noqa: B018

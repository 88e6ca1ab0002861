"""Whether a deferrable sensor starts in the triggerer, as Airflow reads it from the serialised DAG, and how it ends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from jinja2 import Undefined

from astro_provider.airflow_versions import AIRFLOW_VERSION, Param
from astro_provider.sensors.base import BACKSTOP, AstroBaseSensor
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.tasks import start_from_trigger
from tests.airflow_names import DAG, Asset
from tests.unit.operators.trigger_operators import deferrable_operator
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import round_trip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.triggers.base import StartTriggerArgs

airflow_3_3 = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and up")
older_airflow = pytest.mark.skipif(AIRFLOW_VERSION >= (3, 3), reason="Airflow below 3.3")


def callback(context: Any) -> None:
    """A callback, which only a worker calls."""


RENDERED = "{} is rendered from what the triggerer does not know"


class Overriding(AstroDagRunSensor):
    def poke(self, context: Any) -> bool:
        return True


class Resuming(AstroDagRunSensor):
    def resume_execution(self, *_: Any, **__: Any) -> None:
        """Do something else."""


class WithDefaults(AstroDagRunSensor):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"external_dag_id": "d", **kwargs})
        self.external_run_id = "set afterwards"


def trigger_kwargs(sensor: AstroBaseSensor) -> dict[str, Any] | None:
    """Return the arguments of the trigger that the scheduler starts for a sensor; ``None`` if it starts on a worker."""
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    task = round_trip(sensor.dag).task_dict[sensor.task_id]
    if not task.start_from_trigger:
        assert task.start_trigger_args is None
        return None
    arguments = task.start_trigger_args
    assert arguments.trigger_cls == "astro_provider.triggers.sensor.AstroSensorTrigger"
    assert arguments.next_method == "execute_complete"
    decoded: dict[str, Any] = smart_decode_trigger_kwargs(arguments.trigger_kwargs)
    return decoded


@airflow_3_3
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"external_run_id": "r_{{ ds }}_{{ run_id }}_{{ params.x }}_{{ dag_run.conf['x'] }}"},
        {"external_run_id": "{{ macros.ds_add(ds, 1) }}{% if ds %}{{ data_interval_end | ts_nodash }}{% endif %}"},
        {"external_run_id": "{% set day = logical_date %}{{ day | ds }}"},
        # If the triggerer cannot render it, a worker does.
        {"external_run_id": "{{ dag_run.note }}{{ dag_run['conf'] }}{{ dag_run.run_type }}"},
        {"http_conn_id": "{% include 'file' %}"},
        {"dag_options": {"template_undefined": Undefined}},
        {"kind": AstroTaskSensor, "external_task_ids": "{{ params.ids }}"},
        {"http_conn_id": "{{ params.conn }}", "external_dag_id": "d_{{ ts }}"},
        {"logical_date": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        {"execution_delta": timedelta(hours=1)},
        {"latest": True, "check_existence": True, "soft_fail": True},
        {"on_success_callback": callback, "on_failure_callback": callback},
        {"outlets": [Asset("x")]},
        {"params": {"x": 1}, "dag_options": {"params": {"y": Param("1", type="string")}, "schedule": None}},
        # A pool for sensors keeps them from occupying workers, which they do not do in the triggerer.
        {"pool": "sensors"},
        {"kind": AstroTaskSensor, "external_task_id": "t_{{ ds }}"},
        {"kind": AstroTaskSensor, "external_task_ids": ["t", "t_{{ ds }}"]},
        {"kind": WithDefaults},
    ],
)
def test_sensor_that_needs_no_worker_starts_in_the_triggerer(options: dict[str, Any]) -> None:
    sensor = deferrable_sensor(**options)
    assert trigger_kwargs(sensor) is not None
    assert sensor.worker_reason() is None


@airflow_3_3
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"execution_date_fn": lambda date: date}, "execution_date_fn is set"),
        ({"on_execute_callback": callback}, "on_execute_callback is set"),
        ({"pre_execute": callback}, "pre_execute is set"),
        ({"inlets": [Asset("x")]}, "inlets is set"),
        ({"max_active_tis_per_dag": 1}, "max_active_tis_per_dag is set"),
        ({"max_active_tis_per_dagrun": 1}, "max_active_tis_per_dagrun is set"),
        ({"map_index_template": "{{ task.task_id }}"}, "map_index_template is set"),
        ({"params": {"x": Param(type="string")}}, "a Param has no value"),
        ({"params": {"x": Param(1, type="integer")}}, "a Param of the task has a schema"),
        (
            {
                "params": {"x": Param(1, type="integer")},
                "dag_options": {"params": {"x": Param("1", type="string")}, "schedule": None},
            },
            "a Param of the task has a schema",
        ),
        ({"dag_options": {"params": {"x": Param(type="string")}, "schedule": None}}, "a Param has no value"),
        ({"dag_options": {"jinja_environment_kwargs": {"trim_blocks": True}}}, "the DAG has Jinja options of its own"),
        ({"dag_options": {"user_defined_filters": {"ds": str}}}, "the DAG has Jinja options of its own"),
        ({"external_run_id": "{{ ti.xcom_pull(task_ids='other') }}"}, RENDERED.format("external_run_id")),
        ({"external_run_id": "{{ task_instance.xcom_pull('other') }}"}, RENDERED.format("external_run_id")),
        ({"external_run_id": "{{ prev_start_date_success }}"}, RENDERED.format("external_run_id")),
        ({"external_dag_id": "{{ var.value.dag }}"}, RENDERED.format("external_dag_id")),
        ({"http_conn_id": "{{ mine() }}"}, RENDERED.format("http_conn_id")),
        ({"http_conn_id": "{{ ds | mine }}"}, RENDERED.format("http_conn_id")),
        ({"http_conn_id": "{{ "}, RENDERED.format("http_conn_id")),
        ({"kind": Resuming}, "Resuming overrides what runs on a worker"),
        ({"kind": Overriding}, "Overriding overrides what runs on a worker"),
    ],
)
def test_sensor_that_needs_a_worker_starts_there_and_gives_the_reason(options: dict[str, Any], reason: str) -> None:
    sensor = deferrable_sensor(**options)
    assert trigger_kwargs(sensor) is None
    assert sensor.worker_reason() == reason


@airflow_3_3
def test_sensor_starts_on_a_worker_if_a_field_is_the_result_of_another_task() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        other = AstroDagRunSensor(task_id="other", external_dag_id="d", deferrable=True)
        sensor = AstroDagRunSensor(task_id="wait", external_dag_id="d", external_run_id=other.output, deferrable=True)
    assert trigger_kwargs(sensor) is None
    assert trigger_kwargs(other) is not None


@airflow_3_3
def test_operator_with_a_pool_starts_on_a_worker_because_the_pool_limits_how_many_runs_are_triggered() -> None:
    operator = deferrable_operator(pool="remote")
    assert operator.worker_reason() == "pool is set"
    assert not round_trip(operator.dag).task_dict["trigger"].start_from_trigger
    assert round_trip(deferrable_operator().dag).task_dict["trigger"].start_from_trigger


@airflow_3_3
@pytest.mark.parametrize("options", [{"start_from_trigger": False}, {"deferrable": False}])
def test_sensor_starts_on_a_worker_without_start_from_trigger_or_deferrable(options: dict[str, Any]) -> None:
    assert trigger_kwargs(deferrable_sensor(**options)) is None


@older_airflow
def test_sensor_starts_on_a_worker_before_airflow_3_3() -> None:
    sensor = deferrable_sensor()
    assert (sensor.start_from_trigger, sensor.start_trigger_args) == (False, None)
    assert sensor.worker_reason() == "this is Airflow below 3.3"


@airflow_3_3
def test_attributes_set_after_init_are_used() -> None:
    """Cluster policies and subclasses set attributes then."""
    sensor = deferrable_sensor()
    sensor.external_run_id = "another"
    sensor.on_success_callback = callback
    kwargs = trigger_kwargs(sensor)
    assert kwargs is not None
    assert kwargs["external_run_id"] == "another"
    assert "success" not in kwargs["ends"]
    sensor.on_execute_callback = callback
    assert trigger_kwargs(sensor) is None


def test_mapped_sensor_starts_on_a_worker() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        mapped = AstroDagRunSensor.partial(task_id="mapped", deferrable=True).expand(external_dag_id=["a", "b"])
    task = round_trip(dag).task_dict["mapped"]
    assert (bool(task.start_from_trigger), task.start_trigger_args) == (False, None)
    assert isinstance(mapped.unmap({"external_dag_id": "b"}), AstroDagRunSensor)


@airflow_3_3
def test_trigger_has_the_options_of_the_sensor() -> None:
    date = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
    kwargs = trigger_kwargs(
        deferrable_sensor(
            AstroTaskSensor,
            http_conn_id="c",
            logical_date=date,
            external_task_ids=("a", "b"),
            allowed_states=["skipped"],
            skipped_states=["success"],
            check_existence=True,
            poke_interval=timedelta(minutes=1),
            timeout=100,
        )
    )
    assert kwargs is not None
    del kwargs["ends"]
    assert kwargs == {
        "http_conn_id": "c",
        "external_dag_id": "d",
        "logical_date": date.isoformat(),
        "external_task_ids": ["a", "b"],
        "execution_delta": 0.0,
        "wait": {
            "dag_id": "d",
            "end_states": {
                "allowed": ["skipped"],
                "failed": ["failed", "upstream_failed"],
                "skipped": ["success"],
            },
            "check_existence": True,
        },
        "poke_interval": 60.0,
        "timeout": 100,
        "airflow_timeout": 100 + BACKSTOP.total_seconds(),
        "soft_fail": False,
    }


@airflow_3_3
@pytest.mark.parametrize(("execution_timeout", "seconds"), [(None, 400), (50, 50), (1000, 400)])
def test_timeout_of_airflow_is_later_than_that_of_the_sensor_or_is_execution_timeout(
    execution_timeout: float | None, seconds: float
) -> None:
    limit = {"execution_timeout": timedelta(seconds=execution_timeout)} if execution_timeout else {}
    sensor = deferrable_sensor(timeout=100, **limit)
    kwargs = trigger_kwargs(sensor)
    assert kwargs is not None
    assert kwargs["airflow_timeout"] == seconds
    assert round_trip(sensor.dag).task_dict["wait"].start_trigger_args.timeout == timedelta(seconds=seconds)


@pytest.fixture
def _queues_enabled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW__TRIGGERER__QUEUES_ENABLED", "True")
    start_from_trigger.queues_are_enabled.cache_clear()
    yield
    start_from_trigger.queues_are_enabled.cache_clear()


@airflow_3_3
@pytest.mark.usefixtures("_queues_enabled")
def test_sensor_starts_on_a_worker_if_queues_of_triggers_are_enabled() -> None:
    assert deferrable_sensor().worker_reason() == "[triggerer] queues_enabled is set"


class Counting(AstroTaskSensor):
    builds = 0

    def build_start_trigger_args(self) -> StartTriggerArgs:
        self.builds += 1
        return super().build_start_trigger_args()


@airflow_3_3
def test_arguments_of_the_trigger_are_computed_when_the_dag_is_serialized_not_when_it_is_built() -> None:
    sensor = deferrable_sensor(Counting, external_task_id="t")
    assert isinstance(sensor, Counting)
    assert sensor.builds == 0
    assert trigger_kwargs(sensor) is not None
    assert sensor.builds == 1

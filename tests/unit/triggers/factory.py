"""Triggers, created from what Airflow stores of them, and the event that they yield."""

from __future__ import annotations

import json
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.operators.trigger_operators import deferrable_operator
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import NOW, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow.triggers.base import TriggerEvent

    from astro_provider.airflow_versions import BaseOperator
    from astro_provider.sensors.base import AstroBaseSensor
    from astro_provider.triggers.sensor import AstroSensorTrigger
    from astro_provider.triggers.task_trigger import TaskTrigger
    from astro_provider.triggers.trigger_dag_run import AstroTriggerDagRunTrigger

Started = TypeVar("Started", bound="TaskTrigger")

END_STATES = EndStates(["success"], ["failed"])


def dag_run_trigger(*, http_conn_id: str = "http_conn", **options: Any) -> AstroDagRunTrigger:
    """
    Create a trigger for the run ``theirs`` of the dag ``d``, from its serialized arguments.

    :param options: options of the trigger, and fields of its wait
    """
    wait_fields = {field.name: options.pop(field.name) for field in fields(RunWait) if field.name in options}
    wait = RunWait(**{"dag_id": "d", "end_states": END_STATES, "run_id": "theirs", **wait_fields})
    _, arguments = AstroDagRunTrigger(http_conn_id=http_conn_id, wait=wait, **options).serialize()
    return AstroDagRunTrigger(**json.loads(json.dumps(arguments)))


async def only_payload(trigger: AstroDagRunTrigger) -> dict[str, Any]:
    """Run a trigger, which must yield one event, with a payload of JSON values."""
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload


def sensor_trigger(
    kind: type[AstroBaseSensor] = AstroDagRunSensor,
    *,
    started_at: datetime = NOW,
    try_number: int = 1,
    make_context: Callable[[], dict[str, Any]] = context,
    rendered: bool = True,
    **options: Any,
) -> AstroSensorTrigger:
    """
    Create the trigger of a sensor that starts in the triggerer (Airflow 3.3 and later), from the serialized DAG.

    :param kind: class of the sensor
    :param started_at: when the task was started
    :param try_number: number of the try
    :param make_context: makes the context that the templates are rendered with
    :param rendered: whether the triggerer renders the templates; not if the DAG was changed after the task started
    :param options: options of the sensor
    """
    from astro_provider.triggers.sensor import AstroSensorTrigger

    sensor = deferrable_sensor(kind, **{"timeout": 60, **options})
    trigger = _started(AstroSensorTrigger, sensor, try_number)
    trigger.timeout_after = started_at + sensor.start_trigger_args.timeout
    if rendered:
        trigger.render_template_fields(make_context())
    return trigger


def trigger_dag_run_trigger(
    *, try_number: int = 1, rendered: bool = True, dag_options: dict[str, Any] | None = None, **options: Any
) -> AstroTriggerDagRunTrigger:
    """
    Create the trigger of a trigger operator that starts in the triggerer, from the serialized DAG.

    :param try_number: number of the try
    :param rendered: whether the triggerer renders the templates; not if the DAG was changed after the task started
    :param dag_options: options of the DAG
    :param options: options of the operator
    """
    from astro_provider.triggers.trigger_dag_run import AstroTriggerDagRunTrigger

    operator = deferrable_operator(dag_options=dag_options, **options)
    trigger = _started(AstroTriggerDagRunTrigger, operator, try_number)
    if operator.execution_timeout:
        trigger.timeout_after = NOW + operator.execution_timeout
    if rendered:
        trigger.render_template_fields(context(trigger.task_instance))
    return trigger


def _started(kind: type[Started], operator: BaseOperator, try_number: int) -> Started:
    """Create a trigger as the triggerer does, from what the scheduler has read from the serialized DAG."""
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    task = round_trip(operator.dag).task_dict[operator.task_id]
    assert task.start_from_trigger, operator.worker_reason()
    arguments = task.start_trigger_args
    assert arguments.trigger_cls == f"{kind.__module__}.{kind.__qualname__}"
    trigger = kind(**smart_decode_trigger_kwargs(arguments.trigger_kwargs))
    ti = TaskInstance(task_id=operator.task_id, try_number=try_number)
    trigger.task_instance = SimpleNamespace(**vars(ti), task=task)
    return trigger


async def run_trigger(trigger: TaskTrigger) -> tuple[str, dict[str, Any] | None]:
    """Run a trigger; return the final state of its task, or ``worker`` and the payload that the worker gets."""
    event: TriggerEvent
    (event,) = [event async for event in trigger.run()]
    state = getattr(event, "task_instance_state", None)
    if state is not None:
        return str(state), None
    assert json.loads(json.dumps(event.payload)) == event.payload
    return "worker", event.payload

"""Triggers, created from what Airflow stores of them, and the event that they yield."""

from __future__ import annotations

import json
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import NOW, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from astro_provider.sensors.base import AstroBaseSensor
    from astro_provider.triggers.sensor import AstroSensorTrigger

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
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    from astro_provider.triggers.sensor import AstroSensorTrigger

    sensor = deferrable_sensor(kind, **{"timeout": 60, **options})
    task = round_trip(sensor.dag).task_dict["wait"]
    trigger = AstroSensorTrigger(**smart_decode_trigger_kwargs(task.start_trigger_args.trigger_kwargs))
    ti = TaskInstance(task_id="wait", try_number=try_number)
    trigger.task_instance = SimpleNamespace(**vars(ti), task=task)
    trigger.timeout_after = started_at + task.start_trigger_args.timeout
    if rendered:
        trigger.render_template_fields(make_context())
    return trigger

"""Sensors, created as a DAG file creates them, and the deferral of a sensor."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.sensors.base import AstroBaseSensor
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from tests.airflow_names import DAG, TaskDeferred
from tests.unit.task_runner import context

if TYPE_CHECKING:
    from tests.unit.task_runner import TaskInstance

every_mode = pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)


def dag_run_sensor(**options: Any) -> AstroDagRunSensor:
    """Create a sensor for a run of the dag ``d``."""
    return AstroDagRunSensor(**{"task_id": "wait", "external_dag_id": "d", **options})


def run_id_sensor(**options: Any) -> AstroDagRunSensor:
    """Create a sensor for the run ``theirs`` of the dag ``d``."""
    return dag_run_sensor(**{"external_run_id": "theirs", **options})


def task_sensor(**options: Any) -> AstroTaskSensor:
    """Create a sensor for tasks of the run ``theirs`` of the dag ``d``."""
    return AstroTaskSensor(**{"task_id": "wait", "external_dag_id": "d", "external_run_id": "theirs", **options})


def deferrable_sensor(
    kind: type[AstroBaseSensor] = AstroDagRunSensor, *, dag_options: dict[str, Any] | None = None, **options: Any
) -> AstroBaseSensor:
    """Create a deferrable sensor ``wait`` in the DAG ``local``."""
    with DAG("local", **{"start_date": datetime(2026, 1, 1), "schedule": None, **(dag_options or {})}):
        return kind(**{"task_id": "wait", "external_dag_id": "d", "deferrable": True, **options})


def deferral(sensor: AstroBaseSensor, ti: TaskInstance | None = None) -> TaskDeferred:
    """Execute a sensor, which must defer."""
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context(ti))
    return caught.value


def stored_trigger(deferred: TaskDeferred) -> AstroDagRunTrigger:
    """Create the trigger of a deferral again, from what Airflow stores of it."""
    _, arguments = deferred.trigger.serialize()
    return AstroDagRunTrigger(**json.loads(json.dumps(arguments)))


async def resume(sensor: AstroBaseSensor, deferred: TaskDeferred, ti: TaskInstance | None = None) -> None:
    """Run the trigger of a deferral, and resume the sensor with its event."""
    (event,) = [event async for event in stored_trigger(deferred).run()]
    sensor.execute_complete(context(ti), json.loads(json.dumps(event.payload)))


async def execute_deferred(sensor: AstroBaseSensor, ti: TaskInstance | None = None) -> None:
    """Execute a sensor, which must defer, until its task has ended."""
    await resume(sensor, deferral(sensor, ti), ti)

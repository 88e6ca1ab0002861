"""Deferrable sensors in a DAG, as a DAG file creates them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from astro_provider.sensors.base import AstroBaseSensor
from astro_provider.sensors.dag_run import AstroDagRunSensor
from tests.airflow_names import DAG


def deferrable_sensor(
    kind: type[AstroBaseSensor] = AstroDagRunSensor, *, dag_options: dict[str, Any] | None = None, **options: Any
) -> AstroBaseSensor:
    """Create a deferrable sensor ``wait`` in the DAG ``local``."""
    with DAG("local", **{"start_date": datetime(2026, 1, 1), "schedule": None, **(dag_options or {})}):
        return kind(**{"task_id": "wait", "external_dag_id": "d", "deferrable": True, **options})

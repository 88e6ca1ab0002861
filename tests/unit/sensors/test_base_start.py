"""Sensors that start, or start again, on a worker although they are deferrable."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.airflow_names import TaskDeferred
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import TaskInstance, context

airflow_3_3 = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")


def callback(context: Any) -> None:
    """Is called on a worker."""


@airflow_3_3
@pytest.mark.parametrize(
    ("options", "map_index", "said"),
    [
        ({"on_execute_callback": callback}, -1, ["as on_execute_callback is set."]),
        ({}, 0, ["as it is mapped."]),
        ({}, 3, ["as it is mapped."]),
        ({}, -1, ["as Airflow chose to."]),
        ({"start_from_trigger": False}, -1, []),
        ({"deferrable": False}, -1, []),
    ],
)
def test_the_log_says_why_a_sensor_starts_on_a_worker(
    fake_airflow: Any, log_lines: list[str], options: dict[str, Any], map_index: int, said: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    deferrable_sensor(external_run_id="theirs", **options).execute(context(TaskInstance(map_index=map_index)))
    told = [line for line in log_lines if "not in the triggerer" in line]
    assert [line.partition("triggerer, ")[2] for line in told] == said


@pytest.mark.parametrize("deferred", [False, True])
def test_a_restart_event_starts_the_sensor_again_on_a_worker(fake_airflow: Any, deferred: bool) -> None:
    fake_airflow.has_run("theirs", "running" if deferred else "success")
    event = {"outcome": "restart", "message": "The DAG was changed meanwhile.", "run": None, "url": None}
    with pytest.raises(TaskDeferred) if deferred else nullcontext():
        deferrable_sensor(external_run_id="theirs").execute_complete(context(), event)
    assert fake_airflow.received != []

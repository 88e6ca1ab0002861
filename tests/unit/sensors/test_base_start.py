"""The reason that a deferrable sensor logs when it starts on a worker."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.sensors.dag_run import AstroDagRunSensor
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import TaskInstance, context

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")


def callback(context: Any) -> None:
    """Is called on a worker."""


@pytest.mark.parametrize(
    ("options", "map_index", "reasons"),
    [
        ({"on_execute_callback": callback}, -1, ["on_execute_callback is set."]),
        ({"on_execute_callback": callback}, 0, ["on_execute_callback is set."]),  # in a mapped task group
        ({}, 0, ["it is mapped."]),
        ({}, 3, ["it is mapped."]),
        ({}, -1, ["a template uses what the triggerer does not know, or the DAG was changed."]),
        ({"start_from_trigger": False}, -1, []),
        ({"deferrable": False}, -1, []),
    ],
)
def test_deferrable_sensor_logs_why_it_starts_on_a_worker(
    fake_airflow: Any, log_lines: list[str], options: dict[str, Any], map_index: int, reasons: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    deferrable_sensor(external_run_id="theirs", **options).execute(context(TaskInstance(map_index=map_index)))
    logged = [line.partition("triggerer: ") for line in log_lines if "not in the triggerer" in line]
    assert [reason for _, _, reason in logged] == reasons


class CountsExecutions(AstroDagRunSensor):
    executions = 0

    def execute(self, context: Any) -> None:
        self.executions += 1


RESTART = {"outcome": "restart", "message": "The DAG was changed meanwhile.", "run": None, "url": None}


def test_restart_event_calls_the_execute_method_of_a_subclass(fake_airflow: Any) -> None:
    sensor = CountsExecutions(task_id="wait", external_dag_id="d")
    sensor.execute_complete(context(), RESTART)
    assert sensor.executions == 1


def test_restarted_sensor_does_not_log_why_it_starts_on_a_worker(fake_airflow: Any, log_lines: list[str]) -> None:
    fake_airflow.has_run("theirs", "success")
    deferrable_sensor(external_run_id="theirs").execute_complete(context(), RESTART)
    assert "The DAG was changed meanwhile." in log_lines
    assert not any("not in the triggerer" in line for line in log_lines)

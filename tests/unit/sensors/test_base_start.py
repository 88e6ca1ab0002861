"""The reason that a deferrable sensor logs when it starts on a worker."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.unit.sensors.factory import deferrable_sensor
from tests.unit.task_runner import TaskInstance, context

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")


def callback(context: Any) -> None:
    """Is called on a worker."""


@pytest.mark.parametrize(
    ("options", "map_index", "reasons"),
    [
        ({"on_execute_callback": callback}, -1, ["as on_execute_callback is set."]),
        ({}, 0, ["as it is mapped."]),
        ({}, 3, ["as it is mapped."]),
        ({}, -1, ["as Airflow chose to."]),
        ({"start_from_trigger": False}, -1, []),
        ({"deferrable": False}, -1, []),
    ],
)
def test_deferrable_sensor_logs_why_it_starts_on_a_worker(
    fake_airflow: Any, log_lines: list[str], options: dict[str, Any], map_index: int, reasons: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    deferrable_sensor(external_run_id="theirs", **options).execute(context(TaskInstance(map_index=map_index)))
    logged = [line.partition("triggerer, ") for line in log_lines if "not in the triggerer" in line]
    assert [reason for _, _, reason in logged] == reasons

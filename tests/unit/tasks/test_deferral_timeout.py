"""The message of a task whose deferral Airflow has ended."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.airflow_versions import AirflowException, AirflowSkipException
from astro_provider.operators.backfill import AstroBackfillOperator
from astro_provider.operators.clear import AstroClearDagRunOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.api import AstroApiSensor
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from tests.unit import checks
from tests.unit.task_runner import context

REASONS = pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger/execution timeout"], ids=["3", "2"])
"""What Airflow 3 and Airflow 2 say."""

TASKS: dict[str, Any] = {
    "dag 'nightly'": [
        AstroTriggerDagRunOperator(task_id="t", trigger_dag_id="nightly"),
        AstroClearDagRunOperator(task_id="t", external_dag_id="nightly", latest=True),
        AstroBackfillOperator(task_id="t", external_dag_id="nightly", from_date="2026-01-01", to_date="2026-01-02"),
        AstroDagRunSensor(task_id="t", external_dag_id="nightly"),
        AstroTaskSensor(task_id="t", external_dag_id="nightly", external_task_id="load"),
    ],
    "GET pools": [AstroApiSensor(task_id="t", endpoint="pools", response_check=checks.is_ready)],
}


def resume(task: Any, reason: str) -> None:
    task.resume_execution("__fail__", {"error": reason}, context())


@REASONS
@pytest.mark.parametrize(
    ("subject", "task"),
    [pytest.param(subject, task, id=type(task).__name__) for subject, tasks in TASKS.items() for task in tasks],
)
def test_timeout_names_what_was_waited_for(subject: str, task: Any, reason: str) -> None:
    with pytest.raises(AirflowException) as caught:
        resume(task, reason)
    assert str(caught.value).startswith(f"Timed out: {subject}\n  Airflow ended the deferral ({reason})")
    assert caught.value.__suppress_context__


@REASONS
def test_sensor_with_soft_fail_logs_why_it_skips(reason: str, log_lines: list[str]) -> None:
    sensor = AstroDagRunSensor(task_id="t", external_dag_id="nightly", soft_fail=True)
    with pytest.raises(AirflowSkipException):
        resume(sensor, reason)
    assert log_lines[-1].startswith(f"Skipped: dag 'nightly'\n  Timed out. Airflow ended the deferral ({reason})")


def test_other_failure_of_a_trigger_is_raised_as_it_is() -> None:
    with pytest.raises(AirflowException, match=r"^Trigger failure$"):
        resume(AstroDagRunSensor(task_id="t", external_dag_id="nightly"), "Trigger failure")

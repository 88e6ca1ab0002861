from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


@pytest.fixture(autouse=True)
def _never_rescheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 2 asks its database when a sensor was rescheduled first, and there is none here."""
    if AIRFLOW_VERSION < (3, 0):
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: None)


@pytest.fixture
def rescheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], dict[str, Any]]:
    """Make the context of a sensor that was rescheduled for the first time at some time."""

    def since(date: datetime) -> dict[str, Any]:
        if AIRFLOW_VERSION < (3, 0):
            monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: date)
            return context()
        return context(TaskInstance(first_reschedule_date=date), task_reschedule_count=1)

    return since

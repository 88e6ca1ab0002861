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
    """Replace the database query for the first reschedule date of Airflow 2, because unit tests have no database."""
    if AIRFLOW_VERSION < (3, 0):
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: None)


@pytest.fixture
def rescheduled(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], dict[str, Any]]:
    """Return a function that makes the context of a sensor that was first rescheduled at a given date."""

    def rescheduled_context(date: datetime) -> dict[str, Any]:
        if AIRFLOW_VERSION < (3, 0):
            monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: date)
            return context()
        return context(TaskInstance(first_reschedule_date=date), task_reschedule_count=1)

    return rescheduled_context

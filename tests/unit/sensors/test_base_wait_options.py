"""Every option of a wait has the same effect on a worker, after a deferral, and for a start in the triggerer."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.sensors.factory import deferrable_sensor, deferral, stored_trigger
from tests.unit.task_runner import LOGICAL_DATE, context
from tests.unit.triggers.factory import sensor_trigger

if TYPE_CHECKING:
    from astro_provider.api.flow import Flow
    from astro_provider.sensors.base import AstroBaseSensor
    from tests.unit.fake_airflow import FakeAirflowServer

DATE, LATER = "2026-02-01T05:00:00+00:00", "2026-02-02T05:00:00+00:00"
DATES = [datetime.fromisoformat(DATE), datetime.fromisoformat(LATER)]

FIELDS: list[tuple[str, Any, type[AstroBaseSensor], dict[str, Any]]] = [
    ("dag_id", "other", AstroDagRunSensor, {"external_dag_id": "other"}),
    ("run_id", "r", AstroDagRunSensor, {"external_run_id": "r"}),
    ("logical_dates", [DATE], AstroDagRunSensor, {"logical_date": DATE}),
    ("logical_dates", [DATE], AstroDagRunSensor, {"execution_delta": timedelta(hours=1)}),
    ("logical_dates", [LOGICAL_DATE.isoformat()], AstroDagRunSensor, {}),
    ("latest", True, AstroDagRunSensor, {"latest": True}),
    ("since", DATE, AstroDagRunSensor, {"latest": True, "since": DATE}),
    ("since", DATE, AstroTaskSensor, {"latest": True, "since": datetime.fromisoformat(DATE), "external_task_id": "t"}),
    ("logical_date_range", [DATE, LATER], AstroDagRunSensor, {"logical_date_range": (DATE, LATER)}),
    ("logical_date_range", [DATE, LATER], AstroTaskSensor, {"logical_date_range": DATES, "external_task_id": "t"}),
    ("expected_runs", 24, AstroDagRunSensor, {"logical_date_range": DATES, "expected_runs": 24}),
    ("expected_runs", 24, AstroDagRunSensor, {"logical_date_range": DATES, "expected_runs": "24"}),
    ("partition_key", "p", AstroDagRunSensor, {"partition_key": "p"}),
    ("idle", True, AstroDagRunSensor, {"idle": True}),
    ("task_ids", ["t"], AstroTaskSensor, {"external_task_id": "t"}),
    ("task_ids", ["t", "u"], AstroTaskSensor, {"external_task_ids": ["t", "u"]}),
    ("group_id", "g", AstroTaskSensor, {"external_task_group_id": "g"}),
    ("check_existence", True, AstroDagRunSensor, {"check_existence": True}),
    (
        "end_states",
        EndStates(["running"], ["success"], ["queued"]),
        AstroDagRunSensor,
        {"allowed_states": ["running"], "failed_states": ["success"], "skipped_states": ["queued"]},
    ),
]
"""A field of a wait, another value than its default, and the sensor and the options that set it."""

every_field = pytest.mark.parametrize(("field", "value", "kind", "options"), FIELDS)


@pytest.fixture
def checked_waits(monkeypatch: pytest.MonkeyPatch) -> list[RunWait]:
    """Collect the waits that are checked; none of them is over."""
    waits: list[RunWait] = []

    def run(check: Check, **_: Any) -> Flow[Verdict]:
        waits.append(check._wait)
        return Verdict("pending", "running")
        yield

    monkeypatch.setattr(Check, "run", run)
    return waits


def test_every_field_of_a_wait_is_tested() -> None:
    set_by_operators = {"must_exist"}
    assert {field for field, *_ in FIELDS} == {field.name for field in fields(RunWait)} - set_by_operators


@every_field
def test_every_option_reaches_the_wait_on_a_worker(
    fake_airflow: FakeAirflowServer,
    checked_waits: list[RunWait],
    field: str,
    value: Any,
    kind: type[AstroBaseSensor],
    options: dict[str, Any],
) -> None:
    assert not deferrable_sensor(kind, deferrable=False, **options).poke(context())
    assert getattr(checked_waits[0], field) == value


@every_field
def test_trigger_of_a_deferral_has_the_wait_of_the_worker(
    fake_airflow: FakeAirflowServer,
    checked_waits: list[RunWait],
    field: str,
    value: Any,
    kind: type[AstroBaseSensor],
    options: dict[str, Any],
) -> None:
    trigger = stored_trigger(deferral(deferrable_sensor(kind, **options)))
    assert getattr(trigger.run_wait, field) == value
    assert [trigger.run_wait.serialize()] == [wait.serialize() for wait in checked_waits]


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")
@every_field
def test_trigger_that_starts_the_task_has_the_wait_of_the_worker(
    fake_airflow: FakeAirflowServer,
    checked_waits: list[RunWait],
    field: str,
    value: Any,
    kind: type[AstroBaseSensor],
    options: dict[str, Any],
) -> None:
    trigger = sensor_trigger(kind, **options)
    assert getattr(trigger.task_wait, field) == value
    assert not deferrable_sensor(kind, deferrable=False, **options).poke(context())
    assert [trigger.task_wait] == checked_waits

"""Sensors for idle dags that start and end in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.unit.task_runner import context
from tests.unit.triggers.factory import run_trigger, sensor_trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "xcoms"),
]


@pytest.mark.parametrize("logical_date", ["given", None])
async def test_wait_goes_on_until_nothing_of_the_dag_runs(
    any_airflow: FakeAirflowServer,
    clock: FakeClock,
    xcoms: dict[str, Any],
    log_lines: list[str],
    logical_date: str | None,
) -> None:
    any_airflow.dags["d"] = True
    any_airflow.has_run("theirs", "running")
    any_airflow.has_task("load", "running", run_id="theirs")

    def at_sleep() -> None:
        if len(clock.sleeps) > 5:
            any_airflow.end_task("load", run_id="theirs")

    clock.at_sleep = at_sleep
    options = {} if logical_date else {"make_context": lambda: context(logical_date=None)}
    assert await run_trigger(sensor_trigger(idle=True, poke_interval=1, **options)) == ("success", None)
    assert len(clock.sleeps) > 5
    assert xcoms == {}
    outcomes = [line.partition(" in Deployment")[0] for line in log_lines if "dle: " in line]
    assert outcomes == ["Not idle: dag 'd'", "Idle: dag 'd'"]
    assert any_airflow.runs["theirs"]["state"] == "running"

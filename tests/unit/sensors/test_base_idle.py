"""Sensors that wait until a dag is idle."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.api.errors import NotFoundError
from tests.unit.sensors.factory import dag_run_sensor, deferral, stored_trigger, task_sensor
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer


@pytest.mark.parametrize("options", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=str)
def test_sensor_succeeds_at_once_if_nothing_of_the_dag_runs(
    any_airflow: FakeAirflowServer, log_lines: list[str], options: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", "failed")
    dag_run_sensor(idle=True, **options).execute(context())
    assert [line.partition(" in Deployment")[0] for line in log_lines if "dle" in line] == ["Idle: dag 'd'"]


def test_sensor_waits_while_something_runs(any_airflow: FakeAirflowServer) -> None:
    sensor, ti = dag_run_sensor(idle=True), TaskInstance()
    any_airflow.has_run("theirs", "running")
    any_airflow.has_task("load", "running", run_id="theirs")
    assert not sensor.poke(context(ti))
    any_airflow.end_task("load", run_id="theirs")
    assert not sensor.poke(context(ti))
    any_airflow.end_run("theirs")
    assert sensor.poke(context(ti))
    assert ti.xcoms == {}, "there is no run to link to"


def test_sensor_defers_while_something_runs(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "queued")
    wait = stored_trigger(deferral(dag_run_sensor(idle=True, deferrable=True))).run_wait
    assert (wait.idle, wait.dag_id, wait.run_id, wait.logical_dates) == (True, "d", None, ())


def test_idle_needs_no_logical_date_of_the_own_run(any_airflow: FakeAirflowServer) -> None:
    assert dag_run_sensor(idle=True).poke(context(logical_date=None))


def test_dag_that_does_not_exist_is_waited_for_unless_it_must_exist(any_airflow: FakeAirflowServer) -> None:
    assert not dag_run_sensor(idle=True, external_dag_id="none").poke(context())
    with pytest.raises(NotFoundError, match="has no dag 'none'"):
        dag_run_sensor(idle=True, external_dag_id="none", check_existence=True).poke(context())


@pytest.mark.parametrize(
    "other",
    [
        {"external_run_id": "r"},
        {"logical_date": "2026-01-31"},
        {"execution_delta": timedelta(hours=1)},
        {"execution_date_fn": lambda date: date},
        {"latest": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_idle_excludes_other_ways_to_name_a_run(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(other))} and idle exclude each other"):
        dag_run_sensor(idle=True, **other)


@pytest.mark.parametrize("option", ["allowed_states", "failed_states", "skipped_states"])
def test_idle_excludes_states(option: str) -> None:
    with pytest.raises(ValueError, match="idle excludes allowed_states, failed_states and skipped_states"):
        dag_run_sensor(idle=True, **{option: []})


def test_idle_is_not_about_tasks() -> None:
    with pytest.raises(ValueError, match="use AstroDagRunSensor"):
        task_sensor(external_run_id=None, external_task_id="load", idle=True)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")
def test_sensor_starts_in_the_triggerer() -> None:
    arguments = dag_run_sensor(idle=True, deferrable=True).build_start_trigger_args().trigger_kwargs
    assert arguments["wait"]["idle"] is True

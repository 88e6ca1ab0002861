"""Which tasks a sensor waits for, and how their states end the wait."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import DagRunFailedError, NotFoundError
from astro_provider.sensors.task import AstroTaskSensor
from tests.airflow_names import DAG
from tests.unit.sensors.factory import task_sensor
from tests.unit.task_runner import TaskInstance, context, round_trip

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

OWN_DATE = "2026-02-01T06:00:00Z"


@pytest.fixture
def airflow(any_airflow: FakeAirflowServer) -> FakeAirflowServer:
    """A target whose run ``theirs`` stays running."""
    any_airflow.has_run("theirs", "running", logical_date=OWN_DATE)
    return any_airflow


def add_task(airflow: FakeAirflowServer, task_id: str, *states: str | None, **fields: Any) -> None:
    """Add a task with this state to the run ``theirs``, or a mapped task with an instance for each of these states."""
    for index, state in enumerate(states):
        airflow.has_task(task_id, state, run_id="theirs", map_index=index if len(states) > 1 else -1, **fields)


@pytest.mark.parametrize(
    ("state", "is_over"),
    [("success", True), ("running", False), ("skipped", False), ("up_for_retry", False), (None, False)],
)
@pytest.mark.parametrize("name", [{"external_task_id": "load"}, {"external_task_ids": ["load"]}], ids=str)
def test_task_sensor_waits_for_one_task(
    airflow: FakeAirflowServer, name: dict[str, Any], state: str | None, is_over: bool
) -> None:
    add_task(airflow, "load", state)
    add_task(airflow, "loader", "failed")
    assert task_sensor(**name).poke(context()) is is_over


def test_own_logical_date_is_the_default(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "load", "success")
    assert task_sensor(external_run_id=None, external_task_id="load").poke(context())


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_failed_task_fails_the_sensor(airflow: FakeAirflowServer, state: str) -> None:
    add_task(airflow, "load", state, log=airflow.payloads.log())
    reason = "ValueError: no rows" if state == "failed" else "upstream_failed"
    with pytest.raises(DagRunFailedError, match=rf"^Failed: dag 'd', task 'load' in [\s\S]*load \(try 1\): {reason}"):
        task_sensor(external_task_id="load").poke(context())


def test_one_failed_task_of_several_fails_the_sensor(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "one", "running")
    add_task(airflow, "two", "failed")
    with pytest.raises(DagRunFailedError, match=r"^Failed: dag 'd', tasks 'one', 'two' in "):
        task_sensor(external_task_ids=["one", "two"]).poke(context())


def test_allowed_and_skipped_states_end_the_wait(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "load", "skipped")
    assert task_sensor(external_task_id="load", allowed_states=["success", "skipped"]).poke(context())
    with pytest.raises(AirflowSkipException):
        task_sensor(external_task_id="load", skipped_states=["skipped"]).poke(context())


def test_none_is_the_state_of_a_task_without_one(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "load", None)
    assert task_sensor(external_task_id="load", allowed_states=["none"]).poke(context())


def test_all_of_several_tasks_must_succeed(airflow: FakeAirflowServer) -> None:
    sensor = task_sensor(external_task_ids=["one", "two"])
    add_task(airflow, "one", "success")
    assert not sensor.poke(context())
    add_task(airflow, "two", "success")
    assert sensor.poke(context())


def test_all_instances_of_a_mapped_task_must_succeed(airflow: FakeAirflowServer) -> None:
    sensor = task_sensor(external_task_id="load")
    add_task(airflow, "load", "success", "success", "running")
    assert not sensor.poke(context())
    airflow.delete_tasks("theirs")
    add_task(airflow, "load", "success", "success", "success")
    assert sensor.poke(context())


def test_failed_instance_of_a_mapped_task_is_named(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "load", "success", "failed", log=airflow.payloads.log())
    with pytest.raises(DagRunFailedError, match=r"load\[1\] \(try 1\)"):
        task_sensor(external_task_id="load").poke(context())


# Task groups


def test_all_tasks_of_a_group_must_succeed(airflow: FakeAirflowServer) -> None:
    airflow.groups = {"etl": ["etl.load", "etl.inner.check"]}
    sensor = task_sensor(external_task_group_id="etl")
    add_task(airflow, "etl.load", "success")
    add_task(airflow, "etl.inner.check", "running")
    add_task(airflow, "etlish", "failed")
    assert not sensor.poke(context())
    airflow.delete_tasks("theirs")
    add_task(airflow, "etl.load", "success")
    add_task(airflow, "etl.inner.check", "success")
    add_task(airflow, "etlish", "failed")
    assert sensor.poke(context())


def test_group_can_have_tasks_without_its_prefix(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.groups = {"etl": ["load"]}
    add_task(fake_airflow, "load", "success")
    add_task(fake_airflow, "other", "failed")
    assert task_sensor(external_task_group_id="etl").poke(context())


def test_group_whose_tasks_lack_its_prefix_is_not_found_in_airflow_2(fake_airflow_v1: FakeAirflowServer) -> None:
    fake_airflow_v1.has_run("theirs", "running")
    add_task(fake_airflow_v1, "load", "success")
    assert not task_sensor(external_task_group_id="etl").poke(context())


# Tasks, groups and runs that do not exist


@pytest.mark.parametrize(
    "name", [{"external_task_id": "none"}, {"external_task_ids": ["load", "none"]}, {"external_task_group_id": "none"}]
)
def test_sensor_waits_for_a_task_or_group_that_does_not_exist(airflow: FakeAirflowServer, name: dict[str, Any]) -> None:
    assert not task_sensor(**name).poke(context())
    add_task(airflow, "load", "success")
    assert not task_sensor(**name).poke(context())


def test_message_says_that_the_run_without_the_task_is_over(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "success")
    assert not task_sensor(external_task_id="none").poke(context())
    assert any(
        line.startswith("Not there yet: dag 'd', task 'none' ") and "Its run is over: success" in line
        for line in log_lines
    )


def test_sensor_waits_for_a_run_that_does_not_exist(any_airflow: FakeAirflowServer) -> None:
    assert not task_sensor(external_task_id="load").poke(context())


def test_check_existence_fails_the_sensor_if_a_task_does_not_exist(airflow: FakeAirflowServer) -> None:
    add_task(airflow, "load", "success")
    with pytest.raises(NotFoundError, match="has no task 'none' of dag 'd'"):
        task_sensor(external_task_ids=["load", "none"], check_existence=True).poke(context())
    assert task_sensor(external_task_ids=["load"], check_existence=True).poke(context())


def test_check_existence_fails_the_sensor_if_the_group_does_not_exist(airflow: FakeAirflowServer) -> None:
    sensor = task_sensor(external_task_group_id="none", check_existence=True)
    assert not sensor.poke(context()), "a run without tasks does not show its groups"
    add_task(airflow, "load", "success")
    with pytest.raises(NotFoundError, match="has no task group 'none' in dag 'd'"):
        task_sensor(external_task_group_id="none", check_existence=True).poke(context())


# Several runs


def test_task_must_succeed_in_each_of_several_runs(any_airflow: FakeAirflowServer) -> None:
    dates = ["2026-02-01T04:00:00+00:00", "2026-02-01T05:00:00+00:00"]
    sensor = task_sensor(external_run_id=None, external_task_id="load", execution_date_fn=lambda date: dates)
    any_airflow.has_run("one", "running", logical_date=dates[0])
    any_airflow.has_task("load", "success", run_id="one")
    assert not sensor.poke(context())
    any_airflow.has_run("two", "running", logical_date=dates[1])
    assert not sensor.poke(context())
    any_airflow.has_task("load", "success", run_id="two")
    assert sensor.poke(context())


def test_link_leads_to_the_run_in_which_the_task_failed(any_airflow: FakeAirflowServer) -> None:
    dates = ["2026-02-01T04:00:00+00:00", "2026-02-01T05:00:00+00:00"]
    sensor = task_sensor(external_run_id=None, external_task_id="load", execution_date_fn=lambda date: dates)
    for run_id, date, state in (("one", dates[0], "failed"), ("two", dates[1], "success")):
        any_airflow.has_run(run_id, "running", logical_date=date)
        any_airflow.has_task("load", state, run_id=run_id)
    ti = TaskInstance()
    with pytest.raises(DagRunFailedError, match=r"\nRun: one\nhttp.*one"):
        sensor.poke(context(ti))
    assert ti.xcoms["remote_dag_run_url"].endswith("one")


# Tasks of a finished run


@pytest.mark.parametrize("state", ["skipped", "removed"])
def test_task_in_another_final_state_fails_the_sensor_once_its_run_is_over(
    any_airflow: FakeAirflowServer, state: str
) -> None:
    any_airflow.has_run("theirs", "running", "success")
    any_airflow.has_task("load", state, run_id="theirs")
    sensor = task_sensor(external_task_id="load")
    assert not sensor.poke(context()), "its run is still running"
    with pytest.raises(DagRunFailedError, match=f"List '{state}' in allowed_states or skipped_states"):
        sensor.poke(context())


def test_sensor_waits_for_a_running_task_of_a_finished_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success")
    any_airflow.has_task("load", "running", run_id="theirs")
    assert not task_sensor(external_task_id="load").poke(context())


# Parameters in a DAG file


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"external_task_id": "a", "external_task_ids": ["b"]},
        {"external_task_ids": ["a"], "external_task_group_id": "g"},
        {"external_task_ids": []},
        {"external_task_id": ""},
    ],
    ids=str,
)
def test_exactly_one_task_parameter_is_required(names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give one of external_task_id, external_task_ids and external_task_group_id"):
        task_sensor(**names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"external_task_ids": "load"}, "external_task_ids must be a list of task ids, not the text 'load'"),
        (
            {"external_task_id": "t", "allowed_states": ["done"]},
            "allowed_states has unknown state 'done'; choices: none",
        ),
    ],
)
def test_invalid_parameters_are_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_sensor(**options)


def test_task_parameters_are_rendered_and_the_dag_is_serialized() -> None:
    names = {
        "one": {"external_task_id": "t_{{ ds }}"},
        "some": {"external_task_ids": ["t_{{ ds }}"]},
        "group": {"external_task_group_id": "g_{{ ds }}"},
    }
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        sensors = {name: task_sensor(task_id=name, **named) for name, named in names.items()}
        AstroTaskSensor.partial(task_id="mapped", external_dag_id="d").expand(external_task_id=["a", "b"])
    assert set(round_trip(dag).task_dict) == {*names, "mapped"}
    for each in sensors.values():
        each.render_template_fields(context())
    assert sensors["one"].external_task_id == "t_2026-02-01"
    assert sensors["some"].external_task_ids == ["t_2026-02-01"]
    assert sensors["group"].external_task_group_id == "g_2026-02-01"

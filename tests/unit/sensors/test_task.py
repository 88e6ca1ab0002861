"""Waiting for tasks and task groups of a run in the target."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import DagRunFailedError, NotFoundError
from astro_provider.sensors.task import AstroTaskSensor
from tests.airflow_names import DAG
from tests.unit.task_runner import context, round_trip

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

OWN = "2026-02-01T06:00:00Z"


def sensor(**options: Any) -> AstroTaskSensor:
    return AstroTaskSensor(**{"task_id": "wait", "external_dag_id": "d", "external_run_id": "theirs", **options})


@pytest.fixture
def running(any_airflow: FakeAirflowServer) -> FakeAirflowServer:
    """One run that goes on, whatever its tasks do."""
    any_airflow.has_run("theirs", "running", logical_date=OWN)
    return any_airflow


def becomes(running: FakeAirflowServer, task_id: str, *states: str | None, **fields: Any) -> None:
    """Put a task instance there for each state, the first one not mapped if it is the only one."""
    for index, state in enumerate(states):
        running.has_task(task_id, state, run_id="theirs", map_index=index if len(states) > 1 else -1, **fields)


@pytest.mark.parametrize(
    ("state", "over"),
    [("success", True), ("running", False), ("skipped", False), ("up_for_retry", False), (None, False)],
)
@pytest.mark.parametrize("name", [{"external_task_id": "load"}, {"external_task_ids": ["load"]}], ids=str)
def test_one_task(running: FakeAirflowServer, name: dict[str, Any], state: str | None, over: bool) -> None:
    becomes(running, "load", state)
    becomes(running, "loader", "failed")
    assert sensor(**name).poke(context()) is over


def test_the_run_may_be_named_by_its_logical_date(running: FakeAirflowServer) -> None:
    becomes(running, "load", "success")
    assert sensor(external_run_id=None, external_task_id="load").poke(context())


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_a_task_that_fails(running: FakeAirflowServer, state: str) -> None:
    becomes(running, "load", state, log=running.payloads.log())
    told = "ValueError: no rows" if state == "failed" else "upstream_failed"
    with pytest.raises(DagRunFailedError, match=rf"task 'load' in run 'theirs'[\s\S]*load \(try 1\): {told}"):
        sensor(external_task_id="load").poke(context())


def test_a_task_that_fails_of_several(running: FakeAirflowServer) -> None:
    becomes(running, "one", "running")
    becomes(running, "two", "failed")
    with pytest.raises(DagRunFailedError, match="task 'one', 'two'"):
        sensor(external_task_ids=["one", "two"]).poke(context())


def test_the_states_are_the_user_s(running: FakeAirflowServer) -> None:
    becomes(running, "load", "skipped")
    assert sensor(external_task_id="load", allowed_states=["success", "skipped"]).poke(context())
    with pytest.raises(AirflowSkipException):
        sensor(external_task_id="load", skipped_states=["skipped"]).poke(context())


def test_a_task_without_a_state_has_one_to_wait_for(running: FakeAirflowServer) -> None:
    becomes(running, "load", None)
    assert sensor(external_task_id="load", allowed_states=["none"]).poke(context())


def test_all_of_several_tasks(running: FakeAirflowServer) -> None:
    looking = sensor(external_task_ids=["one", "two"])
    becomes(running, "one", "success")
    assert not looking.poke(context())
    becomes(running, "two", "success")
    assert looking.poke(context())


def test_every_instance_of_a_mapped_task(running: FakeAirflowServer) -> None:
    looking = sensor(external_task_id="load")
    becomes(running, "load", "success", "success", "running")
    assert not looking.poke(context())
    running.delete_tasks("theirs")
    becomes(running, "load", "success", "success", "success")
    assert looking.poke(context())


def test_a_failed_instance_of_a_mapped_task_is_named(running: FakeAirflowServer) -> None:
    becomes(running, "load", "success", "failed", log=running.payloads.log())
    with pytest.raises(DagRunFailedError, match=r"load\[1\] \(try 1\)"):
        sensor(external_task_id="load").poke(context())


# Task groups.


def test_every_task_of_a_group(running: FakeAirflowServer) -> None:
    running.groups = {"etl": ["etl.load", "etl.inner.check"]}
    looking = sensor(external_task_group_id="etl")
    becomes(running, "etl.load", "success")
    becomes(running, "etl.inner.check", "running")
    becomes(running, "etlish", "failed")
    assert not looking.poke(context())
    running.delete_tasks("theirs")
    becomes(running, "etl.load", "success")
    becomes(running, "etl.inner.check", "success")
    becomes(running, "etlish", "failed")
    assert looking.poke(context())


def test_a_group_that_does_not_prefix_its_tasks(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.groups = {"etl": ["load"]}
    becomes(fake_airflow, "load", "success")
    becomes(fake_airflow, "other", "failed")
    assert sensor(external_task_group_id="etl").poke(context())


def test_a_group_that_does_not_prefix_its_tasks_is_unknown_to_airflow_2(fake_airflow_v1: FakeAirflowServer) -> None:
    fake_airflow_v1.has_run("theirs", "running")
    becomes(fake_airflow_v1, "load", "success")
    assert not sensor(external_task_group_id="etl").poke(context())


# What is not there.


@pytest.mark.parametrize(
    "name", [{"external_task_id": "none"}, {"external_task_ids": ["load", "none"]}, {"external_task_group_id": "none"}]
)
def test_what_is_not_there_is_waited_for(running: FakeAirflowServer, name: dict[str, Any]) -> None:
    assert not sensor(**name).poke(context())
    becomes(running, "load", "success")
    assert not sensor(**name).poke(context())


def test_a_wait_in_vain_says_that_the_run_is_over(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "success")
    assert not sensor(external_task_id="none").poke(context())
    assert any(line.endswith("not there yet (its run is over: success)") for line in log_lines)


def test_a_run_that_is_not_there_is_waited_for(any_airflow: FakeAirflowServer) -> None:
    assert not sensor(external_task_id="load").poke(context())


def test_a_task_that_has_to_be_there_fails_the_sensor(running: FakeAirflowServer) -> None:
    becomes(running, "load", "success")
    with pytest.raises(NotFoundError, match="has no task 'none' of dag 'd'"):
        sensor(external_task_ids=["load", "none"], check_existence=True).poke(context())
    assert sensor(external_task_ids=["load"], check_existence=True).poke(context())


def test_a_group_that_has_to_be_there_fails_the_sensor(running: FakeAirflowServer) -> None:
    looking = sensor(external_task_group_id="none", check_existence=True)
    assert not looking.poke(context()), "a run without any tasks yet tells nothing of its groups"
    becomes(running, "load", "success")
    with pytest.raises(NotFoundError, match="has no task group 'none' in dag 'd'"):
        sensor(external_task_group_id="none", check_existence=True).poke(context())


# In several runs.


def test_a_task_of_several_runs(any_airflow: FakeAirflowServer) -> None:
    dates = ["2026-02-01T04:00:00+00:00", "2026-02-01T05:00:00+00:00"]
    looking = sensor(external_run_id=None, external_task_id="load", execution_date_fn=lambda date: dates)
    any_airflow.has_run("one", "running", logical_date=dates[0])
    any_airflow.has_task("load", "success", run_id="one")
    assert not looking.poke(context())
    any_airflow.has_run("two", "running", logical_date=dates[1])
    assert not looking.poke(context())
    any_airflow.has_task("load", "success", run_id="two")
    assert looking.poke(context())


def test_the_link_is_of_the_run_that_failed(any_airflow: FakeAirflowServer) -> None:
    dates = ["2026-02-01T04:00:00+00:00", "2026-02-01T05:00:00+00:00"]
    looking = sensor(external_run_id=None, external_task_id="load", execution_date_fn=lambda date: dates)
    for run_id, date, state in (("one", dates[0], "failed"), ("two", dates[1], "success")):
        any_airflow.has_run(run_id, "running", logical_date=date)
        any_airflow.has_task("load", state, run_id=run_id)
    given = context()
    with pytest.raises(DagRunFailedError, match=r"See .*one"):
        looking.poke(given)
    assert given["ti"].xcoms["remote_dag_run_url"].endswith("one")


# In a DAG file.


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
def test_one_of_the_names_is_needed(names: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give one of external_task_id, external_task_ids and external_task_group_id"):
        sensor(**names)


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
def test_what_is_wrong_is_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sensor(**options)


def test_templates_are_rendered_and_the_dag_is_serialised() -> None:
    names = {
        "one": {"external_task_id": "t_{{ ds }}"},
        "some": {"external_task_ids": ["t_{{ ds }}"]},
        "group": {"external_task_group_id": "g_{{ ds }}"},
    }
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        sensors = {name: sensor(task_id=name, **named) for name, named in names.items()}
        AstroTaskSensor.partial(task_id="mapped", external_dag_id="d").expand(external_task_id=["a", "b"])
    assert set(round_trip(dag).task_dict) == {*names, "mapped"}
    for each in sensors.values():
        each.render_template_fields(context())
    assert sensors["one"].external_task_id == "t_2026-02-01"
    assert sensors["some"].external_task_ids == ["t_2026-02-01"]
    assert sensors["group"].external_task_group_id == "g_2026-02-01"


@pytest.mark.parametrize(
    ("option", "rendered"),
    [
        ("external_task_id", ""),
        ("external_task_id", "None"),
        ("external_task_ids", []),
        ("external_task_ids", [""]),
        ("external_task_ids", "load"),
        ("external_task_group_id", ""),
    ],
)
def test_a_template_that_came_to_no_task_is_refused(
    fake_airflow: FakeAirflowServer, option: str, rendered: Any
) -> None:
    looking = sensor(**{option: "{{ some }}"})
    setattr(looking, option, rendered)
    with pytest.raises(AirflowFailException, match=option):
        looking.execute(context())
    assert fake_airflow.received == []


@pytest.mark.parametrize("rendered", ["", "None"])
def test_a_template_that_came_to_no_run_is_refused(fake_airflow: FakeAirflowServer, rendered: str) -> None:
    looking = sensor(external_task_id="load", external_run_id=rendered)
    with pytest.raises(AirflowFailException, match="external_run_id was rendered to"):
        looking.execute(context())
    assert fake_airflow.received == []


def test_a_function_that_returns_no_date_is_refused(fake_airflow: FakeAirflowServer) -> None:
    looking = sensor(external_task_id="load", external_run_id=None, execution_date_fn=lambda date: [])
    with pytest.raises(AirflowFailException, match="execution_date_fn returned no logical date"):
        looking.execute(context())
    assert fake_airflow.received == []

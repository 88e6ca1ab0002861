"""What sensors make of fields once they are rendered: as text or as native objects, given or not."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from tests.airflow_names import DAG
from tests.unit.task_runner import LOGICAL_DATE, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

RUN_AFTER = LOGICAL_DATE + timedelta(hours=2)


def rendered(
    kind: type[AstroDagRunSensor] = AstroDagRunSensor, *, native: bool = True, values: Any = None, **options: Any
) -> AstroDagRunSensor:
    """Make a sensor and render its templates, in which ``values`` gives what other tasks have returned."""
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=native):
        made = kind(**{"task_id": "wait", "external_dag_id": "d", "http_conn_id": "http_conn", **options})
    made.render_template_fields(context(values=values or {}))
    return made


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
@pytest.mark.parametrize("value", [None, "", "None", " "])
def test_a_run_that_is_named_by_nothing_is_not_another_run(
    any_airflow: FakeAirflowServer, native: bool, parameter: str, value: Any
) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    waiting = rendered(native=native, values={"run": value}, **{parameter: "{{ values.run }}"})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to"):
        waiting.execute(context())
    assert any_airflow.received == []


@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
def test_an_xcom_that_is_none_is_not_another_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d", **{parameter: "placeholder"})
    setattr(waiting, parameter, None)  # what Airflow does with the XComArg of a task that returned None
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        waiting.execute(context())


@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
def test_a_mapped_value_that_is_none_is_not_another_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d", **{parameter: None})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        waiting.execute(context(TaskInstance(map_index=3)))


def test_a_mapped_sensor_that_names_no_run_waits_for_its_own(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d")
    waiting.execute(context(TaskInstance(map_index=3)))


def test_none_is_the_default_of_a_sensor_that_is_not_mapped(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    rendered(external_run_id=None, logical_date=None).execute(context())


@pytest.mark.parametrize("parameter", ["external_dag_id", "http_conn_id"])
def test_other_ids_that_come_to_nothing_are_named(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    waiting = rendered(**{"external_run_id": "theirs", parameter: "{{ values.missing | default(none) }}"})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        waiting.execute(context())


@pytest.mark.parametrize("parameter", ["external_task_id", "external_task_group_id"])
def test_tasks_that_come_to_nothing_are_not_the_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    fake_airflow.has_run("theirs", "success")
    waiting = rendered(AstroTaskSensor, external_run_id="theirs", **{parameter: "{{ values.missing | default(none) }}"})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        waiting.execute(context())


def test_ids_that_look_like_numbers(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("20260201", "success", dag_id="123")
    any_airflow.has_task("7", "success", dag_id="123", run_id="20260201")
    any_airflow.has_task("8", "success", dag_id="123", run_id="20260201")
    named = {"external_dag_id": "{{ 123 }}", "external_run_id": "{{ ds_nodash }}"}
    where = {"ds_nodash": "20260201"}
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True):
        waits = [
            AstroDagRunSensor(task_id="run", **named),
            AstroTaskSensor(task_id="one", external_task_id="{{ 7 }}", **named),
            AstroTaskSensor(task_id="several", external_task_ids="{{ [7, 8] }}", **named),
        ]
    for waiting in waits:
        waiting.render_template_fields(context(**where))
        assert waiting.external_dag_id == 123, "the premise"
        waiting.execute(context())


# The date of this task's own run.


def test_a_run_without_a_logical_date_has_its_run_after(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=RUN_AFTER.isoformat())
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d")
    waiting.execute(context(logical_date=None, dag_run=SimpleNamespace(run_after=RUN_AFTER)))


def positional(date: datetime) -> list[Any]:
    return [date]


def by_the_name_of_airflow(logical_date: datetime) -> list[Any]:
    return [logical_date]


def with_keywords(logical_date: datetime, **kwargs: Any) -> list[Any]:
    assert {"ds", "ti", "context"} <= set(kwargs)
    return [logical_date]


def with_the_context(date: datetime, context: Any) -> list[Any]:
    assert context["ds"] == "2026-02-01"
    return [date]


def with_named_variables(date: datetime, ds: str, ti: Any = None) -> list[Any]:
    assert (ds, ti.task_id) == ("2026-02-01", "trigger")
    return [date]


@pytest.mark.parametrize(
    "function", [positional, by_the_name_of_airflow, with_keywords, with_the_context, with_named_variables]
)
@pytest.mark.parametrize("own", [LOGICAL_DATE, None])
def test_functions_that_external_task_sensor_accepts(
    any_airflow: FakeAirflowServer, function: Any, own: datetime | None
) -> None:
    any_airflow.has_run("theirs", "success", logical_date=(own or RUN_AFTER).isoformat())
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d", execution_date_fn=function)
    waiting.execute(
        context(logical_date=own, execution_date=own, dag_run=SimpleNamespace(run_after=RUN_AFTER)),
    )

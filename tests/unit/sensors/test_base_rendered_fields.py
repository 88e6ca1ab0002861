"""How sensors use their fields after rendering: text, native objects, and fields that are rendered to nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from tests.airflow_names import DAG
from tests.unit.sensors.factory import dag_run_sensor, run_id_sensor, task_sensor
from tests.unit.task_runner import LOGICAL_DATE, TaskInstance, context

if TYPE_CHECKING:
    from astro_provider.sensors.base import AstroBaseSensor
    from tests.unit.fake_airflow import FakeAirflowServer

RUN_AFTER = LOGICAL_DATE + timedelta(hours=2)


def rendered_sensor(
    kind: type[AstroBaseSensor] = AstroDagRunSensor, *, native: bool = True, values: Any = None, **options: Any
) -> AstroBaseSensor:
    """Create a sensor and render its templates, in which ``values`` holds what other tasks have returned."""
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=native):
        sensor = kind(**{"task_id": "wait", "external_dag_id": "d", "http_conn_id": "http_conn", **options})
    sensor.render_template_fields(context(values=values or {}))
    return sensor


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
@pytest.mark.parametrize("value", [None, "", "None", " "])
def test_template_rendered_to_nothing_does_not_select_another_run(
    any_airflow: FakeAirflowServer, native: bool, parameter: str, value: Any
) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    sensor = rendered_sensor(native=native, values={"run": value}, **{parameter: "{{ values.run }}"})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to"):
        sensor.execute(context())
    assert any_airflow.received == []


@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
def test_xcom_that_is_none_does_not_select_another_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    sensor = dag_run_sensor(**{parameter: "{{ the XComArg }}"})
    setattr(sensor, parameter, None)  # what Airflow does with the XComArg of a task that returned None
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        sensor.execute(context())


@pytest.mark.parametrize("parameter", ["external_run_id", "logical_date"])
def test_mapped_value_that_is_none_does_not_select_another_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        sensor = dag_run_sensor(**{parameter: None})
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        sensor.execute(context(TaskInstance(map_index=3)))


def test_mapped_sensor_that_names_no_run_waits_for_the_own_logical_date(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    dag_run_sensor().execute(context(TaskInstance(map_index=3)))


def test_none_as_run_means_the_own_run_if_the_sensor_is_not_mapped(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("own", "success", logical_date=LOGICAL_DATE.isoformat())
    rendered_sensor(external_run_id=None, logical_date=None).execute(context())


@pytest.mark.parametrize("parameter", ["external_dag_id", "http_conn_id"])
def test_error_names_a_required_id_that_is_rendered_to_none(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    options = {"external_run_id": "theirs", parameter: "{{ values.missing | default(none) }}"}
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        rendered_sensor(**options).execute(context())


@pytest.mark.parametrize("parameter", ["external_task_id", "external_task_group_id"])
def test_task_id_rendered_to_none_does_not_wait_for_the_run(fake_airflow: FakeAirflowServer, parameter: str) -> None:
    fake_airflow.has_run("theirs", "success")
    options = {"external_run_id": "theirs", parameter: "{{ values.missing | default(none) }}"}
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to None"):
        rendered_sensor(AstroTaskSensor, **options).execute(context())


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
def test_template_rendered_to_no_task_fails_the_sensor(
    fake_airflow: FakeAirflowServer, option: str, rendered: Any
) -> None:
    sensor = task_sensor(**{option: "{{ some }}"})
    setattr(sensor, option, rendered)
    with pytest.raises(AirflowFailException, match=option):
        sensor.execute(context())
    assert fake_airflow.received == []


@pytest.mark.parametrize("rendered", ["", "None"])
def test_template_rendered_to_no_run_fails_a_task_sensor(fake_airflow: FakeAirflowServer, rendered: str) -> None:
    with pytest.raises(AirflowFailException, match="external_run_id was rendered to"):
        task_sensor(external_task_id="load", external_run_id=rendered).execute(context())
    assert fake_airflow.received == []


def test_execution_date_fn_that_returns_no_date_fails_the_sensor(fake_airflow: FakeAirflowServer) -> None:
    sensor = task_sensor(external_task_id="load", external_run_id=None, execution_date_fn=lambda date: [])
    with pytest.raises(AirflowFailException, match="execution_date_fn returned no logical date"):
        sensor.execute(context())
    assert fake_airflow.received == []


def test_native_numbers_are_used_as_ids(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("20260201", "success", dag_id="123")
    any_airflow.has_task("7", "success", dag_id="123", run_id="20260201")
    any_airflow.has_task("8", "success", dag_id="123", run_id="20260201")
    options = {"external_dag_id": "{{ 123 }}", "external_run_id": "{{ ds_nodash }}"}
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True):
        sensors = [
            run_id_sensor(task_id="run", **options),
            task_sensor(task_id="one", external_task_id="{{ 7 }}", **options),
            task_sensor(task_id="several", external_task_ids="{{ [7, 8] }}", **options),
        ]
    for sensor in sensors:
        sensor.render_template_fields(context(ds_nodash="20260201"))
        assert sensor.external_dag_id == 123, "the premise"
        sensor.execute(context())


def test_run_after_replaces_the_logical_date_of_a_run_that_has_none(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=RUN_AFTER.isoformat())
    dag_run_sensor().execute(context(logical_date=None, dag_run=SimpleNamespace(run_after=RUN_AFTER)))


@pytest.mark.parametrize("own_date", [LOGICAL_DATE, None])
def test_execution_date_fn_is_called_with_the_date_and_variables_of_the_own_run(
    any_airflow: FakeAirflowServer, own_date: datetime | None
) -> None:
    def own(logical_date: datetime, **kwargs: Any) -> list[datetime]:
        assert {"ds", "ti", "context"} <= set(kwargs)
        return [logical_date]

    any_airflow.has_run("theirs", "success", logical_date=(own_date or RUN_AFTER).isoformat())
    dag_run = SimpleNamespace(run_after=RUN_AFTER)
    dag_run_sensor(execution_date_fn=own).execute(
        context(logical_date=own_date, execution_date=own_date, dag_run=dag_run)
    )

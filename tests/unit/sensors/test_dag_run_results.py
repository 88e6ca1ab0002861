"""Sensors that return what a task of the run returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import TransportError
from tests.unit.scripted_server import HANGUP
from tests.unit.sensors.factory import dag_run_sensor, deferral, run_id_sensor
from tests.unit.task_runner import context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = pytest.mark.usefixtures("clock")
VALUE = {"rows": [1, None]}
RESULT = {"result_task_id": "report"}
ENTRY = "dags/d/dagRuns/theirs/taskInstances/report/xcomEntries/return_value"
on_worker = pytest.mark.parametrize("mode", ["poke", "reschedule"])


def execute(sensor: Any) -> Any:
    return sensor.execute(context())


def resume(airflow: FakeAirflowServer, sensor: Any) -> Any:
    """Resume a sensor after its run has succeeded."""
    run = airflow.runs["theirs"]
    event = {"outcome": "success", "message": "m", "run": run, "url": "u", "error": None}
    return sensor.execute_complete(context(), event)


@on_worker
def test_value_is_returned_on_a_worker(any_airflow: FakeAirflowServer, mode: str) -> None:
    any_airflow.has_run("theirs", "success")
    any_airflow.has_xcom("report", VALUE)
    assert execute(run_id_sensor(mode=mode, **RESULT)) == VALUE


def test_value_is_returned_after_a_deferral(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    any_airflow.has_xcom("report", VALUE)
    deferral(run_id_sensor(deferrable=True, **RESULT))
    assert resume(any_airflow, run_id_sensor(deferrable=True, **RESULT)) == VALUE


@pytest.mark.parametrize("way", [{"latest": True}, {"logical_date": "2026-01-31T06:00:00Z"}])
def test_run_that_the_sensor_finds(any_airflow: FakeAirflowServer, way: dict[str, Any]) -> None:
    any_airflow.has_run("theirs", "success", logical_date="2026-01-31T06:00:00Z")
    any_airflow.has_xcom("part", 2, key="k", map_index=0)
    assert execute(dag_run_sensor(result_task_id=["part"], result_key="k", **way)) == {"part": [2]}


def test_sensor_without_a_result_returns_none(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success")
    assert execute(run_id_sensor()) is None
    assert execute(run_id_sensor(do_xcom_push=False, **RESULT)) is None
    assert resume(any_airflow, run_id_sensor(do_xcom_push=False, **RESULT)) is None
    assert "xcomEntries" not in str(any_airflow.calls_received)


def test_sensor_on_a_worker_tolerates_that_the_value_cannot_be_read(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    fake_airflow.has_xcom("report", VALUE)
    fake_airflow.on("GET", ENTRY, HANGUP, HANGUP, HANGUP, fake_airflow.stored_response)
    assert execute(run_id_sensor(**RESULT)) == VALUE
    assert [line for line in log_lines if "till waiting" in line]


def test_resumed_sensor_can_be_retried(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "success")
    fake_airflow.on("GET", ENTRY, HANGUP)
    with pytest.raises(TransportError):
        resume(fake_airflow, run_id_sensor(deferrable=True, soft_fail=True, **RESULT))


def missing(airflow: FakeAirflowServer, **options: Any) -> list[Callable[[], Any]]:
    """Return the end of a sensor whose value does not exist: on a worker, and after a deferral."""
    airflow.has_run("theirs", "success")
    airflow.has_xcom("other", 1)
    return [
        lambda: execute(run_id_sensor(**RESULT, **options)),
        lambda: resume(airflow, run_id_sensor(deferrable=True, **RESULT, **options)),
    ]


def test_missing_value_is_final(any_airflow: FakeAirflowServer) -> None:
    for end in missing(any_airflow):
        with pytest.raises(AirflowFailException, match="Tasks of the run that have one: 'other'"):
            end()


def test_missing_value_skips_a_sensor_with_soft_fail(any_airflow: FakeAirflowServer) -> None:
    for end in missing(any_airflow, soft_fail=True):
        with pytest.raises(AirflowSkipException, match="soft_fail is set"):
            end()


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ({"idle": True}, "needs a wait for one run: idle excludes it"),
        ({"logical_date_range": ("2026-01-01", "2026-02-01")}, "wait for one run: logical_date_range excludes it"),
        ({"external_run_id": "r", "result_task_id": []}, "result_task_id has no task id"),
    ],
)
def test_result_is_refused_at_parse_time(way: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dag_run_sensor(**{**RESULT, **way})


@pytest.mark.parametrize("deferrable", [False, True])
def test_result_of_several_runs_is_refused(fake_airflow: FakeAirflowServer, deferrable: bool) -> None:
    dates = ["2026-01-31", "2026-02-01"]
    sensor = dag_run_sensor(execution_date_fn=lambda _: dates, deferrable=deferrable, **RESULT)
    with pytest.raises(AirflowFailException, match="one run, but execution_date_fn returned 2 logical dates"):
        execute(sensor)
    assert fake_airflow.calls_received == []

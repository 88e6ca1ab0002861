"""Poking once: how the state of a run ends the task, what is logged, the link, and the connection to the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import DagRunFailedError, NotFoundError
from tests.unit.sensors.factory import dag_run_sensor, run_id_sensor
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer


@pytest.mark.parametrize(
    ("options", "state", "error"),
    [
        ({}, "failed", DagRunFailedError),
        ({"failed_states": ["queued"]}, "queued", DagRunFailedError),
        ({"skipped_states": ["queued"]}, "queued", AirflowSkipException),
        ({"skipped_states": ["failed"], "failed_states": []}, "failed", AirflowSkipException),
    ],
)
def test_failed_and_skipped_states_end_the_task_with_an_error(
    any_airflow: FakeAirflowServer, options: dict[str, Any], state: str, error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", state)
    with pytest.raises(error, match=rf"^(?s:(Failed: dag 'd'|Skipped: dag 'd').*{state})"):
        run_id_sensor(**options).poke(context())


def test_allowed_state_ends_the_wait_successfully(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    assert run_id_sensor(allowed_states=["failed"]).poke(context())


def test_failure_names_tasks_errors_and_link(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    with pytest.raises(
        DagRunFailedError, match=r"extract \(try 1\): ValueError: no rows\nRun: theirs\nhttp://.*theirs"
    ):
        run_id_sensor().poke(context())


def test_state_is_logged_only_when_it_changes(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "queued", "queued", "running", "running", "success")
    run_id_sensor().execute(context())
    states = [line.partition(": ")[0] for line in log_lines if ": dag 'd' in " in line]
    assert states == ["Queued", "Running", "Success"]


def test_link_is_pushed_when_the_run_is_found(any_airflow: FakeAirflowServer) -> None:
    ti = TaskInstance()
    sensor = run_id_sensor()
    sensor.poke(context(ti))
    assert ti.xcoms == {}
    any_airflow.has_run("theirs", "running")
    sensor.poke(context(ti))
    end = "runs/theirs" if any_airflow.api_version == "v2" else "grid?dag_run_id=theirs"
    assert ti.xcoms == {"remote_dag_run_url": f"{any_airflow.url}/dags/d/{end}"}


def test_connection_to_the_target_is_reused_and_closed(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "running", "running", "success")
    sensor = run_id_sensor()
    sensor.execute(context())
    assert (len(fake_airflow.received), fake_airflow.connections) == (3, 1)
    sensor.poke(context())
    assert fake_airflow.connections == 2


def test_check_existence_fails_the_sensor_if_the_dag_does_not_exist(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {"sales_report": False}
    with pytest.raises(NotFoundError, match=r"has no dag 'sales_raport'.*'sales_report'"):
        dag_run_sensor(external_dag_id="sales_raport", check_existence=True).poke(context())


def test_check_existence_applies_to_the_first_check_only(fake_airflow: FakeAirflowServer) -> None:
    sensor = run_id_sensor(check_existence=True)
    assert [sensor.poke(context()) for _ in range(3)] == [False] * 3
    # One request checks that the dag exists, and one explains why its run does not.
    assert fake_airflow.calls_received.count("GET /api/v2/dags/d") == 2
    assert fake_airflow.calls_received[-2:] == ["GET /api/v2/dags/d/dagRuns/theirs"] * 2

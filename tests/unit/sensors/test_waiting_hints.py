"""When a sensor logs why its run does not exist."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.scripted_target import json_response
from tests.unit.sensors.factory import dag_run_sensor, run_id_sensor
from tests.unit.task_runner import LOGICAL_DATE, NOW, context
from tests.unit.triggers.factory import dag_run_trigger, only_payload

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def test_unknown_dag_is_named_with_similar_ones(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.dags = {"quick": False}
    assert not run_id_sensor(external_dag_id="quik").poke(context())
    assert log_lines[-1].startswith("Not there yet: dag 'quik'")
    assert "has no dag 'quik'" in log_lines[-1]
    assert "'quick'" in log_lines[-1]


def test_newest_run_is_named(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("another", "running")
    assert not run_id_sensor().poke(context())
    assert "Its newest run is 'another'" in log_lines[-1]
    assert "(running)" in log_lines[-1]


def test_nearest_earlier_run_is_named(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    for run_id, hours in (("before", -1), ("long before", -9), ("after", 3)):
        any_airflow.has_run(run_id, "success", logical_date=(LOGICAL_DATE + timedelta(hours=hours)).isoformat())
    assert not dag_run_sensor().poke(context())
    assert "The nearest earlier run is 'before'" in log_lines[-1]


def test_dag_without_runs_is_logged(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    assert not run_id_sensor().poke(context())
    assert log_lines[-1].startswith("Not there yet: dag 'd'")
    assert "\n  The dag has no runs." in log_lines[-1]


@pytest.mark.parametrize("paused", [True, False])
def test_paused_dag_is_logged(any_airflow: FakeAirflowServer, log_lines: list[str], paused: bool) -> None:
    any_airflow.dags = {"d": paused}
    any_airflow.has_run("another", "queued")
    assert not run_id_sensor().poke(context())
    assert ("\n  The dag is paused there. Its newest run is 'another'" in log_lines[-1]) is paused
    assert ("\n  Its newest run is 'another'" in log_lines[-1]) is not paused


@pytest.mark.parametrize("deferred", [False, True])
async def test_hint_is_logged_once_an_hour(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock, deferred: bool
) -> None:
    """Each hint costs two requests in addition to the check itself."""
    fake_airflow.dags = {"d": True}
    hours = 3
    if deferred:
        trigger = dag_run_trigger(run_id="theirs", poke_interval=60, deadline=NOW.timestamp() + hours * 3600 - 1)
        assert (await only_payload(trigger))["outcome"] == "timeout"
    else:
        sensor = run_id_sensor()
        assert not sensor.poke(context())
        for _ in range(hours * 60 - 1):
            clock.sleep(60)
            assert not sensor.poke(context())
    assert len([line for line in log_lines if "The dag is paused there. The dag has no runs." in line]) == hours
    assert fake_airflow.calls_received.count("GET /api/v2/dags/d") == hours
    if not deferred:
        assert len(fake_airflow.received) == hours * 60 + 2 * hours


def test_hint_is_logged_at_the_first_check_that_is_answered(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.on(
        "GET", "dags/d/dagRuns/theirs", *[json_response({"detail": "down"}, 503)] * 3, fake_airflow.stored_response
    )
    sensor = run_id_sensor()
    assert not sensor.poke(context())
    assert not sensor.poke(context())
    assert log_lines[-2].startswith("Not there yet: dag 'd'")
    assert "\n  The dag has no runs." in log_lines[-2]
    assert log_lines[-1].startswith("Target answers again: dag 'd' in ")


def test_hint_is_requested_and_logged_once(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("another", "running")
    sensor = run_id_sensor()
    assert not sensor.poke(context())
    requests, lines = len(any_airflow.received), len(log_lines)
    for _ in range(5):
        assert not sensor.poke(context())
    assert len(any_airflow.received) == requests + 5
    assert len(log_lines) == lines


def test_rescheduled_sensor_logs_no_hint(
    fake_airflow: FakeAirflowServer, log_lines: list[str], rescheduled: Any
) -> None:
    """A rescheduled sensor is a new process, which does not know when the last hint was logged."""
    from airflow.exceptions import AirflowRescheduleException

    with pytest.raises(AirflowRescheduleException):
        run_id_sensor(mode="reschedule").execute(rescheduled(NOW))
    assert log_lines[-1].startswith("Not there yet: dag 'd': no such run in ")
    assert log_lines[-1].endswith("\nRun: theirs")
    assert len(log_lines[-1].splitlines()) == 2, "no hint"


def test_error_of_a_hint_does_not_end_the_wait(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    fake_airflow.on("GET", "dags/d", json_response({"detail": "no"}, 403))
    assert not run_id_sensor().poke(context())
    assert log_lines[-1].startswith("Not there yet: dag 'd': no such run in ")
    assert log_lines[-1].endswith("\nRun: theirs")
    assert len(log_lines[-1].splitlines()) == 2, "no hint"

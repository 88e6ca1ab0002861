"""What a wait says of a run that is not there, of several runs, and of tasks that end no wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.dates import parse_date
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import LOGICAL_DATE, NOW, context
from tests.unit.triggers.test_dag_run import event, trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def poke(**options: object) -> AstroDagRunSensor:
    waiting = AstroDagRunSensor(**{"task_id": "wait", "external_dag_id": "d", **options})  # type: ignore[arg-type]
    assert not waiting.poke(context())
    return waiting


def test_a_dag_that_is_not_there_is_named_with_similar_ones(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    any_airflow.dags = {"quick": False}
    poke(external_dag_id="quik", external_run_id="theirs")
    assert "not there yet" in log_lines[-1]
    assert "has no dag 'quik'" in log_lines[-1]
    assert "'quick'" in log_lines[-1]


def test_the_newest_run_is_named(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("another", "running")
    poke(external_run_id="theirs")
    assert "Its newest run is 'another'" in log_lines[-1]
    assert "(running)" in log_lines[-1]


def test_the_nearest_earlier_run_is_named(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    for name, hours in (("before", -1), ("long before", -9), ("after", 3)):
        any_airflow.has_run(name, "success", logical_date=(LOGICAL_DATE + timedelta(hours=hours)).isoformat())
    poke()
    assert "The nearest earlier run is 'before'" in log_lines[-1]


def test_a_dag_without_runs_is_said_to_have_none(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    poke(external_run_id="theirs")
    assert log_lines[-1].endswith("not there yet. The dag has no runs.")


@pytest.mark.parametrize("paused", [True, False])
def test_a_paused_dag_is_said_to_be_paused(any_airflow: FakeAirflowServer, log_lines: list[str], paused: bool) -> None:
    any_airflow.dags = {"d": paused}
    any_airflow.has_run("another", "queued")
    poke(external_run_id="theirs")
    assert ("not there yet. The dag is paused there. Its newest run is 'another'" in log_lines[-1]) is paused
    assert ("not there yet. Its newest run is 'another'" in log_lines[-1]) is not paused


@pytest.mark.parametrize("deferred", [False, True])
async def test_it_is_said_again_once_an_hour(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock, deferred: bool
) -> None:
    """Each time for two requests more than the check itself."""
    fake_airflow.dags = {"d": True}
    hours = 3
    if deferred:
        made = trigger(run_id="theirs", poke_interval=60, deadline=NOW.timestamp() + hours * 3600 - 1)
        assert (await event(made))["outcome"] == "timeout"
    else:
        waiting = poke(external_run_id="theirs")
        for _ in range(hours * 60 - 1):
            clock.sleep(60)
            assert not waiting.poke(context())
    assert len([line for line in log_lines if "The dag is paused there. The dag has no runs." in line]) == hours
    assert (
        len(
            [calls_received for calls_received in fake_airflow.calls_received if calls_received == "GET /api/v2/dags/d"]
        )
        == hours
    )
    if not deferred:
        assert len(fake_airflow.received) == hours * 60 + 2 * hours


def test_it_comes_at_the_first_check_that_is_answered(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.on(
        "GET", "dags/d/dagRuns/theirs", *[json_response({"detail": "down"}, 503)] * 3, fake_airflow.stored_response
    )
    waiting = poke(external_run_id="theirs")
    assert not waiting.poke(context())
    assert log_lines[-1].endswith("not there yet. The dag has no runs.")


def test_it_is_said_once_and_asked_once(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("another", "running")
    waiting = poke(external_run_id="theirs")
    calls_received = len(any_airflow.received)
    said = len(log_lines)
    for _ in range(5):
        assert not waiting.poke(context())
    assert len(any_airflow.received) == calls_received + 5
    assert len(log_lines) == said


def test_an_explanation_that_fails_ends_no_wait(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    fake_airflow.on("GET", "dags/d", json_response({"detail": "no"}, 403))
    poke(external_run_id="theirs")
    assert log_lines[-1].endswith("not there yet")


# Several runs.


def several(any_airflow: FakeAirflowServer, *states: str) -> list[str]:
    dates = [(LOGICAL_DATE + timedelta(hours=hour)).isoformat() for hour in range(24)]
    for date, state in zip(dates, states, strict=False):
        any_airflow.has_run(f"run-{parse_date(date).hour}", state, logical_date=date)
    return dates


def test_some_of_several_are_there(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    dates = several(any_airflow, *["success"] * 22)
    poke(execution_date_fn=lambda date: dates)
    assert "22 of 24 are success (22 of 24 runs are there; not there yet: " in log_lines[-1]
    assert log_lines[-1].endswith(f"{dates[22]} and {dates[23]})")
    assert log_lines[-1].count("2026-02-0") == 5 + 2  # not all 24


def test_the_one_that_failed_is_named_first(any_airflow: FakeAirflowServer) -> None:
    from astro_provider.api.errors import DagRunFailedError

    dates = several(any_airflow, *["success"] * 3, "failed", *["success"] * 20)
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d", execution_date_fn=lambda date: dates)
    with pytest.raises(DagRunFailedError, match="run 'run-9' is failed; 23 of 24 are success"):
        waiting.poke(context())


# Tasks of a run that is over.


@pytest.mark.parametrize("state", ["skipped", "removed"])
def test_a_task_that_ends_no_wait_once_its_run_is_over(any_airflow: FakeAirflowServer, state: str) -> None:
    from astro_provider.api.errors import DagRunFailedError

    any_airflow.has_run("theirs", "running", "success")
    any_airflow.has_task("load", state, run_id="theirs")
    waiting = AstroTaskSensor(task_id="wait", external_dag_id="d", external_run_id="theirs", external_task_id="load")
    assert not waiting.poke(context()), "its run goes on"
    with pytest.raises(DagRunFailedError, match=f"List '{state}' in allowed_states or skipped_states"):
        waiting.poke(context())


def test_a_state_that_changes_by_itself_is_waited_for(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success")
    any_airflow.has_task("load", "running", run_id="theirs")
    waiting = AstroTaskSensor(task_id="wait", external_dag_id="d", external_run_id="theirs", external_task_id="load")
    assert not waiting.poke(context())


# The newest run.


@pytest.mark.parametrize("lead", [-3600, 3600])
def test_the_newest_run_is_that_of_the_targets_clock(any_airflow: FakeAirflowServer, lead: float) -> None:
    from astro_provider.api import client
    from astro_provider.hooks.astro import AstroHook

    memory = client.client_of(AstroHook().deployment).memory
    memory.clock_lead = lead
    AstroDagRunSensor(task_id="wait", external_dag_id="d", latest=True).poke(context())
    calls_received = next(received for received in any_airflow.received if received.query.get("limit") == ["1"])
    (until,) = calls_received.query.get("run_after_lte") or calls_received.query["execution_date_lte"]
    now = datetime.now(timezone.utc)
    assert abs((parse_date(until) - now).total_seconds() - lead) < 2

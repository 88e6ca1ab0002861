"""Waiting for a run of a dag in the target: which run, and how a look ends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import DagRunFailedError, NotFoundError
from astro_provider.sensors.dag_run import AstroDagRunSensor
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import LOGICAL_DATE, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

OWN = "2026-02-01T06:00:00Z"
EARLIER = "2026-02-01T05:00:00Z"


def sensor(**options: Any) -> AstroDagRunSensor:
    return AstroDagRunSensor(**{"task_id": "wait", "external_dag_id": "d", **options})


# Which run.


def test_by_run_id(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "success", logical_date=EARLIER)
    any_airflow.has_run("another", "failed", logical_date=OWN)
    looking = sensor(external_run_id="theirs")
    assert [looking.poke(context()) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    "date", ["2026-02-01T05:00:00Z", "2026-02-01T06:00:00+01:00", "2026-02-01 05:00", datetime(2026, 2, 1, 5)]
)
def test_by_logical_date(any_airflow: FakeAirflowServer, date: Any) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER)
    any_airflow.has_run("another", "running", logical_date=OWN)
    assert sensor(logical_date=date).poke(context())


def test_by_this_tasks_own_logical_date(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("another", "running", logical_date=EARLIER)
    any_airflow.has_run("theirs", "success", logical_date=OWN)
    assert sensor().poke(context())


def test_by_a_logical_date_that_is_earlier(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER)
    any_airflow.has_run("another", "running", logical_date=OWN)
    assert sensor(execution_delta=timedelta(hours=1)).poke(context())
    assert not sensor(execution_delta=timedelta(hours=-1)).poke(context())


def test_by_a_function_of_the_logical_date(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER)
    assert sensor(execution_date_fn=lambda date: date - timedelta(hours=1)).poke(context())
    assert not sensor(execution_date_fn=lambda date: date).poke(context())


def test_by_a_function_of_the_context(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER)
    told: list[Any] = []

    def of(date: datetime, ds: str, ti: Any) -> str:
        told.extend((date, ds, ti.task_id))
        return f"{ds}T05:00:00Z"

    assert sensor(execution_date_fn=of).poke(context())
    assert told == [LOGICAL_DATE, "2026-02-01", "trigger"]


@pytest.mark.parametrize("kind", [list, tuple])
def test_by_a_function_that_names_several(any_airflow: FakeAirflowServer, kind: Any) -> None:
    looking = sensor(execution_date_fn=lambda date: kind([date - timedelta(hours=1), date]))
    assert not looking.poke(context())
    any_airflow.has_run("one", "success", logical_date=EARLIER)
    assert not looking.poke(context())
    any_airflow.has_run("two", "running", "success", logical_date=OWN)
    assert [looking.poke(context()) for _ in range(2)] == [False, True]


def test_one_of_several_that_fails_is_enough(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("one", "failed", logical_date=EARLIER)
    with pytest.raises(DagRunFailedError, match=r"Failed tasks|None of its tasks failed"):
        sensor(execution_date_fn=lambda date: [date - timedelta(hours=1), date]).poke(context())


def test_by_being_the_newest(any_airflow: FakeAirflowServer) -> None:
    field = "run_after" if any_airflow.api_version == "v2" else "logical_date"
    looking = sensor(latest=True)
    assert not looking.poke(context(logical_date=None))
    any_airflow.has_run("one", "success", **{field: EARLIER})
    any_airflow.has_run("two", "running", "success", **{field: OWN})
    any_airflow.has_run("to come", "queued", **{field: "2026-03-01T00:00:00Z"})
    assert not looking.poke(context(logical_date=None))
    assert looking.poke(context(logical_date=None))


def test_a_run_without_a_logical_date_has_none_to_wait_for(any_airflow: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="give external_run_id or logical_date, or choose latest=True"):
        sensor().poke(context(logical_date=None))
    assert any_airflow.received == []


def test_a_date_that_turns_out_to_be_none_fails_for_good(fake_airflow: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="logical_date: 'tomorrow' is no ISO 8601 date"):
        sensor(logical_date="tomorrow").poke(context())


# What is not there yet.


@pytest.mark.parametrize("way", [{"external_run_id": "theirs"}, {}, {"latest": True}])
def test_a_run_that_is_not_there_is_waited_for(
    any_airflow: FakeAirflowServer, way: dict[str, Any], log_lines: list[str]
) -> None:
    assert not sensor(**way).poke(context())
    assert any("not there yet" in line for line in log_lines)


@pytest.mark.parametrize("way", [{"external_run_id": "theirs"}, {}, {"latest": True}])
def test_a_dag_that_is_not_there_is_waited_for(any_airflow: FakeAirflowServer, way: dict[str, Any]) -> None:
    assert not sensor(external_dag_id="none", **way).poke(context())


def test_a_dag_that_has_to_be_there_fails_the_sensor(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {"sales_report": False}
    with pytest.raises(NotFoundError, match=r"has no dag 'sales_raport'.*'sales_report'"):
        sensor(external_dag_id="sales_raport", check_existence=True).poke(context())


def test_it_has_to_be_there_at_the_first_look_only(fake_airflow: FakeAirflowServer) -> None:
    looking = sensor(external_run_id="theirs", check_existence=True)
    assert [looking.poke(context()) for _ in range(3)] == [False] * 3
    assert (
        fake_airflow.calls_received.count("GET /api/v2/dags/d") == 2
    )  # whether it exists, and why the run may not be there
    assert fake_airflow.calls_received[-2:] == ["GET /api/v2/dags/d/dagRuns/theirs"] * 2


# How a look ends.


@pytest.mark.parametrize(
    ("options", "state", "error"),
    [
        ({}, "failed", DagRunFailedError),
        ({"failed_states": ["queued"]}, "queued", DagRunFailedError),
        ({"skipped_states": ["queued"]}, "queued", AirflowSkipException),
        ({"skipped_states": ["failed"], "failed_states": []}, "failed", AirflowSkipException),
    ],
)
def test_a_state_ends_the_wait_badly(
    any_airflow: FakeAirflowServer, options: dict[str, Any], state: str, error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", state)
    with pytest.raises(error, match=f"run 'theirs' of dag 'd' in Deployment .*: {state}"):
        sensor(external_run_id="theirs", **options).poke(context())


def test_a_state_that_is_allowed_ends_the_wait_well(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    assert sensor(external_run_id="theirs", allowed_states=["failed"]).poke(context())


def test_the_failure_names_tasks_errors_and_link(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    with pytest.raises(DagRunFailedError, match=r"extract \(try 1\): ValueError: no rows\nSee http://.*theirs"):
        sensor(external_run_id="theirs").poke(context())


def test_the_state_is_logged_when_it_changes_and_only_then(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "queued", "queued", "running", "running", "success")
    sensor(external_run_id="theirs").execute(context())
    told = [line.rpartition(": ")[2] for line in log_lines if line.startswith("run 'theirs'")]
    assert told == ["queued", "running", "success"]


def test_the_link_is_pushed_when_the_run_is_seen(any_airflow: FakeAirflowServer) -> None:
    ti = TaskInstance()
    looking = sensor(external_run_id="theirs")
    looking.poke(context(ti))
    assert ti.xcoms == {}
    any_airflow.has_run("theirs", "running")
    looking.poke(context(ti))
    end = "runs/theirs" if any_airflow.api_version == "v2" else "grid?dag_run_id=theirs"
    assert ti.xcoms == {"remote_dag_run_url": f"{any_airflow.url}/dags/d/{end}"}


# Trouble of the target.


def test_trouble_is_survived_once_it_has_worked(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.has_run("theirs", "running", "success")
    down = json_response({"detail": "down"}, 503)
    fake_airflow.on(
        "GET", "dags/d/dagRuns/theirs", fake_airflow.stored_response, *[down] * 6, fake_airflow.stored_response
    )
    sensor(external_run_id="theirs", poke_interval=60).execute(context())
    assert clock.sleeps.count(60) == 3
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1


def test_being_refused_fails_for_good(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "dags/d/dagRuns/theirs", json_response({"detail": "no"}, 403))
    with pytest.raises(AirflowFailException, match="expired, or of another Workspace or Deployment") as caught:
        sensor(external_run_id="theirs").execute(context())
    assert TOKEN not in str(caught.value)


def test_connections_to_the_target_are_used_again_and_closed(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "running", "running", "success")
    looking = sensor(external_run_id="theirs")
    looking.execute(context())
    assert (len(fake_airflow.received), fake_airflow.connections) == (3, 1)
    looking.poke(context())
    assert fake_airflow.connections == 2


def test_the_order_of_time_zones_does_not_matter(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=OWN)
    local = LOGICAL_DATE.astimezone(timezone(timedelta(hours=9)))
    assert sensor().poke(context(logical_date=local))

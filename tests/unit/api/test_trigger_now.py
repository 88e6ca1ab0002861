"""Runs whose logical date is the current time: what is sent, and runs that have the same time by chance."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.dates import NOW
from astro_provider.api.errors import ConflictError
from astro_provider.api.trigger_now import MAX_NOW_REQUESTS
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

RUNS = "dags/d/dagRuns"


def time_at(airflow: FakeAirflow, seconds: float = 0.0) -> str:
    """Return a time by the clock of the client, relative to now."""
    return datetime.fromtimestamp(airflow.clock.now + seconds, timezone.utc).isoformat()


def trigger(airflow: FakeAirflow, **fields: Any) -> Any:
    client = airflow.client(api_version=airflow.api_version)
    return airflow.run(client.trigger_dag_run("d", **fields))


@pytest.mark.parametrize("given", [{}, {"logical_date": NOW}, {"logical_date": " now\n"}], ids=str)
@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_logical_date_is_the_current_time_by_default(api_version: str, given: dict[str, Any]) -> None:
    airflow = FakeAirflow(api_version)
    trigger(airflow, run_id="r", **given)
    sent = {"logical_date": time_at(airflow)} if api_version == "v2" else {}  # v1 takes its own time
    assert airflow.trigger_bodies() == [{"dag_run_id": "r", **sent}]
    assert airflow.runs["r"]["logical_date" if api_version == "v2" else "execution_date"]


@pytest.mark.parametrize("given", [{}, {"logical_date": NOW}], ids=str)
def test_run_with_run_after_has_no_logical_date(given: dict[str, Any]) -> None:
    airflow = FakeAirflow("v2")
    trigger(airflow, run_after="2026-02-01T00:00:00Z", **given)
    assert airflow.trigger_bodies() == [{"logical_date": None, "run_after": "2026-02-01T00:00:00+00:00"}]


@pytest.mark.parametrize(
    ("lead", "expected"), [(0, 0), (-0.4, 0), (-1.4, 0), (-2, -2), (-300, -300), (0.5, 0.5), (300, 300)]
)
def test_time_is_that_of_the_target(lead: float, expected: float) -> None:
    """The lead is measured in whole seconds and up to a second too low, so that a small negative one can be zero."""
    airflow = FakeAirflow("v2")
    client = airflow.client(api_version="v2")
    client.memory.clock_lead = lead
    airflow.run(client.trigger_dag_run("d", run_id="r"))
    assert airflow.trigger_bodies()[0]["logical_date"] == time_at(airflow, expected)


def create_first(airflow: FakeAirflow, times: int) -> None:
    """Let another client create a run with the same logical date just before each of the first requests."""

    def handle(received: ReceivedRequest) -> ScriptedResponse:
        if len(airflow.trigger_bodies()) <= times:
            airflow.has_run(f"theirs{len(airflow.runs)}", "running", logical_date=received.json["logical_date"])
        return airflow.stored_response(received)

    airflow.on("POST", RUNS, handle)


@pytest.mark.parametrize("times", [1, MAX_NOW_REQUESTS - 1])
@pytest.mark.parametrize("run_id", [None, "mine"])
def test_another_time_is_sent_if_a_run_has_the_same(run_id: str | None, times: int) -> None:
    airflow = FakeAirflow("v2")
    create_first(airflow, times)
    run = trigger(airflow, run_id=run_id)
    dates = [body["logical_date"] for body in airflow.trigger_bodies()]
    assert (len(set(dates)), run["logical_date"]) == (times + 1, dates[-1])
    assert len(airflow.runs) == times + 1
    assert time_at(airflow, -0.001 * times) <= min(dates) <= max(dates) == time_at(airflow)


def test_many_triggers_at_the_same_time_never_clash() -> None:
    """As the instances of a mapped task, on a machine whose clock stands still."""
    airflow = FakeAirflow("v2")
    for number in range(100):
        trigger(airflow, run_id=f"r{number}")
    assert len({run["logical_date"] for run in airflow.runs.values()}) == 100


def test_number_of_requests_is_limited() -> None:
    airflow = FakeAirflow("v2")
    airflow.on("POST", RUNS, json_response(airflow.payloads.error(409, "Unique constraint violation"), 409))
    with pytest.raises(ConflictError) as caught:
        trigger(airflow, run_id="mine")
    assert caught.value.existing is None
    assert len(airflow.trigger_bodies()) == MAX_NOW_REQUESTS


@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_run_with_the_same_run_id_is_a_conflict(api_version: str) -> None:
    airflow = FakeAirflow(api_version)
    airflow.has_run("mine", "running")
    with pytest.raises(ConflictError) as caught:
        trigger(airflow, run_id="mine")
    assert caught.value.existing is not None
    assert caught.value.existing["dag_run_id"] == "mine"
    assert len(airflow.received) == 2


@pytest.mark.parametrize("given", [{"logical_date": "2026-01-31T06:00:00Z"}, {"logical_date": None}], ids=str)
def test_no_other_date_replaces_that_of_the_user(given: dict[str, Any]) -> None:
    airflow = FakeAirflow("v2")
    airflow.on("POST", RUNS, json_response(airflow.payloads.error(409, "Unique constraint violation"), 409))
    with pytest.raises(ConflictError):
        trigger(airflow, **given)
    assert len(airflow.received) == 1

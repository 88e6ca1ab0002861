"""Which runs a wait is for, as the target lists them, and what one check makes of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from astro_provider.api.errors import RequestNotPossible
from astro_provider.waits.check import Check
from astro_provider.waits.find_runs import due_date, find_runs
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from astro_provider.waits.wait import Verdict

END_STATES = EndStates(["success"], ["failed"])
RANGE = ("2026-01-31T00:00:00+00:00", "2026-02-01T00:00:00+00:00")


@pytest.fixture(params=["v1", "v2"])
def airflow(request: pytest.FixtureRequest) -> FakeAirflow:
    return FakeAirflow(request.param)


def found(target: FakeAirflow, **fields: Any) -> list[str]:
    client = target.client(api_version=target.api_version)
    return [run["dag_run_id"] for run in target.run(find_runs(client, RunWait("d", END_STATES, **fields)))]


def check(target: FakeAirflow, **fields: Any) -> Verdict:
    client = target.client(api_version=target.api_version)
    return target.run(Check(client, RunWait("d", END_STATES, **fields)).run())


def has_hourly_runs(target: FakeAirflow, *states: str) -> None:
    for hour, state in enumerate(states):
        target.has_run(f"r{hour}", state, logical_date=f"2026-01-31T{hour:02}:00:00+00:00")


def test_end_of_a_range_is_not_part_of_it(airflow: FakeAirflow) -> None:
    for run_id, date in (
        ("before", "2026-01-30T23:59:59+00:00"),
        ("first", RANGE[0]),
        ("last", "2026-01-31T23:59:59.999999+00:00"),
        ("end", RANGE[1]),
    ):
        airflow.has_run(run_id, "success", logical_date=date)
    assert found(airflow, logical_date_range=RANGE) == ["first", "last"]


def test_range_needs_one_list_request_for_each_page(airflow: FakeAirflow) -> None:
    for minute in range(150):
        airflow.has_run(f"r{minute}", "success", logical_date=f"2026-01-31T{minute // 60:02}:{minute % 60:02}:00+00:00")
    assert check(airflow, logical_date_range=RANGE, expected_runs=150).outcome == "success"
    assert len(airflow.received) == 2


@pytest.mark.parametrize(
    ("states", "outcome", "message"),
    [
        (["success"] * 2, "pending", "2 of 3 are success (at least 3 expected, 2 there)"),
        (["success"] * 3, "success", "3 of 3 are success (at least 3 expected, 3 there)"),
        (["success"] * 3 + ["running"], "pending", "run 'r3' is running; 3 of 4 are success"),
        (["failed", "running"], "failed", "run 'r0' is failed; 0 of 3 are success (at least 3 expected, 2 there)"),
    ],
)
def test_all_runs_in_a_range_must_succeed(airflow: FakeAirflow, states: list[str], outcome: str, message: str) -> None:
    has_hourly_runs(airflow, *states)
    verdict = check(airflow, logical_date_range=RANGE, expected_runs=3)
    assert (verdict.outcome, message in verdict.message) == (outcome, True), verdict.message
    assert "dag 'd'" in verdict.message[:60]


def test_tasks_of_all_runs_in_a_range_are_waited_for(airflow: FakeAirflow) -> None:
    has_hourly_runs(airflow, "running", "running")
    airflow.has_task("t", "success", run_id="r0")
    fields: dict[str, Any] = {"logical_date_range": RANGE, "expected_runs": 2, "task_ids": ["t"]}
    assert check(airflow, **fields).outcome == "pending"
    airflow.has_task("t", "success", run_id="r1")
    assert check(airflow, **fields).outcome == "success"
    assert check(airflow, **{**fields, "expected_runs": 3}).outcome == "pending"


def test_empty_range_is_waited_for(airflow: FakeAirflow) -> None:
    verdict = check(airflow, logical_date_range=RANGE)
    assert (verdict.outcome, verdict.message[:24]) == ("pending", "Not there yet: dag 'd': ")


@time_machine.travel(datetime(2026, 2, 1, 12, tzinfo=timezone.utc), tick=False)
def test_newest_run_counts_only_if_it_is_due_since_a_date() -> None:
    airflow = FakeAirflow("v2")
    airflow.has_run("yesterday", "success", run_after="2026-01-31T06:00:00+00:00")
    airflow.has_run("tomorrow", "success", run_after="2026-02-02T06:00:00+00:00")
    assert found(airflow, latest=True) == ["yesterday"]
    assert found(airflow, latest=True, since="2026-02-01T00:00:00+00:00") == []
    airflow.has_run("today", "running", run_after="2026-02-01T06:00:00+00:00")
    assert found(airflow, latest=True, since="2026-02-01T06:00:00+00:00") == ["today"]


@time_machine.travel(datetime(2026, 2, 1, 12, tzinfo=timezone.utc), tick=False)
def test_scheduled_run_of_airflow_2_is_due_at_the_end_of_its_interval() -> None:
    airflow = FakeAirflow("v1")
    airflow.has_run(
        "scheduled",
        "success",
        logical_date="2026-01-31T06:00:00+00:00",
        data_interval_end="2026-02-01T06:00:00+00:00",
    )
    airflow.has_run(
        "manual",
        "success",
        logical_date="2026-01-31T20:00:00+00:00",
        data_interval_end="2026-01-31T06:00:00+00:00",
    )
    assert found(airflow, latest=True, since="2026-02-01T06:00:00+00:00") == ["scheduled"]
    assert found(airflow, latest=True, since="2026-02-01T06:00:01+00:00") == []


def test_partition_is_compared_exactly_and_its_newest_run_counts() -> None:
    airflow = FakeAirflow("v2")
    for run_id, key, hour in (("old", "eu", 1), ("new", "eu", 2), ("longer", "eu-west", 3), ("upper", "EU", 4)):
        airflow.has_run(run_id, "success", partition_key=key, run_after=f"2026-01-31T0{hour}:00:00+00:00")
    assert found(airflow, partition_key="eu") == ["new"]
    assert airflow.received[-1].query["partition_key_pattern"] == ["eu"]
    assert found(airflow, partition_key="e") == []


@pytest.mark.parametrize(("api_version", "version"), [("v1", "2.11.2"), ("v2", "3.1.8")])
def test_partition_in_an_early_airflow_is_an_error(api_version: str, version: str) -> None:
    airflow = FakeAirflow(api_version)
    airflow.has_run("r", "success")
    airflow.on("GET", "version", json_response({"version": version, "git_version": None}))
    with pytest.raises(RequestNotPossible, match="partition_key needs Airflow 3"):
        check(airflow, partition_key="eu")


def test_run_without_dates_is_due_at_no_time() -> None:
    run: Any = {"run_after": None, "data_interval_end": None, "logical_date": None}
    assert due_date(run) is None

"""Waits for the runs in ranges of logical dates, which share polls and batches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import AccessDeniedError
from astro_provider.triggers.watcher.periodic_check_rate import ROUND_SECONDS
from astro_provider.waits.hints import HINT_INTERVAL_SECONDS
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock
    from tests.unit.triggers.watcher.watched_airflow import Waiting, Waits, WatchedAirflow


def day(number: int = 0) -> tuple[str, str]:
    """Return the range of the day that many days ago."""
    start = NOW - timedelta(days=number)
    return start.isoformat(), (start + timedelta(days=1)).isoformat()


def has_run(target: WatchedAirflow, run_id: str, state: str, number: int = 0, hour: int = 0) -> None:
    """Store a run with a logical date of the day that many days ago."""
    date = (NOW - timedelta(days=number) + timedelta(hours=hour)).isoformat()
    end_date = target.now() if state in ("success", "failed") else None
    after = {} if target.api_version == "v1" else {"run_after": date}
    target.has_run(run_id, state, logical_date=date, end_date=end_date, **after)


def waiting_for_days(waits: Waits, number: int, expected_runs: int = 1) -> list[Waiting]:
    return [waits(None, logical_date_range=day(each), expected_runs=expected_runs) for each in range(number)]


def outcomes(waiting: list[Waiting]) -> dict[int, str | None]:
    return {index: each.outcome for index, each in enumerate(waiting) if each.outcome}


async def test_thousand_waits_for_ranges_cost_at_most_three_requests_per_interval(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for number in range(1000):
        has_run(target, f"run-{number}", "running", number)
    waiting = waiting_for_days(waits, 1000, expected_runs=2)
    await clock.sleep_async(1 + 4 * INTERVAL)
    assert all("0 of 2 are success" in each.changes[-1] for each in waiting)
    target.reset_counts()
    for _ in range(12):
        before = len(target.received)
        await clock.sleep_async(INTERVAL)
        assert len(target.received) - before <= 3
    assert len(target.received) <= 12 * 1.25 + 1
    assert all(received.path == target.api(RUNS) for received in target.received)


async def test_waits_for_ranges_that_join_together_are_answered_by_lists(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for number in range(200):
        has_run(any_airflow, f"run-{number}", "running", number)
    waiting = waiting_for_days(waits, 200)
    await clock.sleep_async(3)
    assert all(each.changes for each in waiting)
    assert len(any_airflow.received) < 12


async def test_each_wait_for_a_range_without_runs_is_told_why_once_an_hour(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("of-another-dag", "running")
    waiting = [waits(None, dag_id="missing", logical_date_range=day(each)) for each in range(8)]
    await clock.sleep_async(ROUND_SECONDS)
    assert [sum("has no dag 'missing'" in hint for hint in each.hints) for each in waiting] == [1] * 8
    any_airflow.reset_counts()
    await clock.sleep_async(HINT_INTERVAL_SECONDS - 2 * ROUND_SECONDS)
    assert {received.method for received in any_airflow.received} == {"POST"}  # lists
    await clock.sleep_async(2 * ROUND_SECONDS)
    assert [sum("has no dag 'missing'" in hint for hint in each.hints) for each in waiting] == [2] * 8


async def test_range_of_a_dag_that_may_not_be_read_fails_its_wait(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    refusal = json_response(any_airflow.payloads.error(403, "Forbidden"), 403)
    any_airflow.on("GET", "dags/secret/dagRuns", refusal)
    waiting = [waits(None, dag_id="secret", logical_date_range=day(each)) for each in range(8)]
    await clock.sleep_async(MAX_REFUSED_AT_FIRST_SECONDS + 4 * INTERVAL)
    assert all(isinstance(each.task.exception(), AccessDeniedError) for each in waiting)


@pytest.mark.parametrize("number", [1, 50])
async def test_last_run_of_a_range_wakes_its_wait_at_the_next_poll(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, number: int
) -> None:
    for each in range(number):
        has_run(any_airflow, f"run-{each}", "success", each)
        has_run(any_airflow, f"late-{each}", "running", each, hour=23)
    waiting = waiting_for_days(waits, number, expected_runs=2)
    await clock.sleep_async(1 + 4 * INTERVAL)
    assert outcomes(waiting) == {}
    any_airflow.end_run(f"late-{number - 1}")
    await clock.sleep_async(2 * INTERVAL)
    assert outcomes(waiting) == {number - 1: "success"}


async def test_run_that_is_added_later_and_one_that_fails_are_noticed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waiting_for_days(waits, 10)
    await clock.sleep_async(1 + 4 * INTERVAL)
    has_run(any_airflow, "added", "success", 3)
    has_run(any_airflow, "broken", "failed", 7)
    await clock.sleep_async(2 * INTERVAL)
    assert outcomes(waiting) == {3: "success", 7: "failed"}


async def test_run_that_is_deleted_or_that_polls_have_missed_is_found_by_a_batch(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for each in range(20):
        has_run(any_airflow, f"run-{each}", "success", each)
        has_run(any_airflow, f"other-{each}", "running", each, hour=1)
    waiting = waiting_for_days(waits, 20)
    await clock.sleep_async(1 + 4 * INTERVAL)
    any_airflow.delete_run("other-4")
    any_airflow.end_run("other-9")
    any_airflow.runs["other-9"]["end_date"] = "2026-01-01T00:00:00+00:00"  # no poll lists it
    await clock.sleep_async(20 * INTERVAL)
    assert outcomes(waiting) == {4: "success", 9: "success"}


async def test_run_that_is_cleared_and_finishes_again_is_waited_for(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for each in range(5):
        has_run(any_airflow, f"run-{each}", "success", each)
        has_run(any_airflow, f"other-{each}", "running", each, hour=1)
    waiting = waiting_for_days(waits, 5)
    await clock.sleep_async(1 + 4 * INTERVAL)
    has_run(any_airflow, "run-2", "running", 2)
    any_airflow.end_run("other-2")
    await clock.sleep_async(8 * INTERVAL)
    assert outcomes(waiting) == {}
    any_airflow.end_run("run-2", "failed")
    await clock.sleep_async(2 * INTERVAL)
    assert outcomes(waiting) == {2: "failed"}


async def test_range_with_too_many_runs_for_a_list_is_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astro_provider.api.poll_lists.MAX_ROWS_IN_RANGE", 10)
    for each in range(20):
        has_run(any_airflow, f"run-{each}", "running", 0, hour=each)
    waiting = [waits(None, logical_date_range=day()) for _ in range(6)]
    await clock.sleep_async(1 + 4 * INTERVAL)
    assert all("0 of 20 are success" in each.changes[-1] for each in waiting)
    for each in range(20):
        any_airflow.end_run(f"run-{each}")
        any_airflow.runs[f"run-{each}"]["end_date"] = "2026-01-01T00:00:00+00:00"  # no poll lists it
    await clock.sleep_async(ROUND_SECONDS)
    assert [each.outcome for each in waiting] == ["success"] * 6


async def test_partition_and_newest_run_since_a_date_are_woken_by_their_run(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = [
        waits(None, partition_key="eu"),
        waits(None, latest=True, since=NOW.isoformat()),
        waits(None, partition_key="eu-west"),
    ]
    yesterday = (NOW - timedelta(days=1)).isoformat()
    target.has_run("yesterday", "success", run_after=yesterday)
    await clock.sleep_async(1 + 4 * INTERVAL)
    assert outcomes(waiting) == {}
    target.has_run("eu", "success", partition_key="eu", end_date=target.now(), run_after=yesterday)
    target.has_run("today", "success", end_date=target.now(), run_after=NOW.isoformat())
    await clock.sleep_async(2 * INTERVAL)
    assert outcomes(waiting) == {0: "success", 1: "success"}

"""Checks of single waits: their queue, their deadlines and outages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.triggers.watcher.checker import MAX_CHECKS_AT_ONCE, MAX_SECONDS_PAST_DEADLINE
from astro_provider.triggers.watcher.periodic_check_rate import POLLS_PER_CHECK
from tests.unit.task_runner import NOW
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


async def test_deadline_ends_waits_whose_checks_are_queued_or_hang(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging_paths = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, must_exist=True, deadline=NOW.timestamp() + 120) for name in names]
    await clock.sleep_async(119)
    assert {each.outcome for each in waiting} == {None}
    await clock.sleep_async(1 + MAX_SECONDS_PAST_DEADLINE + 0.1)
    assert {each.outcome for each in waiting} == {"pending"}


async def test_wait_that_begins_past_its_deadline_is_checked_once(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "success")
    waiting = waits(must_exist=True, deadline=NOW.timestamp() - 60)
    await clock.sleep_async(0.1)
    assert waiting.outcome == "success"


async def test_queued_checks_are_postponed_when_an_outage_begins(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging_paths = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, must_exist=True) for name in names]
    await clock.sleep_async(10 * READ_TIMEOUT)
    checked = {url for url in target.unanswered_urls if not url.endswith(RUNS)}
    assert len(checked) <= MAX_CHECKS_AT_ONCE + 10
    assert [len(each.warnings) for each in waiting] == [1] * 100
    target.hanging_paths.clear()
    for name in names:
        target.end_run(name)
    await clock.sleep_async(READ_TIMEOUT + 2 * POLLS_PER_CHECK * INTERVAL)
    assert {each.outcome for each in waiting} == {"success"}


async def test_finished_run_ends_the_wait_at_once(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "success")
    waiting = waits()
    await waiting.task
    assert (waiting.outcome, clock.sleeps, target.list_count()) == ("success", [], 0)

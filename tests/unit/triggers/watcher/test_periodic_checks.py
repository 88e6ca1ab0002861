"""Which waits are checked although no list has shown a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.checker import MAX_CHECKS_AT_ONCE
from astro_provider.triggers.watcher.periodic_check_rate import MIN_CHECKS_WITHOUT_LISTS, POLLS_PER_CHECK, ROUND_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


async def test_periodic_checks_cover_every_wait(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    names = [f"run-{each}" for each in range(10)]
    for name in names:
        waits(name)  # the runs do not exist, so no list can check them
    await clock.sleep_async(1)
    target.reset_counts()
    await clock.sleep_async(10 * POLLS_PER_CHECK * INTERVAL)
    assert [target.check_count(name) for name in names] == [1] * 10


async def test_failed_check_is_repeated_after_each_successful_poll(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in [f"run-{each}" for each in range(100)]:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    # No list shows this run.
    target.has_run("theirs", "success")
    target.on("GET", "dags/d/dagRuns/theirs", json_response({}, 500))
    waiting = waits(must_exist=True)
    await clock.sleep_async(10 * INTERVAL)
    assert (target.check_count("theirs"), waiting.outcome) == (11, None)
    target._scripts.clear()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, len(waiting.warnings)) == ("success", 1)


@pytest.mark.parametrize("hanging", [False, True], ids=["500", "no answer"])
async def test_many_waits_are_checked_per_poll_while_only_lists_fail(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: bool
) -> None:
    names = [f"run-{each}" for each in range(200)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    if hanging:
        target.hanging_paths = {RUNS}
    else:
        target.on("POST", RUNS, json_response({}, 500))
    await clock.sleep_async(2 * READ_TIMEOUT)  # until a list has failed, and a check has succeeded
    for name in names:
        target.end_run(name)
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert target.check_count() == 10 * MAX_CHECKS_AT_ONCE
    await clock.sleep_async(10 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 200
    assert hanging or target.list_count() == 20 / POLLS_PER_CHECK  # lists are still tried


async def test_many_waits_are_checked_within_a_round_while_lists_fail(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{number}" for number in range(3000)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    target.on("POST", RUNS, json_response({}, 500))
    await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    for name in names:
        target.end_run(name)
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    per_poll = max(MIN_CHECKS_WITHOUT_LISTS, len(names) * INTERVAL / ROUND_SECONDS)
    assert 9 * per_poll <= target.check_count() <= 10 * per_poll
    await clock.sleep_async(ROUND_SECONDS)
    assert {each.outcome for each in waiting} == {"success"}

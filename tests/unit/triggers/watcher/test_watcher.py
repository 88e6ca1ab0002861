"""One poll for all waits: how many requests it costs, and which waits it wakes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.triggers.watcher.feed import OVERLAP_SECONDS
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.triggers.watcher.watcher import MAX_REQUESTS_AT_ONCE
from astro_provider.waits.wait import EndStates
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, TASKS, Waits, WatchedAirflow

# How many requests a poll costs.


@pytest.mark.parametrize(("number", "periodic_checks"), [(1, 10), (3, 10), (4, 5), (100, 5), (1000, 5)])
async def test_poll_sends_one_list_per_interval_for_any_number_of_waits(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, number: int, periodic_checks: int
) -> None:
    for name in any_airflow.has_runs(number):
        waits(name)
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    await clock.sleep_async(20 * INTERVAL)
    assert (any_airflow.list_count(), any_airflow.list_count(TASKS)) == (20, 0)
    assert (any_airflow.check_count(), any_airflow.batch_count()) == (
        (periodic_checks, 0) if number < 4 else (0, periodic_checks)
    )
    assert len(any_airflow.received) == 20 + periodic_checks
    assert any_airflow.max_open_sessions == 1


# Which waits a poll wakes.


async def test_finished_run_wakes_only_its_waits(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for name in ("one", "two", "three"):
        any_airflow.has_run(name, "running", end_date=None)
    one, two, also_one = waits("one"), waits("two"), waits("one")
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    any_airflow.end_run("one")
    any_airflow.end_run("three")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (one, two, also_one)] == ["success", None, "success"]
    assert (any_airflow.list_count(), any_airflow.check_count("one"), any_airflow.check_count()) == (1, 2, 2)


async def test_finished_run_wakes_no_wait_for_the_same_run_id_in_another_dag(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.dags["other"] = False
    for dag_id in ("d", "other"):
        target.has_run("theirs", "running", dag_id=dag_id, end_date=None)
    here, there = waits(), waits(dag_id="other")
    await clock.sleep_async(1)
    target.reset_counts()
    target.end_run("theirs", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome, target.check_count()) == (None, "success", 0)


async def test_finished_task_wakes_only_its_waits(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    for name in ("load", "check", "group.load"):
        any_airflow.has_task(name, "running", run_id="theirs", end_date=None)
    load, check = waits(task_ids=["load"]), waits(task_ids=["check"])
    run = waits()
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    any_airflow.end_task("load", run_id="theirs")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (load, check, run)] == ["success", None, None]
    assert (any_airflow.list_count(), any_airflow.list_count(TASKS), any_airflow.check_count()) == (1, 1, 1)


async def test_finished_task_of_a_group_wakes_waits_for_the_group(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    any_airflow.has_task("group.load", "running", run_id="theirs", end_date=None)
    any_airflow.groups = {"group": ["group.load"]}
    group = waits(group_id="group")
    await clock.sleep_async(1)
    any_airflow.end_task("group.load", "failed", run_id="theirs")
    await clock.sleep_async(INTERVAL)
    assert group.outcome == "failed"


async def test_finished_run_wakes_waits_for_its_logical_date(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    dates = ["2026-01-31T06:00:00+00:00", "2026-01-31T07:00:00+00:00", "2026-01-31T08:00:00+00:00"]
    for name, date in zip(("one", "two", "three"), dates, strict=True):
        any_airflow.has_run(name, "running", logical_date=date, end_date=None)
    both, third = waits(None, logical_dates=dates[:2]), waits(None, logical_dates=dates[2:])
    await clock.sleep_async(1)
    any_airflow.end_run("one")
    await clock.sleep_async(INTERVAL)
    assert both.outcome is None
    any_airflow.end_run("two")
    any_airflow.reset_counts()
    await clock.sleep_async(INTERVAL - 1)
    assert (both.outcome, third.outcome) == ("success", None)


async def test_any_finished_run_wakes_waits_for_the_newest_run(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("old", "running", end_date=None, run_after="2026-01-01T00:00:00Z")
    latest = waits(None, latest=True)
    await clock.sleep_async(1)
    any_airflow.has_run(
        "new", "running", end_date=None, run_after="2026-02-01T00:00:00Z", logical_date="2026-02-01T00:00:00Z"
    )
    any_airflow.end_run("new")
    await clock.sleep_async(INTERVAL)
    assert latest.outcome == "success"
    run = latest.task.result().run
    assert run
    assert run["dag_run_id"] == "new"


async def test_run_created_after_the_wait_began_wakes_it(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waits()
    await clock.sleep_async(1)
    any_airflow.has_run("theirs", "running", end_date=None)
    any_airflow.end_run("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "failed"


async def test_row_listed_twice_wakes_its_wait_once(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    others = [f"run-{each}" for each in range(9)]
    target.has_run("theirs", "running", end_date=None)
    # The periodic checks are of the other waits, whose runs do not exist. The failed run ends no wait.
    for name in (*others, "theirs"):
        waits(name, end_states=EndStates(("success",)))
    await clock.sleep_async(1)
    target.reset_counts()
    target.end_run("theirs", "failed")
    await clock.sleep_async(OVERLAP_SECONDS)
    assert (target.list_count(), target.check_count("theirs")) == (OVERLAP_SECONDS / INTERVAL, 1)


async def test_run_that_is_cleared_and_finishes_again_wakes_its_wait_again(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    others = [f"run-{each}" for each in range(9)]
    any_airflow.has_run("theirs", "running", end_date=None)
    # The periodic checks are of the other waits, whose runs do not exist.
    for name in (*others, "theirs"):
        waiting = waits(name, end_states=EndStates(("success",)))
    await clock.sleep_async(1)
    any_airflow.end_run("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    any_airflow.has_run("theirs", "queued", end_date=None)
    await clock.sleep_async(INTERVAL)
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert [each.partition(": ")[0] for each in waiting.changes] == ["Running", "Waiting"]
    assert "\n  State: failed\n" in waiting.changes[-1]
    assert waiting.outcome == "success"


async def test_row_committed_after_its_end_date_is_found(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.end_run("theirs")
    target.runs["theirs"]["end_date"] = (NOW + timedelta(seconds=1)).isoformat()
    target.reset_counts()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, target.list_count()) == ("success", 1)


async def test_finished_runs_on_later_pages_are_found(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.page_limit = 2
    names = [f"run-{each}" for each in range(5)]
    for name in names:
        any_airflow.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    for name in names:
        any_airflow.end_run(name)
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 5
    assert any_airflow.list_count() == 3


async def test_requests_of_other_flows_are_limited(target: WatchedAirflow) -> None:
    under_way, maximum = 0, 0

    async with shared_watcher("http_conn") as watcher:
        _, carrier = await watcher._target._hook._open()
        send = carrier.send

        async def count(request: Any) -> Any:
            nonlocal under_way, maximum
            under_way += 1
            maximum = max(maximum, under_way)
            try:
                return await send(request)
            finally:
                under_way -= 1

        carrier.send = count  # type: ignore[method-assign]
        target.dags["d"] = False
        dags = await asyncio.gather(*(watcher.run(lambda client: client.get_dag("d")) for _ in range(50)))
    assert len(dags) == 50
    assert maximum == MAX_REQUESTS_AT_ONCE

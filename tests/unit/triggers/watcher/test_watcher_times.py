"""When waits are checked, and when they give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.batches import POLLS_PER_BATCH
from astro_provider.waits.wait import EndStates
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, Waits, WatchedAirflow


@pytest.mark.parametrize("others", [0.5, 60.0])
async def test_wait_ends_within_its_own_interval(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, others: float
) -> None:
    for name in ("slow", "theirs"):
        target.has_run(name, "running", end_date=None)
    waits("slow", poke_interval=others)
    waiting = waits(poke_interval=7)
    await clock.sleep_async(100)
    target.end_run("theirs")
    await clock.sleep_async(7.1)
    assert waiting.outcome == "success"


async def test_end_of_a_short_run_is_found_within_a_second(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("old", "theirs"):
        any_airflow.has_run(name, "running", end_date=None)
    waits("old", poke_interval=60)
    await clock.sleep_async(30)
    waiting = waits(poke_interval=60, started_at=None)
    for _ in range(5):
        await clock.sleep_async(1)
        assert waiting.outcome is None
    any_airflow.end_run("theirs")
    await clock.sleep_async(1)
    assert waiting.outcome == "success"


async def test_wait_is_polled_every_second_at_first_and_then_once_per_tenth_of_its_age(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    waits(poke_interval=60, started_at=None)
    counts = []
    for seconds in (10, 90, 500, 600):
        any_airflow.reset_counts()
        await clock.sleep_async(seconds)
        counts.append(any_airflow.list_count())
    assert counts[0] == 9 or counts[0] == 10
    assert 20 <= counts[1] <= 25  # ln(100 / 10) / ln(1.1)
    assert 15 <= counts[2] <= 20
    assert 9 <= counts[3] <= 10


async def test_wait_that_a_restarted_triggerer_begins_again_keeps_its_interval(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    waits(poke_interval=60, started_at=NOW.timestamp() - 300)
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    await clock.sleep_async(100)
    assert any_airflow.list_count() == 3  # after 30, 63 and 99 seconds


async def test_young_wait_for_an_unfinished_state_is_checked_every_second(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(poke_interval=60, started_at=None, end_states=EndStates(("running",)))
    await clock.sleep_async(5.5)
    any_airflow.end_run("theirs", "running")
    await clock.sleep_async(1)
    assert waiting.outcome == "success"


async def test_young_waits_make_no_more_periodic_checks_than_old_ones(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in any_airflow.has_runs(50):
        waits(name)
    await clock.sleep_async(4 * INTERVAL)
    any_airflow.reset_counts()
    for each in range(10):  # one of them is always young
        any_airflow.has_run(f"young-{each}", "running", end_date=None)
        waits(f"young-{each}", started_at=None)
        await clock.sleep_async(2 * INTERVAL)
    assert any_airflow.list_count() >= 95
    assert any_airflow.batch_count() == 100 / INTERVAL / POLLS_PER_BATCH


async def test_wait_gives_up_at_its_deadline(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits(deadline=NOW.timestamp() + 33)
    late = waits(poke_interval=60, deadline=NOW.timestamp() + 12)
    await clock.sleep_async(11.9)
    assert late.outcome is None
    await clock.sleep_async(0.2)
    assert (late.outcome, late.task.result().message.partition(": ")[0]) == ("pending", "Running")
    await clock.sleep_async(20.8)
    assert waiting.outcome is None
    await clock.sleep_async(0.2)
    assert waiting.outcome == "pending"


# Joining and leaving.


async def test_cancelled_waits_cost_no_request(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for each in range(20):
        target.has_run(f"run-{each}", "running", end_date=None)
    left = [waits(f"run-{each}", poke_interval=1) for each in range(19)]
    stays = waits("run-19")
    await clock.sleep_async(0.5)
    for waiting in left:
        waiting.task.cancel()
    await clock.sleep_async(0.1)
    target.reset_counts()
    for each in range(19):
        target.end_run(f"run-{each}")
    await clock.sleep_async(INTERVAL)
    assert (stays.outcome, target.calls_received) == (None, [f"POST {target.api(RUNS)}"])


async def test_ten_thousand_finished_waits_leave_nothing_in_memory(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("stays", "running", end_date=None)
    target.has_run("theirs", "success")
    stays = waits("stays")
    await clock.sleep_async(0.1)
    (watcher,) = registry._watchers.values()
    max_length = 0
    for _ in range(100):
        for waiting in [waits(deadline=NOW.timestamp() + 1e6) for _ in range(100)]:
            await waiting.task
        max_length = max(max_length, len(watcher._timetable._heap))
    assert stays.outcome is None
    # Without cleaning up, there would be 10,000 deadlines.
    assert max_length < 1000
    assert [len(list(feed.subscriptions)) for feed in (watcher._runs, watcher._tasks)] == [1, 0]
    assert len(watcher._runs._index._by_key) == 1
    assert len(watcher._timetable._subscriptions) == 1

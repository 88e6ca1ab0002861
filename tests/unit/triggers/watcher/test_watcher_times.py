"""When waits are checked, and when they give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
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


async def test_wait_gives_up_at_its_deadline(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits(deadline=NOW.timestamp() + 33)
    late = waits(poke_interval=60, deadline=NOW.timestamp() + 12)
    await clock.sleep_async(11.9)
    assert late.outcome is None
    await clock.sleep_async(0.2)
    assert (late.outcome, late.task.result().message.rpartition(": ")[2]) == ("pending", "running")
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
    assert dict(watcher._timetable._intervals) == {INTERVAL: 1}

"""The loop that waits until something is due, and the checks that it schedules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
from astro_provider.waits.wait import EndStates
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


async def test_bug_in_the_scheduler_loop_ends_no_wait(
    target: WatchedAirflow,
    clock: FakeClock,
    waits: Waits,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astro_provider.triggers.watcher.availability import Availability

    target.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(INTERVAL + 1)
    with monkeypatch.context() as patched:
        patched.setattr(Availability, "count_poll", lambda _: {}["defect"])
        patched.setattr(asyncio, "create_task", lambda _: {}["defect"])
        await clock.sleep_async(2 * INTERVAL)
    target.end_run("theirs")
    await clock.sleep_async(4 * INTERVAL)
    assert waiting.outcome == "success"
    assert "continues" in caplog.text


async def test_wait_with_a_shorter_interval_interrupts_the_sleep_of_the_poll(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("slow", "theirs"):
        target.has_run(name, "running", end_date=None)
    waits("slow", poke_interval=600)
    await clock.sleep_async(1)
    waiting = waits(poke_interval=2)
    await clock.sleep_async(0.1)
    target.end_run("theirs")
    await clock.sleep_async(2)
    assert waiting.outcome == "success"
    # Without that wait, the interval of polls is long again, after one more poll.
    await clock.sleep_async(2)
    target.reset_counts()
    await clock.sleep_async(590)
    assert len(target.received) == 0


async def test_scheduled_checks_do_not_pile_up(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "queued", end_date=None)
    target.has_run("other", "running", end_date=None)
    waits("other")
    await clock.sleep_async(INTERVAL / 2)
    waits(end_states=EndStates(("running",)))
    await clock.sleep_async(100 * INTERVAL)
    target.reset_counts()
    await clock.sleep_async(100 * INTERVAL)
    # One check per interval, and one periodic check at every fourth poll.
    assert 100 <= target.check_count("theirs") <= 126
    (watcher,) = registry._watchers.values()
    assert len(watcher._timetable._heap) < 5

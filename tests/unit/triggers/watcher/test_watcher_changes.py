"""Changes that no list of finished runs shows, and clocks that are wrong or move backwards."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.feed import OVERLAP_SECONDS
from astro_provider.waits.wait import EndStates
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, Waits, WatchedAirflow


async def test_unfinished_end_state_is_found_within_the_interval(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(end_states=EndStates(("running",)))
    await clock.sleep_async(10 * INTERVAL + 1)
    any_airflow.end_run("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


@pytest.mark.parametrize("lead", [-3600.0, 3600.0])
async def test_wrong_clock_of_the_target_loses_no_run(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, lead: float
) -> None:
    any_airflow.clock_lead = lead
    any_airflow.has_run("old", "running", end_date=None)
    any_airflow.end_run("old")
    any_airflow.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(10 * INTERVAL + 1)
    any_airflow.reset_counts()
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, any_airflow.list_count()) == ("success", 1)
    # The list reaches back to the last poll, not to the time by the wrong clock.
    since = datetime.fromisoformat(any_airflow.received[0].json["end_date_gte"])
    assert abs((since - NOW).total_seconds() - lead - 10 * INTERVAL) <= OVERLAP_SECONDS + INTERVAL


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_clock_that_moves_backwards_delays_waits_by_one_interval_at_most(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch, hanging: set[str]
) -> None:
    moved_back = 0.0
    watcher_class = partial(registry.Watcher, clock=lambda: time.time() - moved_back)
    monkeypatch.setattr(registry, "Watcher", watcher_class)
    for name in ("theirs", "begins"):
        target.has_run(name, "queued" if name == "begins" else "running", end_date=None)
    waiting = waits()
    begins = waits("begins", end_states=EndStates(("running",)))
    await clock.sleep_async(INTERVAL - 1)
    target.hanging_paths = hanging
    await clock.sleep_async(2)
    moved_back = 3600.0
    target.end_run("begins", "running")
    target.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, waiting.outcome) == ("success", None if hanging else "success")
    target.hanging_paths = set()
    await clock.sleep_async(READ_TIMEOUT)
    assert waiting.outcome == "success"


async def test_deadline_follows_a_clock_that_moves_backwards(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved_back = 0.0
    watcher_class = partial(registry.Watcher, clock=lambda: time.time() - moved_back)
    monkeypatch.setattr(registry, "Watcher", watcher_class)
    target.has_run("theirs", "running", end_date=None)
    waiting = waits(deadline=NOW.timestamp() + 60)
    await clock.sleep_async(INTERVAL + 1)
    moved_back = 600.0
    await clock.sleep_async(600)
    assert waiting.outcome is None
    await clock.sleep_async(60)
    assert waiting.outcome == "pending"

"""What no list of finished runs shows, and clocks that go wrong."""

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

# What no list of finished runs tells.


async def test_a_state_that_is_not_final_is_seen_within_the_interval(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(end_states=EndStates(("running",)))
    await clock.sleep_async(10 * INTERVAL + 1)
    any_airflow.end_run("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


async def test_looks_that_are_made_anyway_do_not_add_up(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "queued", end_date=None)
    target.has_run("other", "running", end_date=None)
    waits("other")
    await clock.sleep_async(INTERVAL / 2)
    waits(end_states=EndStates(("running",)))
    await clock.sleep_async(100 * INTERVAL)
    target.forget()
    await clock.sleep_async(100 * INTERVAL)
    # One per interval of its own, and every second look in turn.
    assert 100 <= target.looks("theirs") <= 126
    (watcher,) = registry._watchers.values()
    assert len(watcher._timetable._heap) < 5


async def test_a_run_that_stays_queued_is_looked_at_twice_and_its_paused_dag_told_once(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["d"] = True
    for name in any_airflow.has_running(10):
        waits(name)
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(must_exist=True)
    await clock.sleep_async(0.1)
    assert waiting.warned == []
    await clock.sleep_async(INTERVAL)
    (warned,) = waiting.warned
    assert "paused" in warned
    any_airflow.forget()
    await clock.sleep_async(100 * INTERVAL)
    assert any_airflow.looks("theirs") == 0
    assert waiting.warned == [warned]
    any_airflow.dags["d"] = False
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


@pytest.mark.parametrize("lead", [-3600.0, 3600.0])
async def test_a_clock_of_the_target_that_goes_wrong_is_reckoned_with(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, lead: float
) -> None:
    any_airflow.clock_lead = lead
    any_airflow.has_run("old", "running", end_date=None)
    any_airflow.end_run("old")
    any_airflow.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(10 * INTERVAL + 1)
    any_airflow.forget()
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, any_airflow.lists()) == ("success", 1)
    # Nor does a clock that is behind let the list grow, back to the beginning of the hour.
    since = datetime.fromisoformat(any_airflow.received[0].json["end_date_gte"])
    assert abs((since - NOW).total_seconds() - lead - 10 * INTERVAL) <= OVERLAP_SECONDS + INTERVAL


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_a_clock_that_is_set_back_costs_an_interval_at_most(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch, hanging: set[str]
) -> None:
    set_back = 0.0
    here = partial(registry.Watcher, clock=lambda: time.time() - set_back)
    monkeypatch.setattr(registry, "Watcher", here)
    for name in ("theirs", "begins", "over"):
        target.has_run(name, "queued" if name == "begins" else "running", end_date=None)
    waiting = waits()
    begins = waits("begins", end_states=EndStates(("running",)))
    settles = waits("over", must_exist=True, first_check_delay=60)
    await clock.sleep_async(INTERVAL - 1)
    target.hanging = hanging
    await clock.sleep_async(2)
    set_back = 3600.0
    target.end_run("begins", "running")
    target.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, waiting.outcome) == ("success", None if hanging else "success")
    target.hanging = set()
    await clock.sleep_async(60 - 2 * INTERVAL - 1)
    target.has_run("over", "success")  # nobody is told of it
    assert settles.outcome is None
    await clock.sleep_async(2 * INTERVAL)
    assert settles.outcome == "success"
    await clock.sleep_async(READ_TIMEOUT)
    assert waiting.outcome == "success"


async def test_a_deadline_is_a_time_of_day(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_back = 0.0
    here = partial(registry.Watcher, clock=lambda: time.time() - set_back)
    monkeypatch.setattr(registry, "Watcher", here)
    target.has_run("theirs", "running", end_date=None)
    late = waits(deadline=NOW.timestamp() + 60)
    await clock.sleep_async(INTERVAL + 1)
    set_back = 600.0
    await clock.sleep_async(600)
    assert late.outcome is None
    await clock.sleep_async(60)
    assert late.outcome == "pending"

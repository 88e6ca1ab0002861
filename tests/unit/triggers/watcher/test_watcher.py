"""One poll for all waits of a process: what it costs, and whom it wakes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.check_rate import POLLS_PER_CHECK
from astro_provider.triggers.watcher.feed import OVERLAP_SECONDS
from astro_provider.waits.wait import EndStates
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, TASKS, Waits, WatchedAirflow

# What it costs.


@pytest.mark.parametrize(("number", "in_turn"), [(1, 10), (3, 10), (4, 5), (100, 5), (1000, 5)])
async def test_it_asks_once_per_interval_for_any_number_of_waits(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, number: int, in_turn: int
) -> None:
    for name in any_airflow.has_running(number):
        waits(name)
    await clock.sleep_async(1)
    assert any_airflow.looks() == number
    any_airflow.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert (any_airflow.lists(), any_airflow.lists(TASKS)) == (20, 0)
    assert (any_airflow.looks(), any_airflow.batches()) == ((in_turn, 0) if number < 4 else (0, in_turn))
    assert len(any_airflow.received) == 20 + in_turn
    assert any_airflow.most_connected == 1


async def test_the_looks_in_turn_come_to_everybody(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    names = [f"run-{each}" for each in range(10)]
    for name in names:
        waits(name)  # they are not there yet, so no list can check them
    await clock.sleep_async(1)
    target.forget()
    await clock.sleep_async(10 * POLLS_PER_CHECK * INTERVAL)
    assert [target.looks(name) for name in names] == [1] * 10


# Who is called.


async def test_a_run_that_ends_calls_whom_it_concerns(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("one", "two", "three"):
        any_airflow.has_run(name, "running", end_date=None)
    one, two, same = waits("one"), waits("two"), waits("one")
    await clock.sleep_async(1)
    any_airflow.forget()
    any_airflow.end_run("one")
    any_airflow.end_run("three")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (one, two, same)] == ["success", None, "success"]
    assert (any_airflow.lists(), any_airflow.looks("one"), any_airflow.looks()) == (1, 2, 2)


async def test_a_run_of_the_same_name_in_another_dag_calls_nobody(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.dags["other"] = False
    for dag_id in ("d", "other"):
        target.has_run("theirs", "running", dag_id=dag_id, end_date=None)
    here, there = waits(), waits(dag_id="other")
    await clock.sleep_async(1)
    target.forget()
    target.end_run("theirs", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome, target.looks()) == (None, "success", 0)


async def test_a_task_that_ends_calls_whom_it_concerns(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    for name in ("load", "check", "group.load"):
        any_airflow.has_task(name, "running", run_id="theirs", end_date=None)
    load, check = waits(task_ids=["load"]), waits(task_ids=["check"])
    run = waits()
    await clock.sleep_async(1)
    any_airflow.forget()
    any_airflow.end_task("load", run_id="theirs")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (load, check, run)] == ["success", None, None]
    assert (any_airflow.lists(), any_airflow.lists(TASKS), any_airflow.looks()) == (1, 1, 1)


async def test_a_task_of_a_group_that_ends_calls_who_waits_for_the_group(
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


async def test_runs_are_known_by_their_logical_dates(
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
    any_airflow.forget()
    await clock.sleep_async(INTERVAL - 1)
    assert (both.outcome, third.outcome) == ("success", None)


async def test_the_newest_run_is_whichever_ends(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
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


async def test_a_run_that_was_not_there_when_the_wait_began_calls_it(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waits()
    await clock.sleep_async(1)
    any_airflow.has_run("theirs", "running", end_date=None)
    any_airflow.end_run("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "failed"


async def test_what_the_overlap_brings_again_calls_nobody_again(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    others = [f"run-{each}" for each in range(9)]
    target.has_run("theirs", "running", end_date=None)
    for name in (*others, "theirs"):
        # The others are not there yet and take the looks in turn; the last one goes on though its run has failed.
        waits(name, end_states=EndStates(("success",)))
    await clock.sleep_async(1)
    target.forget()
    target.end_run("theirs", "failed")
    await clock.sleep_async(OVERLAP_SECONDS)
    assert (target.lists(), target.looks("theirs")) == (OVERLAP_SECONDS / INTERVAL, 1)


async def test_a_run_that_is_cleared_and_ends_again_calls_again(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    others = [f"run-{each}" for each in range(9)]
    any_airflow.has_run("theirs", "running", end_date=None)
    for name in (*others, "theirs"):  # the others are not there yet and take the looks in turn
        waiting = waits(name, end_states=EndStates(("success",)))
    await clock.sleep_async(1)
    any_airflow.end_run("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    any_airflow.has_run("theirs", "queued", end_date=None)
    await clock.sleep_async(INTERVAL)
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert ([each.rpartition(" ")[2] for each in waiting.told], waiting.outcome) == (["running", "failed"], "success")


async def test_what_is_committed_late_is_found(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.end_run("theirs")
    target.runs["theirs"]["end_date"] = (NOW + timedelta(seconds=1)).isoformat()
    target.forget()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, target.lists()) == ("success", 1)


async def test_more_than_a_page_that_finished_is_found(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.page_limit = 2
    names = [f"run-{each}" for each in range(5)]
    for name in names:
        any_airflow.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1)
    any_airflow.forget()
    for name in names:
        any_airflow.end_run(name)
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 5
    assert any_airflow.lists() == 3

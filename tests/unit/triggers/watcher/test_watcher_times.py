"""When waits are checked, and who comes and goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.check_rate import POLLS_PER_CHECK
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_target import TOKEN
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, TASKS, Waits, WatchedAirflow

# When.


async def test_what_is_over_already_is_seen_at_once(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "success")
    waiting = waits()
    await waiting.task
    assert (waiting.outcome, clock.sleeps, target.lists()) == ("success", [], 0)


@pytest.mark.parametrize("others", [0.5, 60.0])
async def test_nobody_waits_longer_than_its_own_interval(
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


async def test_one_in_a_hurry_is_not_kept_waiting_by_a_poll_that_sleeps(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("slow", "theirs"):
        target.has_run(name, "running", end_date=None)
    waits("slow", poke_interval=600)
    await clock.sleep_async(1)
    hurried = waits(poke_interval=2)
    await clock.sleep_async(0.1)
    target.end_run("theirs")
    await clock.sleep_async(2)
    assert hurried.outcome == "success"
    # Nor does anybody stay in a hurry when it has gone.
    target.forget()
    await clock.sleep_async(590)
    assert len(target.received) == 0


async def test_it_gives_up_at_its_deadline(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits(deadline=NOW.timestamp() + 33)
    late = waits(poke_interval=60, first_check_delay=60, deadline=NOW.timestamp() + 12)
    await clock.sleep_async(11.9)
    assert late.outcome is None
    await clock.sleep_async(0.2)
    assert (late.outcome, late.task.result().message.rpartition(": ")[2]) == ("pending", "running")
    await clock.sleep_async(20.8)
    assert waiting.outcome is None
    await clock.sleep_async(0.2)
    assert waiting.outcome == "pending"


@pytest.mark.parametrize("hanging", [RUNS, TASKS])
async def test_a_list_that_does_not_come_keeps_nobody_waiting(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: str
) -> None:
    for name in ("theirs", "other"):
        target.has_run(name, "queued", end_date=None)
    target.has_task("load", "running", run_id="other", end_date=None)
    waits("other", task_ids=["load"])
    late, ended = waits("other", deadline=NOW.timestamp() + 23), waits("other")
    begins = waits(end_states=EndStates(("running",)))
    target.hanging = {hanging}
    await clock.sleep_async(INTERVAL + 1)
    target.end_run("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, late.outcome) == ("success", None)
    await clock.sleep_async(12.1)
    assert late.outcome == "pending"
    # The next one is asked when that one has failed, and brings what ended meanwhile.
    target.hanging.clear()
    target.end_run("other")
    target.forget()
    await clock.sleep_async(READ_TIMEOUT - 24)
    # A list of task instances delays no list of runs.
    assert (target.lists(), ended.outcome) == ((0, None) if hanging == RUNS else (1, "success"))
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL + 1)
    assert ended.outcome == "success"


# Who comes and goes.


async def test_who_has_left_costs_nothing_more(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for each in range(20):
        target.has_run(f"run-{each}", "running", end_date=None)
    left = [waits(f"run-{each}", poke_interval=1) for each in range(19)]
    stays = waits("run-19")
    await clock.sleep_async(0.5)
    for waiting in left:
        waiting.task.cancel()
    await clock.sleep_async(0.1)
    target.forget()
    for each in range(19):
        target.end_run(f"run-{each}")
    await clock.sleep_async(INTERVAL)
    assert (stays.outcome, target.calls_received) == (None, [f"POST {target.api(RUNS)}"])


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_the_last_one_out_ends_the_poll_and_a_new_one_starts_anew(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: set[str]
) -> None:
    target.has_run("theirs", "running", end_date=None)
    before = asyncio.all_tasks()
    first, second = waits(), waits()
    await clock.sleep_async(1)
    assert (target.connected, len(registry._watchers)) == (1, 1)
    first.task.cancel()
    target.hanging = hanging
    await clock.sleep_async(INTERVAL)
    assert (target.connected, len(registry._watchers)) == (1, 1)
    second.task.cancel()
    await asyncio.wait([second.task])
    assert (target.connected, registry._watchers) == (0, {})
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert target.received == []
    assert {task for task in asyncio.all_tasks() - before if task is not clock._advancing} == set()

    target.hanging = set()
    again = waits()
    await clock.sleep_async(1)
    target.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (again.outcome, target.connected) == ("success", 0)


async def test_ten_thousand_that_come_and_go_leave_nothing_behind(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("stays", "running", end_date=None)
    target.has_run("theirs", "success")
    stays = waits("stays")
    await clock.sleep_async(0.1)
    (watcher,) = registry._watchers.values()
    most = 0
    for _ in range(100):
        for waiting in [waits(deadline=NOW.timestamp() + 1e6) for _ in range(100)]:
            await waiting.task
        most = max(most, len(watcher._timetable._heap))
    assert stays.outcome is None
    # Their deadlines would be 10,000 entries.
    assert most < 1000
    assert [len(list(feed.subscriptions)) for feed in (watcher._runs, watcher._tasks)] == [1, 0]
    assert len(watcher._runs._index._by_key) == 1
    assert dict(watcher._timetable._intervals) == {INTERVAL: 1}


async def test_connections_that_are_equal_share_no_watcher_as_one_may_be_edited(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password=TOKEN, conn_id="same")
    target.has_run("theirs", "running", end_date=None)
    edited = waits(conn_id="same")
    await clock.sleep_async(1)
    untouched = waits()
    await clock.sleep_async(1)
    assert len(registry._watchers) == target.connected == 2
    connect(target.url, password="another-token", conn_id="same")
    target.tokens = {"another-token"}
    target.end_run("theirs")
    await clock.sleep_async(2 * INTERVAL)
    assert (edited.outcome, untouched.outcome) == ("success", None)
    target.tokens = {TOKEN}
    await clock.sleep_async(2 * INTERVAL)
    assert untouched.outcome == "success"


async def test_others_credentials_have_a_watcher_of_their_own(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password="another-token", conn_id="other")
    target.tokens.add("another-token")
    target.has_run("theirs", "running", end_date=None)
    waits()
    waits(conn_id="other")
    await clock.sleep_async(1)
    assert len(registry._watchers) == target.connected == 2
    target.forget()
    await clock.sleep_async(INTERVAL)
    assert target.lists() == 2
    assert {received.headers["authorization"] for received in target.received} == {
        f"Bearer {TOKEN}",
        "Bearer another-token",
    }

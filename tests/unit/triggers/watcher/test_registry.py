"""Which waits share a watcher, and when it is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher import registry
from tests.unit.scripted_target import TOKEN
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.task_runner import FakeClock
    from tests.unit.triggers.watcher.watched_airflow import Waits, WatchedAirflow


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_last_wait_to_leave_closes_the_watcher_and_a_new_one_opens_another(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: set[str]
) -> None:
    target.has_run("theirs", "running", end_date=None)
    before = asyncio.all_tasks()
    first, second = waits(), waits()
    await clock.sleep_async(1)
    assert (target.open_sessions, len(registry._watchers)) == (1, 1)
    first.task.cancel()
    target.hanging_paths = hanging
    await clock.sleep_async(INTERVAL)
    assert (target.open_sessions, len(registry._watchers)) == (1, 1)
    second.task.cancel()
    await asyncio.wait([second.task])
    assert (target.open_sessions, registry._watchers) == (0, {})
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert target.received == []
    assert {task for task in asyncio.all_tasks() - before if task is not clock._advancing} == set()

    target.hanging_paths = set()
    again = waits()
    await clock.sleep_async(1)
    target.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert (again.outcome, target.open_sessions) == ("success", 0)


async def test_connections_with_equal_values_share_no_watcher(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password=TOKEN, conn_id="same")
    target.has_run("theirs", "running", end_date=None)
    edited = waits(conn_id="same")
    await clock.sleep_async(1)
    untouched = waits()
    await clock.sleep_async(1)
    assert len(registry._watchers) == target.open_sessions == 2
    connect(target.url, password="another-token", conn_id="same")
    target.tokens = {"another-token"}
    target.end_run("theirs")
    await clock.sleep_async(2 * INTERVAL)
    assert (edited.outcome, untouched.outcome) == ("success", None)
    target.tokens = {TOKEN}
    await clock.sleep_async(2 * INTERVAL)
    assert untouched.outcome == "success"


async def test_connections_with_other_credentials_share_no_watcher(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password="another-token", conn_id="other")
    target.tokens.add("another-token")
    target.has_run("theirs", "running", end_date=None)
    waits()
    waits(conn_id="other")
    await clock.sleep_async(1)
    assert len(registry._watchers) == target.open_sessions == 2
    target.reset_counts()
    await clock.sleep_async(INTERVAL)
    assert target.list_count() == 2
    assert {received.headers["authorization"] for received in target.received} == {
        f"Bearer {TOKEN}",
        "Bearer another-token",
    }

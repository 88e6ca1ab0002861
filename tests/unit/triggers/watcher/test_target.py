"""When the watcher reads its connection again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, Waits, WatchedAirflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.task_runner import FakeClock


async def test_connection_is_read_again_after_its_token_was_replaced(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens = {"new-token"}
    await clock.sleep_async(10 * INTERVAL)
    connect(target.url, password="new-token")
    await clock.sleep_async(2 * INTERVAL)
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert (target.list_count(), target.refused_count, target.max_open_sessions) == (10, 0, 1)
    target.end_run("one")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success", None]


async def test_connection_is_read_again_once_although_many_checks_are_refused(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[None] = []

    async def reload_connection(_: AsyncAstroHook) -> None:
        reloads.append(None)

    monkeypatch.setattr(AsyncAstroHook, "reload_connection", reload_connection)
    target.tokens.clear()
    for name in target.has_runs(20):
        waits(name)
    await clock.sleep_async(1)
    assert (target.refused_count, len(reloads)) == (
        21,
        1,
    )  # a list, because the waits have joined together, and their checks

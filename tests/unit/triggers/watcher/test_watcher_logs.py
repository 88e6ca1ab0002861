"""Each wait logs in the log of its own task, which Airflow finds by context variables."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, FakeCarrier

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.flow import Request, Response
    from astro_provider.waits.wait import Verdict
    from tests.unit.task_runner import FakeClock
    from tests.unit.triggers.watcher.watched_airflow import WatchedAirflow

LOG: ContextVar[str | None] = ContextVar("log", default=None)


class Logs:
    """Records what each wait logs, and in the log of which wait."""

    def __init__(self) -> None:
        self.lines: list[tuple[str | None, str, str]] = []
        self.tasks: list[asyncio.Task[Verdict]] = []

    def wait(self, run_id: str) -> None:
        """Begin a wait as a triggerer does: in a context of its own, which names the log."""

        def log(line: str) -> None:
            self.lines.append((LOG.get(), run_id, line))

        async def wait() -> Verdict:
            LOG.set(run_id)
            async with shared_watcher("http_conn") as watcher:
                return await watcher.watch(
                    RunWait("d", EndStates(("success",)), run_id=run_id, must_exist=True),
                    poke_interval=INTERVAL,
                    deadline=None,
                    on_change=lambda verdict: log(verdict.message),
                    warn=log,
                )

        self.tasks.append(copy_context().run(asyncio.create_task, wait()))

    def with_text(self, text: str) -> list[tuple[str | None, str]]:
        """Return the log and the run id of each line that contains a text."""
        return sorted((str(log), run_id) for log, run_id, line in self.lines if text in line)


@pytest.fixture
async def logs(target: WatchedAirflow, clock: FakeClock) -> Logs:  # type: ignore[misc]
    logs = Logs()
    for run_id in ("one", "two", "three"):
        target.has_run(run_id, "queued", end_date=None)
        logs.wait(run_id)
        await clock.sleep_async(0.1)
    yield logs
    for task in logs.tasks:
        task.cancel()
    await asyncio.gather(*logs.tasks, return_exceptions=True)


OWN_LOG = [("one", "one"), ("three", "three"), ("two", "two")]


async def test_outage_is_logged_by_each_wait(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    target.on("POST", RUNS, json_response({}, 500))
    await clock.sleep_async(10 * INTERVAL)
    assert logs.with_text("Still waiting") == OWN_LOG


async def test_refused_list_across_dags_is_logged_by_each_wait(
    target: WatchedAirflow, clock: FakeClock, logs: Logs
) -> None:
    target.on("POST", RUNS, json_response({}, 403))
    await clock.sleep_async(10 * INTERVAL)
    assert logs.with_text("may not list across dags") == OWN_LOG


async def test_paused_dag_is_logged_by_each_wait(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    target.dags["d"] = True
    await clock.sleep_async(10 * INTERVAL)
    assert logs.with_text("Paused: dag 'd'") == OWN_LOG


async def test_change_is_logged_by_each_wait(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    for run_id in ("one", "two", "three"):
        target.end_run(run_id, "running")
    await clock.sleep_async(10 * INTERVAL)
    assert logs.with_text("Running: dag 'd'") == OWN_LOG


async def test_poll_logs_in_the_log_of_no_wait(
    target: WatchedAirflow, clock: FakeClock, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs_of_polls: list[str | None] = []

    def record(send: Callable[..., Response]) -> Callable[..., Response]:
        async def recorded(self: FakeCarrier, request: Request) -> Response:
            if request.method == "POST":
                logs_of_polls.append(LOG.get())
            return await send(self, request)

        return recorded

    monkeypatch.setattr(FakeCarrier, "send", record(FakeCarrier.send))
    await clock.sleep_async(4 * INTERVAL)
    assert set(logs_of_polls) == {None}

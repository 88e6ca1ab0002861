"""Each wait warns in the log of its own task: Airflow routes the logs of a triggerer by context variables."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, Carrier

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.flow import Request, Response
    from astro_provider.waits.wait import Verdict
    from tests.unit.task_runner import FakeClock
    from tests.unit.triggers.watcher.watched_airflow import WatchedAirflow

LOG_OF: ContextVar[str | None] = ContextVar("log_of", default=None)


class Logs:
    """What is logged, by whose log it lands in."""

    def __init__(self) -> None:
        self.log_lines: list[tuple[str | None, str, str]] = []
        self.tasks: list[asyncio.Task[Verdict]] = []

    def wait(self, run_id: str) -> None:
        """Begin a wait as a triggerer does: in a context of its own, that has the name of the log."""

        def log(line: str) -> None:
            self.log_lines.append((LOG_OF.get(), run_id, line))

        async def wait() -> Verdict:
            LOG_OF.set(run_id)
            async with shared_watcher("http_conn") as watcher:
                return await watcher.wait(
                    RunWait("d", EndStates(("success",)), run_id=run_id, must_exist=True),
                    poke_interval=INTERVAL,
                    deadline=None,
                    on_change=lambda verdict: log(verdict.message),
                    warn=log,
                )

        self.tasks.append(copy_context().run(asyncio.create_task, wait()))

    def of(self, text: str) -> list[tuple[str | None, str]]:
        return sorted((str(log), run_id) for log, run_id, line in self.log_lines if text in line)


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


OWN = [("one", "one"), ("three", "three"), ("two", "two")]


async def test_an_outage_is_in_the_log_of_each(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    target.on("POST", RUNS, json_response({}, 500))
    await clock.sleep_async(10 * INTERVAL)
    assert logs.of("Still waiting") == OWN


async def test_lists_dag_by_dag_are_in_the_log_of_each(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    target.on("POST", RUNS, json_response({}, 403))
    await clock.sleep_async(10 * INTERVAL)
    assert logs.of("may not list across dags") == OWN


async def test_a_paused_dag_is_in_the_log_of_each(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    target.dags["d"] = True
    await clock.sleep_async(10 * INTERVAL)
    assert logs.of("is paused") == OWN


async def test_a_change_is_in_the_log_of_each(target: WatchedAirflow, clock: FakeClock, logs: Logs) -> None:
    for run_id in ("one", "two", "three"):
        target.end_run(run_id, "running")
    await clock.sleep_async(10 * INTERVAL)
    assert logs.of(": running") == OWN


async def test_what_the_poll_logs_is_in_nobody_s(
    target: WatchedAirflow, clock: FakeClock, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled_for: list[str | None] = []

    def noting(send: Callable[..., Response]) -> Callable[..., Response]:
        async def noted(self: Carrier, request: Request) -> Response:
            if request.method == "POST":
                polled_for.append(LOG_OF.get())
            return await send(self, request)

        return noted

    monkeypatch.setattr(Carrier, "send", noting(Carrier.send))
    await clock.sleep_async(4 * INTERVAL)
    assert set(polled_for) == {None}

"""Requests for the logs of failed tasks, to which the target does not respond."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.failed_run import NO_LOGS_SECONDS
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock

HANGING = "dags/d/dagRuns/{}/taskInstances/{}/logs/1?full_content=true&map_index=-1"
LOG = {"content": [{"event": "Task failed", "error_detail": [{"exc_type": "ValueError", "exc_value": "no"}]}]}


async def test_hanging_task_logs_do_not_delay_other_waits(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(30)]
    for name in names:
        target.has_run(name, "running", end_date=None)
        for task in range(5):
            target.has_task(f"t{task}", "failed", run_id=name, log={"content": []})
            target.hanging_paths.add(HANGING.format(name, f"t{task}"))
    target.has_run("theirs", "running", end_date=None)
    failing = [waits(name) for name in names]
    other = waits()
    await clock.sleep_async(INTERVAL + 1)
    for name in names:
        target.end_run(name, "failed")
    await clock.sleep_async(2 * INTERVAL)
    target.end_run("theirs")
    await clock.sleep_async(READ_TIMEOUT + 2 * INTERVAL)
    assert other.outcome == "success"
    assert {each.outcome for each in failing} == {"failed"}
    assert len(target.unanswered_urls) == 1
    message = failing[-1].task.result().message
    assert "t0 (try 1): (its log was not requested, as the last request for a log took too long)" in message


async def test_task_logs_are_requested_again_after_a_pause(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("theirs", "other"):
        target.has_run(name, "failed")
        target.has_task("t", "failed", run_id=name, log=LOG)
        target.hanging_paths.add(HANGING.format(name, "t"))
    first = waits("other")
    await clock.sleep_async(READ_TIMEOUT + 1)
    assert "(its log could not be read: TransportError)" in first.task.result().message
    target.hanging_paths.clear()
    soon = waits()
    await clock.sleep_async(NO_LOGS_SECONDS)
    assert "(its log was not requested" in soon.task.result().message
    late = waits()
    await clock.sleep_async(1)
    assert "ValueError: no" in late.task.result().message


async def test_cancelled_request_for_a_log_does_not_block_the_next_one(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "failed")
    target.has_task("t", "failed", run_id="theirs", log=LOG)
    target.hanging_paths.add(HANGING.format("theirs", "t"))
    cancelled = waits()
    await clock.sleep_async(1)
    cancelled.task.cancel()
    await clock.sleep_async(1)
    target.hanging_paths.clear()
    waiting = waits()
    await clock.sleep_async(1)
    assert "ValueError: no" in waiting.task.result().message

"""Polls and checks of batches while a list hangs or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api import poll_lists
from astro_provider.triggers.watcher.checker import MAX_CHECKS_AT_ONCE
from astro_provider.triggers.watcher.periodic_check_rate import POLLS_PER_CHECK
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, TASKS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


async def test_bug_in_a_poll_ends_no_wait(
    target: WatchedAirflow,
    clock: FakeClock,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("one", "two", "three"):
        target.has_run(name, "running", end_date=None)
    one, two, three = waits("one"), waits("two"), waits("three")
    await clock.sleep_async(1)
    with monkeypatch.context() as patched:
        patched.setattr(poll_lists, "finished_runs", lambda *_: {}["defect"])
        target.end_run("one")
        target.end_run("two", "failed")
        await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in (one, two, three)] == ["success", "failed", None]
    assert [len(each.warnings) for each in (one, two, three)] == [1, 1, 1]
    assert "KeyError: 'defect'" in caplog.text
    target.end_run("three")
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert three.outcome == "success"


async def test_checks_that_succeed_again_continue_while_a_list_hangs(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(30)]
    for name in names:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    target.hanging_paths = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    await clock.sleep_async(READ_TIMEOUT / 4)
    waits("run-0")
    # The second list begins after the first one has failed and one check was tried.
    await clock.sleep_async(READ_TIMEOUT * 3 / 4 + 2 * INTERVAL)
    assert len([url for url in target.unanswered_urls if url.endswith(RUNS)]) == 2
    target.hanging_paths = {RUNS}
    target.reset_counts()
    # The check of the wait that joined fails, and succeeds when it is repeated.
    await clock.sleep_async(READ_TIMEOUT / 4 + INTERVAL)
    assert target.check_count() >= MAX_CHECKS_AT_ONCE


async def test_failing_lists_of_tasks_do_not_delay_waits_for_runs(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.on("POST", TASKS, json_response({}, 500))
    others = [f"run-{each}" for each in range(20)]
    for name in (*others, "theirs"):
        target.has_run(name, "running", end_date=None)
        waits(name, task_ids=["load"])
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.end_run("theirs")
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert waiting.outcome == "success"


@pytest.mark.parametrize("hanging", [RUNS, TASKS])
async def test_hanging_list_delays_no_deadline_and_no_scheduled_check(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: str
) -> None:
    for name in ("theirs", "other"):
        target.has_run(name, "queued", end_date=None)
    target.has_task("load", "running", run_id="other", end_date=None)
    waits("other", task_ids=["load"])
    late, ended = waits("other", deadline=NOW.timestamp() + 23), waits("other")
    begins = waits(end_states=EndStates(("running",)))
    target.hanging_paths = {hanging}
    await clock.sleep_async(INTERVAL + 1)
    target.end_run("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, late.outcome) == ("success", None)
    await clock.sleep_async(12.1)
    assert late.outcome == "pending"
    # The next list is requested when this one has failed, and shows what finished meanwhile.
    target.hanging_paths.clear()
    target.end_run("other")
    target.reset_counts()
    await clock.sleep_async(READ_TIMEOUT - 24)
    # A list of task instances does not delay lists of runs.
    assert (target.list_count(), ended.outcome) == ((0, None) if hanging == RUNS else (1, "success"))
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL + 1)
    assert ended.outcome == "success"


async def test_hanging_list_of_a_batch_does_not_delay_polls(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in target.has_runs(10):
        waits(name)
        target.has_task("load", "running", run_id=name, end_date=None)
    waiting = waits("run-1")
    await clock.sleep_async(1)
    target.batches_hang = True
    await clock.sleep_async(6 * INTERVAL)
    assert target.unanswered_urls
    target.end_run("run-1")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"

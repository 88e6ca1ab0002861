"""Waits for a run that the caller has just created or seen, which need no first check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.waits.wait import EndStates
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, Waits, WatchedAirflow


async def test_wait_for_a_run_that_was_just_created_sends_no_request_of_its_own(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(run=any_airflow.seen("theirs"), must_exist=True)
    await clock.sleep_async(INTERVAL / 2)
    assert any_airflow.received == []
    assert [change.partition(": ")[0].lower() for change in waiting.changes] == ["queued"]
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"
    assert (any_airflow.list_count(), any_airflow.check_count()) == (1, 1)


async def test_known_run_is_reported_as_a_check_reports_it(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    checked, known = waits(), waits(run=any_airflow.seen("theirs"))
    await clock.sleep_async(INTERVAL / 2)
    # Without a request, the API version of the link is not known yet.
    first_lines = [[change.splitlines()[0] for change in each.changes] for each in (checked, known)]
    assert first_lines[0] == first_lines[1] != []
    assert any_airflow.check_count() == 1


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ("success", {}),
        ("running", {"end_states": EndStates(("running",))}),
        ("running", {"check_existence": True}),
        ("running", {"task_ids": ["load"]}),
        ("running", {"run_id": None, "latest": True}),
        ("running", {"run_id": None, "logical_dates": ["2026-01-31T06:00:00Z", "2026-01-31T07:00:00Z"]}),
    ],
    ids=str,
)
async def test_known_run_that_does_not_decide_leaves_the_first_check_to_do(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, state: str, fields: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", state, end_date=None)
    any_airflow.has_task("load", "running", run_id="theirs", end_date=None)
    waiting = waits(run=any_airflow.seen("theirs"), **fields)
    await clock.sleep_async(INTERVAL / 2)
    assert any_airflow.received
    assert waiting.task.done() or waiting.changes


async def test_run_that_a_poll_has_listed_before_the_wait_joined_is_checked(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    any_airflow.has_run("other", "running", end_date=None)
    seen = any_airflow.seen("theirs")
    waits("other")
    await clock.sleep_async(INTERVAL / 2)
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    waiting = waits(run=seen)
    await clock.sleep_async(0.1)
    assert waiting.outcome == "success"


async def test_run_that_has_finished_before_the_wait_joined_is_found_by_the_next_poll(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    seen = any_airflow.seen("theirs")
    any_airflow.end_run("theirs", "failed")
    await clock.sleep_async(9)
    waiting = waits(run=seen)
    await clock.sleep_async(INTERVAL + 0.1)
    assert waiting.outcome == "failed"


async def test_deadline_ends_a_wait_for_a_known_run(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    waiting = waits(run=any_airflow.seen("theirs"), deadline=NOW.timestamp() + 3)
    await clock.sleep_async(2.9)
    assert waiting.outcome is None
    await clock.sleep_async(0.2)
    assert waiting.outcome == "pending"

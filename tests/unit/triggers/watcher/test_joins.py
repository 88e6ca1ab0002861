"""Waits that join together are answered by one list of unfinished runs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.joins import JOIN_SECONDS, MAX_JOIN_SECONDS, MIN_WAITS
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock


def states(waiting: Any) -> list[str]:
    return [change.partition(": ")[0].lower() for change in waiting.changes]


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_thousand_waits_that_join_together_cost_a_few_lists(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, state: str
) -> None:
    waiting = [waits(name, must_exist=True) for name in any_airflow.has_runs(1000, state=state)]
    await clock.sleep_async(1)
    assert [states(each) for each in waiting] == [[state]] * 1000
    # The first wait is checked individually; a page has 100 runs.
    assert (any_airflow.check_count(), any_airflow.batch_count()) == (1, 10)
    assert len(any_airflow.received) <= 12  # one more on API v1, to find out the version
    # No wait needs another check of its own.
    any_airflow.end_run("run-999")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == [None] * 999 + ["success"]


async def test_answer_of_the_list_is_that_of_a_check(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    first, *others = [waits() for _ in range(1 + MIN_WAITS)]
    await clock.sleep_async(1)
    assert any_airflow.check_count() == 1
    assert [each.changes for each in others] == [first.changes] * MIN_WAITS
    assert len(first.changes) == 1


async def test_wait_that_joins_alone_is_checked_at_once(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for each, name in enumerate(any_airflow.has_runs(10)):
        waiting = waits(name)
        await clock.sleep_async(JOIN_SECONDS / 10)
        assert (any_airflow.check_count(), any_airflow.batch_count(), states(waiting)) == (each + 1, 0, ["running"])
        await clock.sleep_async(JOIN_SECONDS)


async def test_few_waits_that_join_together_are_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in any_airflow.has_runs(4):  # the first one is checked at once, and does not count
        waits(name)
    await clock.sleep_async(1)
    assert (any_airflow.check_count(), any_airflow.batch_count()) == (4, 0)


async def test_list_ends_no_wait(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    any_airflow.has_run("first", "running", end_date=None)
    for name, state in {"over": "success", "failed": "failed", "running": "running", "queued": "queued"}.items():
        any_airflow.has_run(name, state, end_date=None)
    waits("first")
    waiting = {name: waits(name) for name in ("over", "failed", "running", "queued", "none")}
    end_states = EndStates(("running",), ("failed",))
    for name in ("running", "queued"):
        waiting[f"until running: {name}"] = waits(name, end_states=end_states)
    await clock.sleep_async(1)
    assert {name: each.outcome for name, each in waiting.items()} == {
        "over": "success",
        "failed": "failed",
        "running": None,
        "queued": None,
        "none": None,
        "until running: running": "success",
        "until running: queued": None,
    }
    # One request for each that the list does not decide: two of runs that are over, one of no run with two requests
    # that explain why, and the check of a run in an end state.
    assert any_airflow.batch_count() == 1
    assert any_airflow.check_count() == 4
    any_airflow.end_run("queued", "running")
    await clock.sleep_async(INTERVAL)
    assert waiting["until running: queued"].outcome == "success"


async def test_waits_by_logical_date_are_answered(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    dates = [(NOW - timedelta(minutes=each)).isoformat() for each in range(9)]
    any_airflow.has_runs(8)
    waiting = [waits(None, logical_dates=[date]) for date in dates]
    await clock.sleep_async(1)
    assert [states(each)[0] for each in waiting[:8]] == ["running"] * 8
    requests_for_dates = [
        each for each in any_airflow.calls_received if each == f"GET {any_airflow.api('dags/d/dagRuns')}"
    ]
    assert any_airflow.batch_count() == 1
    assert len(requests_for_dates) == 3  # the first wait, and the one without a run, whose absence is explained
    assert "Not there yet: " in waiting[8].changes[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"check_existence": True},
        {"task_ids": ["load"]},
        {"run_id": None, "latest": True},
        {"run_id": None, "logical_dates": ["2026-01-31T06:00:00Z", "2026-01-31T07:00:00Z"]},
    ],
    ids=str,
)
async def test_other_waits_are_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, fields: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", "running", end_date=None)
    any_airflow.has_task("load", "running", run_id="theirs", end_date=None)
    waiting = [waits(**fields) for _ in range(10)]
    await clock.sleep_async(0.9)
    assert [len(each.changes) for each in waiting] == [1] * 10
    assert any_airflow.batch_count() == 0


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_waits_are_checked_individually_if_the_list_fails(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, status: int
) -> None:
    def refuse(received: ReceivedRequest) -> ScriptedResponse:
        if "end_date_gte" in received.json:
            return any_airflow.stored_response(received)
        return json_response(any_airflow.payloads.error(status, "no"), status)

    any_airflow.on("POST", RUNS, refuse)
    waiting = [waits(name) for name in any_airflow.has_runs(20)]
    await clock.sleep_async(0.9)
    assert [states(each) for each in waiting] == [["running"]] * 20
    assert (any_airflow.check_count(), any_airflow.batch_count()) == (20, 1)
    assert not any(each.warnings for each in waiting)
    waiting = [waits(name) for name in any_airflow.runs]
    await clock.sleep_async(0.9)
    assert [states(each) for each in waiting] == [["running"]] * 20
    assert any_airflow.batch_count() == (1 if status == 400 else 2)


async def test_deadline_ends_waits_whose_list_hangs(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.batches_hang = True
    names = any_airflow.has_runs(20)
    waiting = [waits(name, deadline=NOW.timestamp() + 7) for name in names]
    others = [waits(name) for name in names]
    await clock.sleep_async(6.9)
    assert [each.changes for each in waiting[1:]] == [[]] * 19
    await clock.sleep_async(0.2)
    assert [each.outcome for each in waiting] == ["pending"] * 20
    await clock.sleep_async(READ_TIMEOUT)
    assert [states(each) for each in others] == [["running"]] * 20


async def test_run_that_finishes_while_the_list_hangs_ends_its_wait(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.batches_hang = True
    waiting = [waits(name) for name in any_airflow.has_runs(20)]
    await clock.sleep_async(1)
    any_airflow.end_run("run-7")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success" if each == 7 else None for each in range(20)]


async def test_row_that_is_older_than_a_check_changes_nothing(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list shows that the run is queued, but its response comes after a check has found that it is running."""
    waiting = [waits(name, end_states=EndStates(("success",))) for name in any_airflow.has_runs(20, state="queued")]
    respond = any_airflow.carry

    def late(request: Any) -> Any:
        response = respond(request)
        if request.url.endswith(any_airflow.api(RUNS)) and b"end_date_gte" not in (request.body or b""):
            any_airflow.end_run("run-7", "running")
            for subscription in list(watched()._runs.subscriptions):
                if subscription.run_id == "run-7":
                    subscription.check_count += 1
        return response

    def watched() -> Any:
        (watcher,) = registry._watchers.values()
        return watcher

    monkeypatch.setattr(any_airflow, "carry", late)
    await clock.sleep_async(1)
    assert [states(each) for each in waiting] == [["running"] if each == 7 else ["queued"] for each in range(20)]


async def test_number_of_rows_is_limited(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    names = any_airflow.has_runs(3000, state="queued")
    waiting = [waits(name) for name in names[:50] + names[-50:]]
    await clock.sleep_async(1)
    # 300 rows: twice the number of waits, and a page.
    assert any_airflow.batch_count() == 3
    assert [states(each) for each in waiting] == [["queued"]] * 100
    assert any_airflow.check_count() == 1 + 50


async def test_waits_that_join_one_after_the_other_are_collected(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = []
    for name in any_airflow.has_runs(1000):
        waiting.append(waits(name))
        await clock.sleep_async(0.004)
    await clock.sleep_async(MAX_JOIN_SECONDS)
    assert [states(each) for each in waiting] == [["running"]] * 1000
    assert any_airflow.check_count() + any_airflow.batch_count() <= 25


async def test_cancelled_waits_are_not_answered(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = [waits(name) for name in any_airflow.has_runs(20)]
    await clock.sleep_async(JOIN_SECONDS / 2)
    for each in waiting[1:]:
        each.task.cancel()
    await clock.sleep_async(1)
    assert (any_airflow.check_count(), any_airflow.batch_count()) == (1, 0)
    assert [each.changes for each in waiting[1:]] == [[]] * 19


async def test_event_loop_is_not_blocked_while_ten_thousand_waits_join(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in target.has_runs(10_000):
        waits(name)
    await clock.sleep_async(0)
    (watcher,) = registry._watchers.values()
    check_counts = {each: each.check_count for each in watcher._runs.subscriptions}
    rows = [target.seen(name) for name in target.runs]
    noting = asyncio.create_task(watcher._checker.note_runs(watcher._runs, check_counts, rows))
    steps = []
    while not noting.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        steps.append(time.perf_counter() - began)
    assert len(noting.result()) == 10_000
    assert len(steps) >= 100
    assert sorted(steps)[len(steps) // 2] < 0.05

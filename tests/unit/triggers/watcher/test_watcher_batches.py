"""Periodic checks of many waits at once, by lists of what has not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.periodic_check_rate import ROUND_SECONDS
from astro_provider.triggers.watcher.polled_waits import RETRY_LIST_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, TASKS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

POLLS_PER_ROUND = int(ROUND_SECONDS / INTERVAL)


async def test_many_waits_cost_less_than_two_requests_per_interval(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in target.has_runs(1000):
        waits(name)
    await clock.sleep_async(1)
    await clock.sleep_async(4 * INTERVAL)
    target.reset_counts()
    for _ in range(12):
        before = len(target.received)
        await clock.sleep_async(INTERVAL)
        assert len(target.received) - before <= 2
    assert len(target.received) <= 12 * 1.25 + 1
    assert target.check_count() == 0


async def test_many_waits_for_tasks_cost_as_little_as_for_runs(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in any_airflow.has_runs(300):
        any_airflow.has_task("load", "running", run_id=name, end_date=None)
        waits(name, task_ids=["load"])
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.reset_counts()
    await clock.sleep_async(40 * INTERVAL)
    assert (any_airflow.list_count(TASKS), any_airflow.batch_count(TASKS), any_airflow.check_count()) == (40, 10, 0)
    assert len(any_airflow.received) == 50


@pytest.mark.parametrize("number", [4, 200])
async def test_batch_shows_a_deleted_run(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, number: int
) -> None:
    waiting = [waits(name, must_exist=True) for name in any_airflow.has_runs(number)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.delete_run("run-3")
    await clock.sleep_async(20 * INTERVAL)
    assert [each.task.done() for each in waiting] == [index == 3 for index in range(number)]
    assert "Deleted: dag 'd', its run is gone in " in str(waiting[3].task.exception())


async def test_batch_shows_a_finished_run_that_polls_have_missed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = [waits(name) for name in any_airflow.has_runs(200)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_run("run-150")
    any_airflow.runs["run-150"]["end_date"] = "2026-01-01T00:00:00+00:00"  # no poll lists it
    any_airflow.reset_counts()
    await clock.sleep_async(20 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [150]
    assert any_airflow.check_count() == 1


async def test_batch_shows_a_finished_task_that_polls_have_missed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = []
    for name in any_airflow.has_runs(20):
        for task_id in ("load", "other"):
            any_airflow.has_task(task_id, "running", run_id=name, end_date=None)
        waiting.append(waits(name, task_ids=["load"]))
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_task("load", run_id="run-7")
    any_airflow._tasks["d", "run-7"][0]["end_date"] = "2026-01-01T00:00:00+00:00"
    await clock.sleep_async(10 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [7]


async def test_batch_shows_a_run_that_has_started(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = [waits(name) for name in any_airflow.has_runs(100, state="queued")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_run("run-50", "running")
    any_airflow.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert [each.changes[-1].partition(": ")[0].lower() for each in waiting[49:52]] == ["queued", "running", "queued"]
    assert any_airflow.check_count() == 0


async def test_runs_that_do_not_exist_are_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in any_airflow.has_runs(100):
        waits(name)
    names = [f"later-{number}" for number in range(120)]
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    any_airflow.reset_counts()
    await clock.sleep_async(ROUND_SECONDS)
    calls_received = [
        any_airflow.calls_received.count(f"GET {any_airflow.api(f'dags/d/dagRuns/{name}')}") for name in names
    ]
    assert set(calls_received) <= {1, 2}
    assert any_airflow.check_count() == 0
    # A run that is created and finishes is found by the next poll.
    any_airflow.has_run("later-5", "running", end_date=None)
    any_airflow.end_run("later-5")
    await clock.sleep_async(INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [5]


@pytest.mark.parametrize(("status", "lists_per_round"), [(400, 2), (403, 2), (500, 24)])
async def test_waits_are_checked_individually_if_lists_of_batches_fail(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, status: int, lists_per_round: int
) -> None:
    def refuse_batches(received: ReceivedRequest) -> ScriptedResponse:
        if "end_date_gte" in received.json:
            return any_airflow.stored_response(received)
        return json_response(any_airflow.payloads.error(status, "states: Unknown field."), status)

    any_airflow.on("POST", RUNS, refuse_batches)
    names = any_airflow.has_runs(120)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    lists_at_first = any_airflow.batch_count()
    any_airflow.reset_counts()
    await clock.sleep_async(ROUND_SECONDS + RETRY_LIST_SECONDS)
    assert min(any_airflow.check_count(name) for name in names) >= 1
    assert 1 <= lists_at_first + any_airflow.batch_count() <= 1.5 * lists_per_round + 1
    assert len(any_airflow.received) <= 2.5 * 1.5 * POLLS_PER_ROUND
    assert {each.outcome for each in waiting} == {None}
    assert not any(each.warnings for each in waiting)


async def test_batches_are_checked_dag_by_dag_if_lists_across_dags_are_refused(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["other"] = False
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(403, "Forbidden"), 403))
    waiting = [waits(name) for name in any_airflow.has_runs(60)]
    waiting += [waits(name, dag_id="other") for name in any_airflow.has_runs(60, dag_id="other")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.reset_counts()
    any_airflow._runs.pop(("other", "run-3"))
    await clock.sleep_async(40 * INTERVAL)
    lists = [
        received
        for received in any_airflow.received
        if received.path.endswith("/dagRuns") and "state" in received.query
    ]
    assert {received.path.split("/")[-2] for received in lists} == {"d", "other"}
    assert len(lists) == 10
    assert waiting[63].changes[-1].startswith("Not there yet: ")
    checks = [path for path in any_airflow.calls_received if "/dagRuns/run-" in path]
    assert 1 <= len(checks) <= 20
    assert all(path.endswith("/other/dagRuns/run-3") for path in checks)

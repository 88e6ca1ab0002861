"""Lists of what has not finished check many waits at once, and leave the others to checks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.check_rate import ROUND_SECONDS
from astro_provider.triggers.watcher.feed import RETRY_LIST_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, TASKS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

POLLS_PER_ROUND = int(ROUND_SECONDS / INTERVAL)


async def test_many_waits_cost_less_than_two_requests_per_interval(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in target.has_running(1000):
        waits(name)
    await clock.sleep_async(1)
    assert target.looks() == 1000
    await clock.sleep_async(4 * INTERVAL)
    target.forget()
    for _ in range(12):
        before = len(target.received)
        await clock.sleep_async(INTERVAL)
        assert len(target.received) - before <= 2
    assert len(target.received) <= 12 * 1.25 + 1
    assert target.looks() == 0


async def test_many_waits_for_tasks_cost_as_little(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for name in any_airflow.has_running(300):
        any_airflow.has_task("load", "running", run_id=name, end_date=None)
        waits(name, task_ids=["load"])
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.forget()
    await clock.sleep_async(40 * INTERVAL)
    assert (any_airflow.lists(TASKS), any_airflow.batches(TASKS), any_airflow.looks()) == (40, 10, 0)
    assert len(any_airflow.received) == 50


@pytest.mark.parametrize("number", [4, 200])
async def test_a_run_that_is_deleted_is_noticed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, number: int
) -> None:
    waiting = [waits(name, must_exist=True) for name in any_airflow.has_running(number)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.delete_run("run-3")
    await clock.sleep_async(20 * INTERVAL)
    assert [each.task.done() for each in waiting] == [index == 3 for index in range(number)]
    assert "it was deleted" in str(waiting[3].task.exception())


async def test_a_run_whose_end_was_missed_is_noticed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = [waits(name) for name in any_airflow.has_running(200)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_run("run-150")
    any_airflow.runs["run-150"]["end_date"] = "2026-01-01T00:00:00+00:00"  # no list of finished runs has it
    any_airflow.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [150]
    assert any_airflow.looks() == 1


async def test_a_task_whose_end_was_missed_is_noticed(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = []
    for name in any_airflow.has_running(20):
        for task_id in ("load", "other"):
            any_airflow.has_task(task_id, "running", run_id=name, end_date=None)
        waiting.append(waits(name, task_ids=["load"]))
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_task("load", run_id="run-7")
    any_airflow._tasks["d", "run-7"][0]["end_date"] = "2026-01-01T00:00:00+00:00"
    await clock.sleep_async(10 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [7]


async def test_a_run_that_goes_on_is_told(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = [waits(name) for name in any_airflow.has_running(100, state="queued")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.end_run("run-50", "running")
    any_airflow.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert [each.told[-1].rpartition(" ")[2] for each in waiting[49:52]] == ["queued", "running", "queued"]
    assert any_airflow.looks() == 1


async def test_runs_that_are_not_there_yet_are_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in any_airflow.has_running(100):
        waits(name)
    names = [f"later-{number}" for number in range(120)]
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    any_airflow.forget()
    await clock.sleep_async(ROUND_SECONDS)
    calls_received = [
        any_airflow.calls_received.count(f"GET {any_airflow.api(f'dags/d/dagRuns/{name}')}") for name in names
    ]
    assert set(calls_received) <= {1, 2}
    assert any_airflow.looks() == 0
    # One that comes, and ends, is found as soon as it ends.
    any_airflow.has_run("later-5", "running", end_date=None)
    any_airflow.end_run("later-5")
    await clock.sleep_async(INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [5]


@pytest.mark.parametrize(("status", "tried_per_round"), [(400, 2), (403, 2), (500, 24)])
async def test_where_these_lists_fail_everybody_is_checked_individually(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, status: int, tried_per_round: int
) -> None:
    def refused(received: ReceivedRequest) -> ScriptedResponse:
        if "end_date_gte" in received.json:
            return any_airflow.stored_response(received)
        return json_response(any_airflow.payloads.error(status, "states: Unknown field."), status)

    any_airflow.on("POST", RUNS, refused)
    names = any_airflow.has_running(120)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    any_airflow.forget()
    await clock.sleep_async(ROUND_SECONDS + RETRY_LIST_SECONDS)
    assert min(any_airflow.looks(name) for name in names) >= 1
    assert 1 <= any_airflow.batches() <= 1.5 * tried_per_round + 1
    assert len(any_airflow.received) <= 2.5 * 1.5 * POLLS_PER_ROUND
    assert {each.outcome for each in waiting} == {None}
    assert not any(each.warned for each in waiting)


async def test_a_list_that_hangs_holds_up_no_poll(target: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for name in target.has_running(10):
        waits(name)
        target.has_task("load", "running", run_id=name, end_date=None)
    in_time = waits("run-1")
    await clock.sleep_async(1)
    target.hanging_batches = True
    await clock.sleep_async(6 * INTERVAL)
    assert target.in_vain
    target.end_run("run-1")
    await clock.sleep_async(INTERVAL)
    assert in_time.outcome == "success"


async def test_a_token_that_may_list_single_dags_only_checks_dag_by_dag(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["other"] = False
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(403, "Forbidden"), 403))
    waiting = [waits(name) for name in any_airflow.has_running(60)]
    waiting += [waits(name, dag_id="other") for name in any_airflow.has_running(60, dag_id="other")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    any_airflow.forget()
    any_airflow._runs.pop(("other", "run-3"))
    await clock.sleep_async(40 * INTERVAL)
    lists = [
        received
        for received in any_airflow.received
        if received.path.endswith("/dagRuns") and "state" in received.query
    ]
    assert {received.path.split("/")[-2] for received in lists} == {"d", "other"}
    assert len(lists) == 10
    assert waiting[63].told[-1].endswith("not there yet")
    looks = [path for path in any_airflow.calls_received if "/dagRuns/run-" in path]
    assert 1 <= len(looks) <= 20
    assert all(path.endswith("/other/dagRuns/run-3") for path in looks)

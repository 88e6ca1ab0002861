"""The warning of waits whose run stays queued because its dag is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.waits.paused import QUEUED_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


def dag_requests(target: WatchedAirflow, dag_id: str = "d") -> int:
    return target.calls_received.count(f"GET {target.api(f'dags/{dag_id}')}")


async def test_queued_run_of_a_paused_dag_is_warned_of_once(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["d"] = True
    for name in any_airflow.has_runs(10):
        waits(name)
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(must_exist=True)
    await clock.sleep_async(QUEUED_SECONDS)
    assert waiting.warnings == []
    await clock.sleep_async(INTERVAL + 1)
    (warning,) = waiting.warnings
    assert warning.startswith("Paused: dag 'd' in Deployment")
    any_airflow.reset_counts()
    await clock.sleep_async(100 * INTERVAL)
    assert (any_airflow.check_count("theirs"), dag_requests(any_airflow)) == (0, 0)
    assert waiting.warnings == [warning]
    any_airflow.dags["d"] = False
    any_airflow.end_run("theirs")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


async def test_one_request_serves_all_waits_for_a_dag(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags |= {"d": True, "open": False}
    waiting = [waits(name, must_exist=True) for name in any_airflow.has_runs(1000, state="queued")]
    names = any_airflow.has_runs(20, state="queued", dag_id="open")
    others = [waits(name, must_exist=True, dag_id="open") for name in names]
    await clock.sleep_async(QUEUED_SECONDS + INTERVAL + 1)
    assert [len(each.warnings) for each in waiting] == [1] * 1000
    assert not any(each.warnings for each in others)
    # The first wait was checked a little earlier than the list has answered the others.
    assert (dag_requests(any_airflow), dag_requests(any_airflow, "open")) == (2, 1)


async def test_waits_for_queued_runs_cost_no_more_than_others(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["d"] = True
    waiting = [waits(name, must_exist=True) for name in any_airflow.has_runs(1000, state="queued")]
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    await clock.sleep_async(20 * INTERVAL)
    assert len(any_airflow.received) <= 20 * 1.25 + 2
    assert any_airflow.check_count() == 0
    # The runs start, and the log says so.
    for name in any_airflow.runs:
        any_airflow.end_run(name, "running")
    any_airflow.reset_counts()
    await clock.sleep_async(120 * INTERVAL)
    assert [each.changes[-1].partition(": ")[0].lower() for each in waiting] == ["running"] * 1000
    assert any_airflow.check_count() == 0
    assert len(any_airflow.received) < 2 * 120


async def test_run_that_a_check_has_found_running_is_not_warned_of(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(must_exist=True, started_at=None)
    await clock.sleep_async(1)
    any_airflow.end_run("theirs", "running")
    any_airflow.dags["d"] = True
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(500, "no"), 500))  # the wait is checked
    await clock.sleep_async(20 * INTERVAL)
    assert waiting.changes[-1].startswith("Running: ")
    assert dag_requests(any_airflow) == 0


async def test_wait_that_need_not_exist_is_not_warned(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["d"] = True
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits()
    await clock.sleep_async(20 * INTERVAL)
    assert (waiting.warnings, dag_requests(any_airflow)) == ([], 0)


async def test_run_that_was_just_created_is_warned_of(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["d"] = True
    any_airflow.has_run("theirs", "queued", end_date=None)
    waiting = waits(must_exist=True, run=any_airflow.seen("theirs"), started_at=None)
    await clock.sleep_async(QUEUED_SECONDS + 1.5)
    assert len(waiting.warnings) == 1
    assert (any_airflow.check_count(), dag_requests(any_airflow)) == (0, 1)


async def test_failing_request_ends_no_wait_and_warns_of_nothing(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags |= {"d": True, "other": True}
    any_airflow.on("GET", "dags/d", json_response(any_airflow.payloads.error(500, "down"), 500))
    for dag_id in ("d", "other"):
        any_airflow.has_run("theirs", "queued", end_date=None, dag_id=dag_id)
    waiting, other = [waits(must_exist=True, dag_id=dag_id) for dag_id in ("d", "other")]
    await clock.sleep_async(QUEUED_SECONDS + 4 * INTERVAL)
    assert [(each.outcome, len(each.warnings)) for each in (waiting, other)] == [(None, 0), (None, 1)]


async def test_target_that_is_down_is_not_asked_for_dags(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.dags["d"] = True
    target.has_run("theirs", "queued", end_date=None)
    waiting = waits(must_exist=True, started_at=None)
    await clock.sleep_async(1)
    target.is_down = True
    await clock.sleep_async(10 * INTERVAL)
    assert dag_requests(target) == 0
    assert not any("paused" in warning for warning in waiting.warnings)
    target.is_down = False
    await clock.sleep_async(4 * INTERVAL)
    assert sum("paused" in warning for warning in waiting.warnings) == 1


async def test_cancelled_wait_costs_no_request(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    any_airflow.has_run("theirs", "queued", end_date=None)
    any_airflow.has_run("stays", "running", end_date=None)
    waits("stays")
    waiting = waits(must_exist=True)
    await clock.sleep_async(1)
    waiting.task.cancel()
    await clock.sleep_async(4 * INTERVAL)
    assert dag_requests(any_airflow) == 0

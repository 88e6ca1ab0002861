"""Waits for idle dags in the watcher: their polls, outages, and the check that ends them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import NotFoundError
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, TASKS, Waits, WatchedAirflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.task_runner import FakeClock

CHECK = "dags/d/dagRuns/~/taskInstances"


@pytest.fixture
def busy(any_airflow: WatchedAirflow) -> WatchedAirflow:
    any_airflow.has_run("r", "running", end_date=None)
    any_airflow.has_task("load", "running", run_id="r", end_date=None)
    return any_airflow


async def test_wait_ends_when_nothing_of_the_dag_runs(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = waits(None, idle=True)
    await clock.sleep_async(3 * INTERVAL)
    busy.end_task("load", run_id="r")
    await clock.sleep_async(2 * INTERVAL)
    assert waiting.outcome is None
    busy.end_run("r")
    await clock.sleep_async(INTERVAL + 1)
    assert waiting.outcome == "success"
    assert ["load in run r" in message for message in waiting.changes] == [True]
    assert "Idle: dag 'd'" in waiting.task.result().message


async def test_wait_for_a_paused_dag_ends_with_its_tasks(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    busy.dags["d"] = True
    busy.has_task("publish", "scheduled", run_id="r", end_date=None)
    waiting = waits(None, idle=True)
    await clock.sleep_async(3 * INTERVAL)
    assert waiting.outcome is None
    busy.end_task("load", run_id="r")
    await clock.sleep_async(INTERVAL + 1)
    assert waiting.outcome == "success"
    assert busy.runs["r"]["state"] == "running"


async def test_wait_ends_when_its_dag_is_paused(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    busy.end_task("load", run_id="r")
    waiting = waits(None, idle=True)
    await clock.sleep_async(3 * INTERVAL)
    assert waiting.outcome is None
    busy.dags["d"] = True
    await clock.sleep_async(INTERVAL + 1)
    assert waiting.outcome == "success"


async def test_idle_dag_ends_the_wait_at_its_first_check(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waits(None, idle=True)
    await clock.sleep_async(0.5)
    assert waiting.outcome == "success"
    assert len([each for each in any_airflow.received if f"/{any_airflow.api_version}/" in each.path]) == 3


async def test_thousand_waits_for_one_dag_share_the_polls(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = [waits(None, idle=True) for _ in range(1000)]
    await clock.sleep_async(INTERVAL + 1)
    assert len([each for each in busy.received if each.path == busy.api(CHECK)]) == 1000  # their first checks
    busy.reset_counts()
    await clock.sleep_async(100 * INTERVAL)
    assert len(busy.received) == busy.batch_count(TASKS) == 100
    busy.end_run("r")
    busy.end_task("load", run_id="r")
    await clock.sleep_async(2 * INTERVAL)
    assert {each.outcome for each in waiting} == {"success"}


async def test_waits_for_runs_and_for_idle_dags_have_their_own_polls(
    busy: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    run, idle = waits("r"), waits(None, idle=True)
    await clock.sleep_async(2 * INTERVAL)
    assert busy.list_count(RUNS)
    assert busy.batch_count(TASKS)
    busy.end_task("load", run_id="r")
    busy.end_run("r")
    await clock.sleep_async(INTERVAL + 1)
    assert (run.outcome, idle.outcome) == ("success", "success")


async def test_waits_outlast_an_outage_and_warn_once(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = [waits(None, idle=True) for _ in range(20)]
    await clock.sleep_async(INTERVAL)
    busy.is_down = True
    busy.end_task("load", run_id="r")
    busy.end_run("r")
    await clock.sleep_async(10 * INTERVAL)
    busy.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert len(busy.received) <= 11, "one request per interval while the target is down"
    assert {each.outcome for each in waiting} == {None}
    assert {len(each.warnings) for each in waiting} == {1}
    busy.is_down = False
    await clock.sleep_async(4 * INTERVAL)
    assert {each.outcome for each in waiting} == {"success"}


async def test_waits_are_checked_one_by_one_while_only_lists_fail(
    busy: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waits(None, idle=True)
    await clock.sleep_async(INTERVAL)
    busy.on("POST", TASKS, json_response(busy.payloads.error(400, "no such filter"), 400))
    await clock.sleep_async(3 * INTERVAL)
    busy.end_task("load", run_id="r")
    busy.end_run("r")
    await clock.sleep_async(3 * INTERVAL)
    assert waiting.outcome == "success"


async def test_token_that_may_not_list_across_dags(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = waits(None, idle=True)
    for path in (TASKS, RUNS):
        busy.on("POST", path, json_response(busy.payloads.error(403, "Forbidden"), 403))
    await clock.sleep_async(3 * INTERVAL)
    assert [("may not list across dags" in warning) for warning in waiting.warnings] == [True]
    busy.end_task("load", run_id="r")
    busy.end_run("r")
    await clock.sleep_async(2 * INTERVAL)
    assert waiting.outcome == "success"


async def test_connection_is_read_again_when_its_token_is_refused(
    busy: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    waiting = waits(None, idle=True)
    await clock.sleep_async(INTERVAL)
    busy.tokens = {"new-token"}
    await clock.sleep_async(2 * INTERVAL)
    connect(busy.url, password="new-token")
    await clock.sleep_async(3 * INTERVAL)
    busy.end_task("load", run_id="r")
    busy.end_run("r")
    await clock.sleep_async(3 * INTERVAL)
    assert waiting.outcome == "success"
    assert busy.tokens != {TOKEN}


async def test_deadline_ends_the_wait_while_a_list_hangs(busy: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    waiting = waits(None, idle=True, deadline=time.time() + READ_TIMEOUT / 2)
    await clock.sleep_async(1)
    busy.hanging_paths = {TASKS}
    await clock.sleep_async(READ_TIMEOUT / 2 + 1)
    assert waiting.outcome == "pending"
    assert "load in run r" in waiting.task.result().message


async def test_missing_dag_is_waited_for_unless_it_must_exist(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    waiting = waits(None, idle=True, dag_id="later")
    strict = waits(None, idle=True, dag_id="later", check_existence=True)
    await clock.sleep_async(4 * INTERVAL)
    assert waiting.outcome is None
    assert "Not there yet: dag 'later'" in waiting.changes[0]
    with pytest.raises(NotFoundError, match="has no dag 'later'"):
        strict.task.result()
    any_airflow.dags["later"] = False
    await clock.sleep_async(130)
    assert waiting.outcome == "success"

"""AstroDagRunSensor and AstroTaskSensor on real targets: poked, rescheduled and deferred."""

from __future__ import annotations

import asyncio
import functools
import socket
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import Batch, both_targets
from tests.integration.recording_proxy import RecordingProxy
from tests.integration.runs import start

MODES = ("sync", "deferred", "worker")
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def remote(world):
    """Runs in both targets that the sensors wait for, by dag and connection; some end while they are waited for."""
    runs = {}
    for conn in ("v2_conn", "v1_conn"):
        run_id = f"waited-for-{uuid4().hex[:8]}"
        for dag_id in ("quick", "broken", "grouped"):
            runs[dag_id, conn] = start(world.behind(conn), dag_id, run_id=run_id)
    return runs


@pytest.fixture(scope="module")
def batch(begin, remote):
    cases = {}
    for conn in ("v2_conn", "v1_conn"):
        for dag_id, task_id in (("quick", "answer"), ("broken", "publish")):
            conf = {"conn": conn, "dag": dag_id, "run_id": remote[dag_id, conn].run_id, "task": task_id}
            for mode in MODES:
                cases[f"{dag_id}_{mode}_{conn}"] = (f"wait_for_run_{mode}", conf)
            cases[f"{dag_id}_reschedule_{conn}"] = ("reschedule", conf)
        for mode in MODES:
            conf = {"conn": conn, "run_id": remote["grouped", conn].run_id}
            cases[f"grouped_{mode}_{conn}"] = (f"wait_for_group_{mode}", conf)
            cases[f"nothing_{mode}_{conn}"] = (f"wait_for_nothing_{mode}", {"conn": conn})
        cases[f"triggerer_{conn}"] = ("in_triggerer", {"conn": conn, "run_id": remote["quick", conn].run_id})
    cases["nothing_native"] = ("rendered_to_nothing", {"conn": "v2_conn"})
    return Batch(begin, cases)


@both_targets
@every_mode
def test_waits_for_a_run_and_a_task_that_end_well(batch, remote, conn, mode):
    run = batch.finished(f"quick_{mode}_{conn}", conn)

    assert run.states() == {"run": "success", "task": "success", "soft": "success"}
    assert remote["quick", conn].state == "success"
    assert run.says("run", f"(connection '{conn}'): success")
    assert run.xcom("run", "remote_dag_run_url").startswith(f"{remote['quick', conn].deployment.url}/dags/quick/")


@both_targets
@every_mode
def test_a_failed_run_fails_the_sensor_and_says_why(batch, remote, conn, mode):
    run = batch.finished(f"broken_{mode}_{conn}", conn)

    assert remote["broken", conn].state == "failed"
    assert run.states() == {"run": "failed", "task": "failed", "soft": "skipped"}
    assert run.says("run", "load (try 1): ValueError: the file has no rows")
    assert run.says("task", "publish (try 0): upstream_failed")
    assert run.says("soft", "the file has no rows")


@both_targets
def test_reschedule(batch, conn):
    assert batch.finished(f"quick_reschedule_{conn}", conn).states() == {"run": "success"}
    failed = batch.finished(f"broken_reschedule_{conn}", conn)
    assert failed.states() == {"run": "failed"}
    assert failed.says("run", "the file has no rows")


@both_targets
@every_mode
def test_a_run_that_is_not_there_is_waited_for(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["hard"], run.states()["soft"]) == ("failed", "skipped")
    assert run.tasks()["hard"]["try_number"] == 1, "a timeout ends a sensor for good, whatever its retries"
    assert run.says("hard", "not there yet")
    assert run.says("hard", "Not over after 12 seconds (timeout)" if mode != "sync" else "timed out")


@both_targets
@every_mode
def test_check_existence(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["missing_dag"], run.states()["missing_task"]) == ("failed", "failed")
    assert run.says("missing_dag", "has no dag 'quik'")
    assert run.says("missing_task", "has no task 'no' of dag 'quick'")


@both_targets
@every_mode
def test_groups_and_mapped_tasks(batch, conn, mode):
    run = batch.finished(f"grouped_{mode}_{conn}", conn)

    assert run.states() == {"group": "success", "mapped": "success", "outside": "failed", "skipped": "failed"}
    assert run.says("outside", "outside (try 1): RuntimeError: outside fails")


@both_targets
@every_mode
def test_a_task_that_was_skipped_ends_the_wait_when_its_run_is_over(batch, remote, conn, mode):
    run = batch.finished(f"grouped_{mode}_{conn}", conn)

    assert remote["grouped", conn].states()["skipped"] == "skipped"
    assert run.says("skipped", "its run is over, and 'skipped' is skipped. List 'skipped' in allowed_states or skipped")


@both_targets
@every_mode
def test_a_misspelt_dag_is_named_with_similar_ones_while_it_is_waited_for(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert run.says("misspelt", "not there yet")
    assert run.says("misspelt", "has no dag 'quik'")
    assert run.says("misspelt", "'quick'")


def test_a_run_that_is_named_by_nothing_is_not_another_run(batch):
    run = batch.finished("nothing_native", "v2_conn")

    states = run.states()
    assert states.pop("nothing") == "success"
    assert states == {f"{by}_{mode}": "failed" for by in ("by_id", "by_date") for mode in MODES}
    for mode in MODES:
        assert run.says(f"by_id_{mode}", "external_run_id was rendered to None")
        assert run.says(f"by_date_{mode}", "logical_date was rendered to None")


@both_targets
async def test_a_target_that_is_down_at_the_first_check_is_waited_for(world, begin, remote, conn):
    target, late = world.behind(conn), f"late_{conn}"
    connection = target.connection("login" if conn == "v1_conn" else "astro")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    world.triggering.add_connection(late, {**connection, "host": f"http://127.0.0.1:{port}"})
    run = begin("wait_for_late_target", conn=late, run_id=remote["quick", conn].run_id)
    for mode in ("sync", "deferred"):
        waits = functools.partial(run.wait_until, run.task_is(mode, "running", "deferred"), f"{mode} waits", 120)
        await asyncio.to_thread(waits)
        assert await asyncio.to_thread(run.says, mode, "Still waiting")

    async with RecordingProxy(target, port) as proxy:
        await asyncio.to_thread(run.wait)

    assert run.states() == {"sync": "success", "deferred": "success"}
    assert proxy.asked
    for mode in ("sync", "deferred"):
        assert run.says(mode, f"(connection '{late}'): success")
        assert run.log(mode).count("Still waiting") == 1


@both_targets
def test_by_logical_date(begin, world, conn):
    date = datetime(2001, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)
    for day in (date, date - timedelta(days=1)):
        start(world.behind(conn), "quick", logical_date=day.isoformat())

    run = begin("by_logical_date", logical_date=date.isoformat(), conn=conn).wait()

    assert run.states() == {"same": "success", "day_before": "success", "both": "success"}
    for task_id, day in (("same", date), ("day_before", date - timedelta(days=1))):
        assert run.says(task_id, day.isoformat())


@both_targets
def test_in_a_run_without_a_logical_date_its_run_after_counts(begin, world, conn):
    run = begin("by_logical_date", conn=conn)
    run_after = datetime.fromisoformat(run.get()["run_after"])
    for date in (run_after, run_after - timedelta(days=1)):
        start(world.behind(conn), "quick", logical_date=date.isoformat())

    assert run.wait().states() == {"same": "success", "day_before": "success", "both": "success"}
    assert run.get()["logical_date"] is None


# Start and end in the triggerer.


@both_targets
def test_no_worker_is_needed_for_what_a_deferrable_sensor_can_end_in_the_triggerer(batch, conn):
    for case in (f"quick_deferred_{conn}", f"broken_deferred_{conn}", f"grouped_deferred_{conn}"):
        tasks = batch.finished(case, conn).tasks()
        assert {name: task["pid"] for name, task in tasks.items()} == dict.fromkeys(tasks), case
    for case in (f"quick_worker_{conn}", f"broken_worker_{conn}"):
        assert all(task["pid"] for task in batch.finished(case, conn).tasks().values()), case


@both_targets
def test_what_needs_a_worker_gets_one(world, batch, remote, conn):
    run = batch.finished(f"triggerer_{conn}", conn)

    tasks, states = run.tasks(), run.states()
    good = ["outlets", "told_of_success", "mapped[0]", "xcom", "which", "group.inside[0]", "group.inside[1]"]
    bad = ["retried", "told_of_failure", "undefined", "limited"]
    assert states == {**dict.fromkeys(good, "success"), **dict.fromkeys(bad, "failed")}
    assert sorted(name for name, task in tasks.items() if not task["pid"]) == [
        "group.inside[0]",
        "group.inside[1]",
        "undefined",
    ]
    assert tasks["retried"]["try_number"] == 2
    assert run.says("retried", "the file has no rows", 1)
    assert run.says("retried", "the file has no rows", 2)
    assert tasks["retried"]["duration"] > 0, "Airflow keeps the end of the first try for what the triggerer ends"
    assert run.says("told_of_success", "called with NoneType")
    assert run.says("told_of_failure", "called with DagRunFailedError")
    assert run.says("undefined", "A template could not be rendered: UndefinedError")
    events = world.triggering.request("GET", "assets/events", params={"source_run_id": run.run_id})["asset_events"]
    assert [event["source_task_id"] for event in events] == ["outlets"]
    assert run.xcom("told_of_success", "remote_dag_run_url").endswith(remote["quick", conn].run_id)

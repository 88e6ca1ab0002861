"""AstroDagRunSensor and AstroTaskSensor on real targets, in poke, reschedule and deferrable mode."""

from __future__ import annotations

import asyncio
import functools
import socket
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import CaseRuns, both_targets
from tests.integration.recording_proxy import RecordingProxy
from tests.integration.runs import trigger_run

MODES = ("sync", "deferred", "worker")
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def remote(deployments):
    """Runs in both targets that the sensors wait for, by dag and connection. Some end while a sensor waits."""
    runs = {}
    for conn in ("v2_conn", "v1_conn"):
        run_id = f"waited-for-{uuid4().hex[:8]}"
        for dag_id in ("quick", "broken", "grouped"):
            runs[dag_id, conn] = trigger_run(deployments.target_of(conn), dag_id, run_id=run_id)
    return runs


@pytest.fixture(scope="module")
def batch(start_case, remote):
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
            cases[f"nothing_{mode}_{conn}"] = (f"wait_for_missing_run_{mode}", {"conn": conn})
        cases[f"undefined_{conn}"] = ("undefined_template", {"conn": conn, "run_id": remote["quick", conn].run_id})
        cases[f"triggerer_{conn}"] = ("in_triggerer", {"conn": conn, "run_id": remote["quick", conn].run_id})
    cases["nothing_native"] = ("rendered_to_nothing", {"conn": "v2_conn"})
    return CaseRuns(start_case, cases)


@both_targets
@every_mode
def test_sensors_succeed_with_the_run_and_the_task(batch, remote, conn, mode):
    run = batch.finished(f"quick_{mode}_{conn}", conn)

    assert run.states() == {"run": "success", "task": "success", "soft": "success"}
    assert remote["quick", conn].state == "success"
    assert run.log_contains("run", "Success: dag 'quick' in Deployment ")
    assert run.xcom("run", "remote_dag_run_url").startswith(f"{remote['quick', conn].deployment.url}/dags/quick/")


@both_targets
@every_mode
def test_failed_run_fails_the_sensor_and_the_log_gives_the_reason(batch, remote, conn, mode):
    run = batch.finished(f"broken_{mode}_{conn}", conn)

    assert remote["broken", conn].state == "failed"
    assert run.states() == {"run": "failed", "task": "failed", "soft": "skipped"}
    assert run.log_contains("run", "load (try 1): ValueError: the file has no rows")
    assert run.log_contains("task", "publish (try 0): upstream_failed")
    assert run.log_contains("soft", "the file has no rows")
    assert run.tells_once("run", "Failed", "broken")
    assert run.tells_once("task", "Failed", "broken")
    assert run.tells_once("soft", "Skipped", "broken")


@both_targets
def test_reschedule_mode_succeeds_and_fails_with_the_run(batch, conn):
    assert batch.finished(f"quick_reschedule_{conn}", conn).states() == {"run": "success"}
    failed = batch.finished(f"broken_reschedule_{conn}", conn)
    assert failed.states() == {"run": "failed"}
    assert failed.log_contains("run", "the file has no rows")
    assert failed.tells_once("run", "Failed", "broken")


@both_targets
@every_mode
def test_sensor_waits_for_a_missing_run_until_its_timeout(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["hard"], run.states()["soft"]) == ("failed", "skipped")
    assert run.tasks()["hard"]["try_number"] == 1, "a timeout fails a sensor without retries"
    assert run.log_contains("hard", "Not there yet: dag ")
    assert run.tells_once("hard", "Timed out after 20 s", "quick")
    assert run.tells_once("soft", "Skipped", "quick")


@both_targets
@every_mode
def test_check_existence_fails_for_a_missing_dag_or_task(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert (run.states()["missing_dag"], run.states()["missing_task"]) == ("failed", "failed")
    assert run.log_contains("missing_dag", "has no dag 'quik'")
    assert run.log_contains("missing_task", "has no task 'no' of dag 'quick'")


@both_targets
@every_mode
def test_task_groups_and_mapped_tasks_are_waited_for(batch, conn, mode):
    run = batch.finished(f"grouped_{mode}_{conn}", conn)

    assert run.states() == {"group": "success", "mapped": "success", "outside": "failed", "skipped": "failed"}
    assert run.log_contains("outside", "outside (try 1): RuntimeError: outside fails")


@both_targets
@every_mode
def test_skipped_task_ends_the_wait_when_its_run_has_finished(batch, remote, conn, mode):
    run = batch.finished(f"grouped_{mode}_{conn}", conn)

    assert remote["grouped", conn].states()["skipped"] == "skipped"
    assert run.log_contains(
        "skipped", "Its run is over, and 'skipped' is skipped. List 'skipped' in allowed_states or skipped"
    )


@both_targets
@every_mode
def test_missing_dag_is_logged_with_similar_ids_while_the_sensor_waits(batch, conn, mode):
    run = batch.finished(f"nothing_{mode}_{conn}", conn)

    assert run.log_contains("misspelt", "Not there yet: dag ")
    assert run.log_contains("misspelt", "has no dag 'quik'")
    assert run.log_contains("misspelt", "'quick'")


def test_sensor_fails_when_the_run_id_or_date_is_rendered_to_none(batch):
    run = batch.finished("nothing_native", "v2_conn")

    states = run.states()
    assert states.pop("nothing") == "success"
    assert states == {f"{by}_{mode}": "failed" for by in ("by_id", "by_date") for mode in MODES}
    for mode in MODES:
        assert run.log_contains(f"by_id_{mode}", "external_run_id was rendered to None")
        assert run.log_contains(f"by_date_{mode}", "logical_date was rendered to None")


@both_targets
async def test_sensor_waits_for_a_target_that_is_down_at_the_first_check(deployments, start_case, remote, conn):
    target, late = deployments.target_of(conn), f"late_{conn}"
    connection = target.connection("login" if conn == "v1_conn" else "astro")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    deployments.triggering.add_connection(late, {**connection, "host": f"http://127.0.0.1:{port}"})
    run = start_case("wait_for_late_target", conn=late, run_id=remote["quick", conn].run_id)
    for mode in ("sync", "deferred"):
        waits = functools.partial(run.wait_until, run.task_is(mode, "running", "deferred"), f"{mode} waits", 120)
        await asyncio.to_thread(waits)
        assert await asyncio.to_thread(run.log_contains, mode, "Still waiting")

    async with RecordingProxy(target, port) as proxy:
        await asyncio.to_thread(run.wait)

    assert run.states() == {"sync": "success", "deferred": "success"}
    assert proxy.requests
    for mode in ("sync", "deferred"):
        assert run.log_contains(mode, "Success: dag '")
        assert run.log(mode).count("Still waiting") == 1


@both_targets
def test_runs_are_found_by_logical_date(start_case, deployments, conn):
    date = datetime(2001, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)
    for day in (date, date - timedelta(days=1)):
        trigger_run(deployments.target_of(conn), "quick", logical_date=day.isoformat())

    run = start_case("by_logical_date", logical_date=date.isoformat(), conn=conn).wait()

    assert run.states() == {"same": "success", "day_before": "success", "both": "success"}
    for task_id, day in (("same", date), ("day_before", date - timedelta(days=1))):
        assert run.log_contains(task_id, day.isoformat())


@both_targets
def test_run_after_is_used_in_a_run_without_a_logical_date(start_case, deployments, conn):
    run = start_case("by_logical_date", conn=conn)
    run_after = datetime.fromisoformat(run.get()["run_after"])
    for date in (run_after, run_after - timedelta(days=1)):
        trigger_run(deployments.target_of(conn), "quick", logical_date=date.isoformat())

    assert run.wait().states() == {"same": "success", "day_before": "success", "both": "success"}
    assert run.get()["logical_date"] is None


# Sensors that start and end in the triggerer.


@both_targets
def test_deferrable_sensor_uses_no_worker_when_the_triggerer_can_end_it(batch, conn):
    for case in (f"quick_deferred_{conn}", f"broken_deferred_{conn}", f"grouped_deferred_{conn}"):
        tasks = batch.finished(case, conn).tasks()
        assert {name: task["pid"] for name, task in tasks.items()} == dict.fromkeys(tasks), case
    for case in (f"quick_worker_{conn}", f"broken_worker_{conn}"):
        assert all(task["pid"] for task in batch.finished(case, conn).tasks().values()), case


@both_targets
def test_sensor_uses_a_worker_when_it_needs_one(deployments, batch, remote, conn):
    run = batch.finished(f"triggerer_{conn}", conn)

    tasks, states = run.tasks(), run.states()
    good = ["outlets", "success_callback", "mapped[0]", "xcom", "which", "group.inside[0]", "group.inside[1]"]
    bad = ["retried", "failure_callback", "undefined", "limited", "hurried"]
    assert states == {**dict.fromkeys(good, "success"), **dict.fromkeys(bad, "failed")}
    assert sorted(name for name, task in tasks.items() if not task["pid"] and name != "hurried") == [
        "group.inside[0]",
        "group.inside[1]",
        "limited",
    ]
    assert run.tells_once("limited", "Timed out after 40 s", "none")
    hurried = "Timed out: dag 'none'" if tasks["hurried"]["pid"] else "Timed out after 1 s: dag 'none'"
    assert run.log_contains("hurried", hurried)
    assert run.log_contains("limited", "Limit: execution_timeout. Last seen: Not there yet")
    assert tasks["retried"]["try_number"] == 2
    assert run.log_contains("retried", "the file has no rows", 1)
    assert run.log_contains("retried", "the file has no rows", 2)
    assert tasks["retried"]["duration"] > 0, (
        "the end date is that of the first try, which Airflow keeps when a triggerer ends a later one"
    )
    assert run.log_contains("success_callback", "called with NoneType")
    assert run.log_contains("failure_callback", "called with DagRunFailedError")
    assert run.log_contains("undefined", "A template could not be rendered here: UndefinedError")
    assert run.log_contains("undefined", "The task starts again on a worker.")
    events = deployments.triggering.request("GET", "assets/events", params={"source_run_id": run.run_id})[
        "asset_events"
    ]
    assert [event["source_task_id"] for event in events] == ["outlets"]
    assert run.xcom("success_callback", "remote_dag_run_url").endswith(remote["quick", conn].run_id)


@both_targets
def test_worker_renders_a_template_that_the_triggerer_cannot_render(batch, conn):
    run = batch.finished(f"undefined_{conn}", conn)
    assert run.states() == {"run": "success"}
    assert run.tasks()["run"]["pid"]
    assert run.log_contains("run", "A template could not be rendered here: UndefinedError")

"""AstroTriggerDagRunOperator on real deployments, checked in the triggering deployment and in the target."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.integration.conftest import CaseRuns, both_modes, both_targets, every_mode
from tests.integration.runs import Run, runs_of, trigger_run

REFUSED = ("v2_viewer", "v1_viewer", "v2_wrong_token", "v1_wrong_token")
CASES = {
    "quick_sync": ("trigger_quick_sync", {}),
    "quick_deferred": ("trigger_quick_deferred", {}),
    "quick_worker": ("trigger_quick_worker", {}),
    "broken_sync": ("trigger_broken_sync", {}),
    "broken_deferred": ("trigger_broken_deferred", {}),
    "broken_worker": ("trigger_broken_worker", {}),
    "fails_once_sync": ("trigger_fails_once_sync", {}),
    "fails_once_deferred": ("trigger_fails_once_deferred", {}),
    "fails_once_worker": ("trigger_fails_once_worker", {}),
    "limited_sync": ("trigger_limited_sync", {"conn": "v2_conn"}),
    "limited_deferred": ("trigger_limited_deferred", {"conn": "v1_conn"}),
    "no_wait": ("trigger_only", {"dag": "slow", "remote_conf": {"seconds": 600}}),
    "encoded": ("trigger_only", {"dag": "żółw.odd-id"}),
    "missing": ("trigger_only", {"dag": "quik"}),
    "strict": ("trigger_only", {"dag": "strict", "remote_conf": {"day": "no day"}}),
    "mapped": ("mapped_trigger", {}),
    **{
        conn: ("trigger_only", {"conn": conn, "dag": "quick"})
        for conn in (*REFUSED, "wrong_path", "closed_port", "no_conn")
    },
}


@pytest.fixture(scope="module")
def batch(start_case):
    return CaseRuns(start_case, CASES)


def remote_run(run: Run, target, dag_id: str, task_id: str = "trigger") -> Run:
    """Return the run that a triggering task created, by the run id in its XCom."""
    return Run(target, dag_id, run.xcom(task_id, "trigger_run_id"))


def waits(run: Run) -> bool:
    """Return whether the task is deferred and has stored the id of its remote run."""
    return run.states().get("trigger") == "deferred" and has_remote_run(run)


def has_remote_run(run: Run) -> bool:
    entries = run.deployment.request("GET", f"{run.path}/taskInstances/trigger/xcomEntries")["xcom_entries"]
    return any(entry["key"] == "trigger_run_id" for entry in entries)


@both_targets
@every_mode
def test_task_succeeds_with_the_remote_run(batch, conn, target, mode):
    run = batch.finished(f"quick_{mode}", conn)

    assert run.state == "success"
    remote = remote_run(run, target, "quick")
    created = remote.get()
    assert created["state"] == "success"
    assert created["conf"] == {"greeting": f"from {run.run_id}"}
    assert created["note"] == f"made by {run.dag_id}"
    result = run.xcom("trigger")
    assert (result["dag_run_id"], result["state"]) == (remote.run_id, "success")
    assert set(result) >= {"logical_date", "run_after", "conf"}
    assert "execution_date" not in result
    assert remote.run_id == f"localhost:{run.deployment.port}~{run.dag_id}~{run.run_id}~trigger~1"
    assert ("Pausing task as DEFERRED" in run.log("trigger")) == (mode == "worker")
    assert bool(run.tasks()["trigger"]["pid"]) == (mode != "deferred")


@both_targets
def test_extra_link_leads_to_the_run_in_the_ui_of_the_target(batch, conn, target):
    run = batch.finished("quick_sync", conn)

    links = run.deployment.request("GET", f"{run.path}/taskInstances/trigger/links")["extra_links"]
    remote = remote_run(run, target, "quick")
    encoded = remote.run_id.replace(":", "%3A")
    page = f"dags/quick/runs/{encoded}" if target.airflow_major == 3 else f"dags/quick/grid?dag_run_id={encoded}"
    assert links == {"Remote dag run": f"{target.url}/{page}"}


@both_targets
@every_mode
def test_failure_names_the_failed_remote_tasks(batch, conn, target, mode):
    run = batch.finished(f"broken_{mode}", conn)

    assert run.state == "failed"
    remote = remote_run(run, target, "broken")
    assert remote.state == "failed"
    log = run.log("trigger")
    assert "load (try 1): ValueError: the file has no rows" in log
    assert "part[1] (try 1): RuntimeError: part 1 is lost" in log
    assert f"{target.url}/dags/broken/" in log
    assert "publish" not in log.split("Failed tasks:")[1].split("Run: ")[0]


@both_targets
@every_mode
def test_retry_continues_with_the_run_of_the_previous_try(batch, conn, target, mode):
    run = batch.finished(f"fails_once_{mode}", conn)

    assert run.state == "success"
    assert run.tasks()["trigger"]["try_number"] == 2
    assert "flaky (try 1): RuntimeError: not yet" in run.log("trigger", 1)
    remote = remote_run(run, target, "fails_once")
    assert [run_id for run_id in runs_of(target, "fails_once") if run.run_id in run_id] == [remote.run_id]
    assert remote.state == "success"
    assert {task: instance["try_number"] for task, instance in remote.tasks().items()} == {"first": 1, "flaky": 2}


@pytest.mark.parametrize(("mode", "conn"), [("sync", "v1_conn"), ("deferred", "v2_conn")])
def test_clear_creates_a_new_run(start_case, mode, conn, target):
    run = start_case(f"trigger_quick_{mode}", conn=conn).wait()
    first = remote_run(run, target, "quick")

    run.deployment.request("POST", f"{run.path}/clear", json={"dry_run": False})
    run.wait_until(lambda: run.tasks()["trigger"]["try_number"] == 2, "the task runs again").wait()

    second = remote_run(run, target, "quick")
    assert second.run_id != first.run_id
    assert second.run_id.endswith("~trigger~2")
    assert (first.state, second.state) == ("success", "success")


@both_targets
def test_task_does_not_wait_by_default(batch, conn, target):
    run = batch.finished("no_wait", conn)

    assert run.state == "success"
    remote = remote_run(run, target, "slow")
    assert remote.state in ("queued", "running")
    assert remote.get()["conf"] == {"seconds": 600}
    target.request("PATCH", remote.path, json={"state": "failed"})


@pytest.mark.parametrize(("mode", "conn"), [("sync", "v2_conn"), ("deferred", "v1_conn")])
def test_execution_timeout_cancels_the_remote_run(batch, mode, conn, target):
    run = batch.finished(f"limited_{mode}", conn)

    assert run.state == "failed"
    remote = remote_run(run, target, "slow")
    assert remote.state == "failed"
    message = run.log("trigger").partition("Timed out after 20 s: dag 'slow'")[2]
    assert remote.run_id in message
    assert target.url in message


@both_targets
def test_dag_id_is_percent_encoded(batch, conn, target):
    run = batch.finished("encoded", conn)

    assert run.state == "success"
    assert remote_run(run, target, "żółw.odd-id").wait().state == "success"


@both_targets
def test_missing_dag_is_reported_with_similar_ids(batch, conn, target):
    run = batch.finished("missing", conn)

    assert run.state == "failed"
    log = run.log("trigger")
    assert "has no dag 'quik'" in log
    assert "It has 'quick'" in log
    assert target.url in log


@both_targets
def test_invalid_conf_is_reported_with_the_reason_of_the_target(batch, conn):
    run = batch.finished("strict", conn)

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 1, "the target would reject a retry, too"
    assert "Invalid input for param day" in run.log("trigger")


@pytest.mark.parametrize("conn", REFUSED)
def test_refused_credentials_fail_without_retries(batch, conn, deployments):
    run = batch.finished(conn, conn)

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 1
    log = run.log("trigger")
    assert "Refused with 40" in log
    assert deployments.target_of(conn).url in log
    assert "of another Workspace or Deployment" in log
    assert "wrong.token" not in log
    assert "wrongpassword" not in log


def test_wrong_path_in_the_connection_is_reported(batch):
    run = batch.finished("wrong_path", "wrong_path")

    assert run.state == "failed"
    assert "check Host of the connection" in run.log("trigger")


def test_refused_connection_is_retried(batch):
    run = batch.finished("closed_port", "closed_port")

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 2, "the target can be available later"
    assert "localhost:9 refused the connection" in run.log("trigger")


def test_missing_connection_is_retried(batch):
    run = batch.finished("no_conn", "no_conn")

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 2, "Airflow reports an unavailable secrets backend in the same way"
    assert "There is no such connection: 'no_conn'" in run.log("trigger")


@pytest.fixture(scope="module")
def existing(start_case, deployments):
    """Finished runs of other origin, and tasks that trigger runs with the same run id or logical date."""
    remote_runs, confs = {}, {}
    for conn in ("v2_conn", "v1_conn"):
        for choice in ("fail", "attach", "reset", "skip"):
            date = (datetime(2010, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=uuid4().int % 10**8)).isoformat()
            target = deployments.target_of(conn)
            run_id = f"existing-{uuid4().hex}"
            remote_runs[choice, conn, "run id"] = trigger_run(target, "quick", run_id=run_id)
            remote_runs[choice, conn, "logical date"] = trigger_run(target, "quick", logical_date=date)
            confs[choice, conn, "logical date"] = {"date": date}
            confs[choice, conn, "run id"] = {"run_id": run_id}
    local_runs = {}
    for case, run in remote_runs.items():
        run.wait()
        choice, conn, _ = case
        local_runs[case] = start_case(f"existing_{choice}", conn=conn, **confs[case])
    return lambda *case: (remote_runs[case], local_runs[case].wait(timeout=240))


@both_targets
@pytest.mark.parametrize("same", ["run id", "logical date"])
class TestOnExistingRun:
    """A run with the same run id or logical date exists and was not created by this task."""

    def test_fail_keeps_the_existing_run(self, existing, conn, same):
        existing_run, run = existing("fail", conn, same)

        assert run.state == "failed"
        assert run.tasks()["trigger"]["try_number"] == 1
        log = run.log("trigger")
        assert existing_run.run_id in log
        for choice in ("'fail'", "'attach'", "'reset'", "'skip'"):
            assert choice in log
        assert existing_run.tasks()["answer"]["try_number"] == 1

    def test_attach_uses_the_existing_run(self, existing, conn, same):
        existing_run, run = existing("attach", conn, same)

        assert run.state == "success"
        assert run.xcom("trigger", "trigger_run_id") == existing_run.run_id
        assert existing_run.tasks()["answer"]["try_number"] == 1

    def test_reset_clears_the_existing_run(self, existing, conn, same):
        existing_run, run = existing("reset", conn, same)

        assert run.state == "success"
        assert run.xcom("trigger", "trigger_run_id") == existing_run.run_id
        assert existing_run.tasks()["answer"]["try_number"] == 2

    def test_skip_keeps_the_existing_run(self, existing, conn, same):
        existing_run, run = existing("skip", conn, same)

        assert run.states()["trigger"] == "skipped"
        assert existing_run.tasks()["answer"]["try_number"] == 1


@both_targets
class TestPausedDag:
    @pytest.fixture(autouse=True)
    def _paused(self, target):
        target.request("PATCH", "dags/sleeping", json={"is_paused": True})
        yield
        target.request("PATCH", "dags/sleeping", json={"is_paused": True})

    @both_modes
    def test_trigger_creates_a_queued_run_and_logs_that_the_dag_is_paused(self, start_case, conn, target, mode):
        run = start_case(f"trigger_sleeping_{mode}", conn=conn)
        run.wait_until(
            lambda: "Paused: dag 'sleeping'" in run.log("trigger") if run.states().get("trigger") else False,
            "the log says that the dag is paused",
        )
        remote = remote_run(run, target, "sleeping")
        assert remote.state == "queued"

        target.request("PATCH", "dags/sleeping", json={"is_paused": False})
        assert run.wait().state == "success"
        assert remote.state == "success"

    def test_unpause_lets_the_run_start(self, start_case, conn, target):
        run = start_case("paused_unpause", conn=conn).wait()

        assert run.state == "success"
        assert target.request("GET", "dags/sleeping")["is_paused"] is False
        assert remote_run(run, target, "sleeping").wait().state == "success"

    def test_fail_creates_no_run(self, start_case, conn, target):
        before = set(runs_of(target, "sleeping"))
        run = start_case("paused_fail", conn=conn).wait()

        assert run.state == "failed"
        assert run.tasks()["trigger"]["try_number"] == 1
        assert "Not triggered: dag 'sleeping' is paused" in run.log("trigger")
        assert set(runs_of(target, "sleeping")) == before


@both_targets
def test_mapped_task_creates_a_run_for_each_conf(batch, conn, target):
    run = batch.finished("mapped", conn)

    assert run.state == "success"
    assert run.xcom("summary") == [0, 1, 2]
    created = [remote for run_id, remote in runs_of(target, "quick").items() if f"~{run.run_id}~trigger+" in run_id]
    assert sorted(remote.get()["conf"]["part"] for remote in created) == [0, 1, 2]


@every_mode
class TestKilledTask:
    """A user who ends the waiting task cancels the remote run."""

    @pytest.fixture
    def waiting(self, start_case, mode, conn, target):
        run = start_case(f"trigger_slow_{mode}", conn=conn)
        # Until a triggerer runs its trigger, a deferred task that is ended cannot cancel the remote run.
        state, sign = {
            "sync": ("running", "Triggered: dag "),
            "deferred": ("deferred", "Triggered: dag "),
            "worker": ("deferred", "starting"),
        }[mode]
        run.wait_until(lambda: run.states().get("trigger") == state and sign in run.log("trigger"), "the task waits")
        run.wait_until(lambda: has_remote_run(run), "the id of the remote run is stored")
        remote = remote_run(run, target, "slow")
        remote.wait_until(lambda: remote.state == "running", "the remote run runs")
        return run, remote

    @both_targets
    def test_marking_the_task_failed_cancels_the_remote_run(self, waiting):
        run, remote = waiting
        run.deployment.request("PATCH", f"{run.path}/taskInstances/trigger", json={"new_state": "failed"})
        remote.wait_until(lambda: remote.state == "failed", "the remote run is cancelled")

    @pytest.mark.parametrize("conn", ["v2_conn"])
    def test_clearing_the_task_cancels_the_remote_run(self, waiting, target):
        run, remote = waiting
        run.deployment.request("POST", f"{run.path}/clear", json={"dry_run": False})
        remote.wait_until(lambda: remote.state == "failed", "the remote run is cancelled")
        run.deployment.request("PATCH", run.path, json={"state": "failed"})


@pytest.mark.parametrize(("mode", "conn"), [("deferred", "v2_conn"), ("worker", "v1_conn")])
def test_wait_continues_after_a_restart_of_the_triggerer(start_case, deployments, mode, conn, target):
    run = start_case(f"trigger_slow_{mode}", conn=conn)
    run.wait_until(lambda: waits(run), "the task waits")
    remote = remote_run(run, target, "slow")
    remote.wait_until(lambda: remote.state == "running", "the remote run runs")

    deployments.triggering.restart("triggerer")

    assert run.states()["trigger"] == "deferred"
    assert remote.state == "running"
    target.request("PATCH", remote.path, json={"state": "success"})
    assert run.wait().state == "success"
    assert run.tasks()["trigger"]["try_number"] == 1


@both_targets
def test_wait_tolerates_an_outage_of_the_target(start_case, conn, target):
    run = start_case("trigger_slow_deferred", conn=conn)
    run.wait_until(lambda: waits(run), "the task waits")
    remote = remote_run(run, target, "slow")
    remote.wait_until(lambda: remote.state == "running", "the remote run runs")

    target.stop("api-server")
    run.wait_until(lambda: "Still waiting: " in run.log("trigger"), "the log reports the outage")
    target.start("api-server")

    target.request("PATCH", remote.path, json={"state": "success"})
    assert run.wait().state == "success"
    assert run.log("trigger").count("Still waiting: ") == 1

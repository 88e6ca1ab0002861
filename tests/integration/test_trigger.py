"""AstroTriggerDagRunOperator, seen from both ends: what the triggering side says, and what the target's API shows."""

from __future__ import annotations

import pytest

from tests.integration.conftest import both_modes, both_targets
from tests.integration.runs import Run, runs_of


def remote_run(run: Run, target, dag_id: str, task_id: str = "trigger") -> Run:
    """The run that a triggering task created, by the id that it says it has."""
    return Run(target, dag_id, run.xcom(task_id, "trigger_run_id"))


@both_targets
@both_modes
def test_brings_a_success_home(begin, conn, target, mode):
    run = begin(f"trigger_quick_{mode}", conn=conn).wait()

    assert run.state == "success"
    remote = remote_run(run, target, "quick")
    there = remote.get()
    assert there["state"] == "success"
    assert there["conf"] == {"greeting": f"from {run.run_id}"}
    assert there["note"] == f"made by {run.dag_id}"
    result = run.xcom("trigger")
    assert (result["dag_run_id"], result["state"]) == (remote.run_id, "success")
    assert set(result) >= {"logical_date", "run_after", "conf"}
    assert "execution_date" not in result
    assert remote.run_id == f"localhost:{run.deployment.port}~{run.dag_id}~{run.run_id}~trigger~1"
    assert ("deferred" in run.log("trigger").lower()) == (mode == "deferred")


@both_targets
def test_links_to_the_run_in_the_targets_own_ui(begin, conn, target):
    run = begin("trigger_quick_sync", conn=conn).wait()

    links = run.deployment.request("GET", f"{run.path}/taskInstances/trigger/links")["extra_links"]
    remote = remote_run(run, target, "quick")
    encoded = remote.run_id.replace(":", "%3A")
    page = f"dags/quick/runs/{encoded}" if target.generation == 3 else f"dags/quick/grid?dag_run_id={encoded}"
    assert links == {"Remote dag run": f"{target.url}/{page}"}


@both_targets
@both_modes
def test_a_failure_names_what_failed_there(begin, conn, target, mode):
    run = begin(f"trigger_broken_{mode}", conn=conn).wait()

    assert run.state == "failed"
    remote = remote_run(run, target, "broken")
    assert remote.state == "failed"
    log = run.log("trigger")
    assert "load (try 1): ValueError: the file has no rows" in log
    assert "part[1] (try 1): RuntimeError: part 1 is lost" in log
    assert f"{target.url}/dags/broken/" in log
    assert "publish" not in log.split("Failed tasks:")[1].split("See ")[0]


@both_targets
@both_modes
def test_a_retry_goes_on_with_the_run_of_the_try_before(begin, conn, target, mode):
    before = set(runs_of(target, "fails_once"))
    run = begin(f"trigger_fails_once_{mode}", conn=conn).wait()

    assert run.state == "success"
    assert run.tasks()["trigger"]["try_number"] == 2
    assert "flaky (try 1): RuntimeError: not yet" in run.log("trigger", 1)
    remote = remote_run(run, target, "fails_once")
    assert set(runs_of(target, "fails_once")) - before == {remote.run_id}
    assert remote.state == "success"
    assert {task: instance["try_number"] for task, instance in remote.tasks().items()} == {"first": 1, "flaky": 2}


@both_targets
def test_a_clear_makes_a_new_run(begin, conn, target):
    run = begin("trigger_quick_sync", conn=conn).wait()
    first = remote_run(run, target, "quick")

    run.deployment.request("POST", f"{run.path}/clear", json={"dry_run": False})
    run.wait_until(lambda: run.tasks()["trigger"]["try_number"] == 2, "the task runs again").wait()

    second = remote_run(run, target, "quick")
    assert second.run_id != first.run_id
    assert second.run_id.endswith("~trigger~2")
    assert (first.state, second.state) == ("success", "success")


@both_targets
def test_does_not_wait_unless_told_so(begin, conn, target):
    run = begin("trigger_only", conn=conn, dag="slow", remote_conf={"seconds": 600}).wait()

    assert run.state == "success"
    remote = remote_run(run, target, "slow")
    assert remote.state in ("queued", "running")
    assert remote.get()["conf"] == {"seconds": 600}
    target.request("PATCH", remote.path, json={"state": "failed"})


@both_targets
def test_an_id_that_must_be_encoded(begin, conn, target):
    run = begin("trigger_only", conn=conn, dag="żółw.odd-id").wait()

    assert run.state == "success"
    assert remote_run(run, target, "żółw.odd-id").wait().state == "success"


@both_targets
def test_a_missing_dag_is_named_with_those_like_it(begin, conn, target):
    run = begin("trigger_only", conn=conn, dag="quik").wait()

    assert run.state == "failed"
    log = run.log("trigger")
    assert "has no dag 'quik'" in log
    assert "It has 'quick'" in log
    assert target.url in log


@both_targets
def test_the_targets_reasons_are_told(begin, conn):
    run = begin("trigger_only", conn=conn, dag="strict", remote_conf={"day": "no day"}).wait()

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 1, "no retry: it would be refused again"
    assert "Invalid input for param day" in run.log("trigger")


@pytest.mark.parametrize("conn", ["v2_viewer", "v1_viewer", "v2_wrong_token", "v1_wrong_token"])
def test_who_is_refused_is_told_so_and_not_retried(begin, conn, world):
    run = begin("trigger_only", conn=conn, dag="quick").wait()

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 1
    log = run.log("trigger")
    assert "refused" in log
    assert (world.target if "v2" in conn else world.target_v1).url in log
    assert "of another Workspace or Deployment" in log
    assert "wrong.token" not in log
    assert "wrongpassword" not in log


def test_a_wrong_path_is_no_rest_api(begin):
    run = begin("trigger_only", conn="wrong_path", dag="quick").wait()

    assert run.state == "failed"
    assert "Check Host of connection 'wrong_path'" in run.log("trigger")


def test_nobody_there(begin):
    run = begin("trigger_only", conn="nobody_there", dag="quick").wait()

    assert run.state == "failed"
    assert run.tasks()["trigger"]["try_number"] == 2, "it may be there later"
    assert "localhost:9 refused the connection" in run.log("trigger")


def test_no_such_connection(begin):
    run = begin("trigger_only", conn="no_conn", dag="quick").wait()

    assert run.state == "failed"
    assert "Connection 'no_conn', field Connection Id: there is no such connection" in run.log("trigger")


@both_targets
class TestOnExistingRun:
    """The run that it would create is there already, and somebody else made it."""

    @pytest.fixture(params=["run id", "logical date"])
    def there(self, request, conn, target):
        """A finished run with the run id or logical date that the triggering task will ask for, and the conf for it."""
        from tests.integration.runs import start

        if request.param == "run id":
            run = start(target, "quick", run_id=f"there-{request.node.name}").wait()
            return run, {"run_id": run.run_id}
        date = f"2025-01-01T{len(runs_of(target, 'quick')) % 24:02}:{len(runs_of(target, 'quick')) // 24:02}:00+00:00"
        run = start(target, "quick", logical_date=date).wait()
        return run, {"logical_date": date}

    def test_fail(self, begin, conn, there, target):
        existing, conf = there
        run = begin("existing_fail", conn=conn, **conf).wait()

        assert run.state == "failed"
        assert run.tasks()["trigger"]["try_number"] == 1
        log = run.log("trigger")
        assert existing.run_id in log
        for choice in ("'fail'", "'attach'", "'reset'", "'skip'"):
            assert choice in log
        assert existing.tasks()["answer"]["try_number"] == 1

    def test_attach(self, begin, conn, there, target):
        existing, conf = there
        run = begin("existing_attach", conn=conn, **conf).wait()

        assert run.state == "success"
        assert run.xcom("trigger", "trigger_run_id") == existing.run_id
        assert existing.tasks()["answer"]["try_number"] == 1

    def test_reset(self, begin, conn, there, target):
        existing, conf = there
        run = begin("existing_reset", conn=conn, **conf).wait()

        assert run.state == "success"
        assert run.xcom("trigger", "trigger_run_id") == existing.run_id
        assert existing.tasks()["answer"]["try_number"] == 2

    def test_skip(self, begin, conn, there, target):
        existing, conf = there
        run = begin("existing_skip", conn=conn, **conf).wait()

        assert run.states()["trigger"] == "skipped"
        assert existing.tasks()["answer"]["try_number"] == 1


@both_targets
class TestPausedDag:
    @pytest.fixture(autouse=True)
    def _paused(self, target):
        target.request("PATCH", "dags/sleeping", json={"is_paused": True})
        yield
        target.request("PATCH", "dags/sleeping", json={"is_paused": True})

    @both_modes
    def test_trigger_anyway_and_say_so(self, begin, conn, target, mode):
        run = begin(f"trigger_sleeping_{mode}", conn=conn)
        run.wait_until(
            lambda: "'sleeping' is paused" in run.log("trigger") if run.states().get("trigger") else False,
            "the log says that the dag is paused",
        )
        remote = remote_run(run, target, "sleeping")
        assert remote.state == "queued"

        target.request("PATCH", "dags/sleeping", json={"is_paused": False})
        assert run.wait().state == "success"
        assert remote.state == "success"

    def test_unpause(self, begin, conn, target):
        run = begin("paused_unpause", conn=conn).wait()

        assert run.state == "success"
        assert target.request("GET", "dags/sleeping")["is_paused"] is False
        assert remote_run(run, target, "sleeping").wait().state == "success"

    def test_fail(self, begin, conn, target):
        before = set(runs_of(target, "sleeping"))
        run = begin("paused_fail", conn=conn).wait()

        assert run.state == "failed"
        assert run.tasks()["trigger"]["try_number"] == 1
        assert "'sleeping' is paused" in run.log("trigger")
        assert set(runs_of(target, "sleeping")) == before


@both_targets
def test_mapped(begin, conn, target):
    run = begin("mapped_trigger", conn=conn).wait()

    assert run.state == "success"
    assert run.xcom("summary") == [0, 1, 2]
    made = [remote for run_id, remote in runs_of(target, "quick").items() if f"~{run.run_id}~trigger+" in run_id]
    assert sorted(remote.get()["conf"]["part"] for remote in made) == [0, 1, 2]


@both_modes
class TestKilling:
    """Who ends the waiting task decides what becomes of the remote run."""

    @pytest.fixture
    def waiting(self, begin, mode, conn, target):
        run = begin(f"trigger_slow_{mode}", conn=conn)
        state = {"sync": "running", "deferred": "deferred"}[mode]
        run.wait_until(
            lambda: run.states().get("trigger") == state and "trigger_run_id" in str(xcom_keys(run)), "it waits"
        )
        remote = remote_run(run, target, "slow")
        remote.wait_until(lambda: remote.state == "running", "the remote run runs")
        return run, remote

    @both_targets
    def test_marking_it_failed_cancels_the_remote_run(self, waiting):
        run, remote = waiting
        run.deployment.request("PATCH", f"{run.path}/taskInstances/trigger", json={"new_state": "failed"})
        remote.wait_until(lambda: remote.state == "failed", "the remote run is cancelled")

    @pytest.mark.parametrize("conn", ["v2_conn"])
    def test_clearing_it_cancels_the_remote_run(self, waiting, target):
        run, remote = waiting
        run.deployment.request("POST", f"{run.path}/clear", json={"dry_run": False})
        remote.wait_until(lambda: remote.state == "failed", "the remote run is cancelled")
        run.deployment.request("PATCH", run.path, json={"state": "failed"})


def xcom_keys(run: Run) -> list[str]:
    entries = run.deployment.request("GET", f"{run.path}/taskInstances/trigger/xcomEntries")["xcom_entries"]
    return [entry["key"] for entry in entries]


@pytest.mark.parametrize("conn", ["v2_conn"])
def test_a_triggerer_that_restarts_goes_on_waiting(begin, world, conn, target):
    run = begin("trigger_slow_deferred", conn=conn)
    run.wait_until(run.task_is("trigger", "deferred"), "it waits")
    remote = remote_run(run, target, "slow")
    remote.wait_until(lambda: remote.state == "running", "the remote run runs")

    world.triggering.restart("triggerer")

    assert run.states()["trigger"] == "deferred"
    assert remote.state == "running"
    target.request("PATCH", remote.path, json={"state": "success"})
    assert run.wait().state == "success"
    assert run.tasks()["trigger"]["try_number"] == 1

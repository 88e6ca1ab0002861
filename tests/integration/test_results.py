"""Tasks that return what tasks of a remote run returned, on real deployments, asserted at both ends."""

from __future__ import annotations

import pytest

from tests.integration.conftest import CaseRuns, both_targets, every_mode
from tests.integration.runs import Run, runs_of

MODES = ("sync", "deferred", "worker")


@pytest.fixture(scope="module")
def new_runs(start_case):
    return CaseRuns(start_case, {mode: (f"result_of_new_run_{mode}", {}) for mode in MODES})


@both_targets
@every_mode
def test_task_returns_what_a_task_of_its_remote_run_returned(new_runs, conn, target, mode):
    run = new_runs.finished(mode, conn)

    assert run.state == "success"
    remote = Run(target, "quick", run.xcom("trigger", "trigger_run_id"))
    assert run.xcom("trigger") == remote.xcom("answer") == {"answer": 42, "conf": {"run": run.run_id}}
    assert run.xcom("use") == 43
    assert [run_id for run_id in runs_of(target, "quick") if run.run_id in run_id] == [remote.run_id]
    assert bool(run.tasks()["trigger"]["pid"]) == (mode != "deferred")

"""Waits for task groups detect a target with Airflow 3.0, which ignores the filter for the tasks of a group."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from astro_provider.api.errors import NotFoundError, RequestNotPossible
from astro_provider.hooks.astro import AstroHook
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from dev.deployments import TARGET, running
from dev.environments import ENVIRONMENTS
from tests.integration.runs import Run, trigger_run

ENVIRONMENT = ENVIRONMENTS["triggering-3.0.6"]
DAGS = Path(__file__).parent / "dags" / "target"


@pytest.fixture(scope="module")
def ended() -> Iterator[Run]:
    """A finished run in the target of the connection `target_3_0`."""
    assert ENVIRONMENT.is_fresh(), f"`make {ENVIRONMENT.name}` makes its environment"
    target = replace(TARGET, name="target-3.0.6", environment=ENVIRONMENT.name, port=8085, dags=[DAGS])
    with running(target), pytest.MonkeyPatch.context() as patch:
        target.wait_for_dags("groups")
        patch.setenv("AIRFLOW_CONN_TARGET_3_0", json.dumps(target.connection("astro")))
        yield trigger_run(target, "groups").wait()


def check(run: Run, group_id: str, *, must_exist: bool = False) -> Verdict:
    wait = RunWait(
        run.dag_id,
        EndStates(("success",), ("failed", "upstream_failed")),
        run_id=run.run_id,
        group_id=group_id,
        check_existence=must_exist,
    )
    with AstroHook("target_3_0") as hook:
        return hook.run(Check(hook.client, wait).run())


def test_airflow_3_0_ignores_the_task_group_filter(ended: Run) -> None:
    """The other tests of this file depend on this."""
    assert ended.states() == {"outside": "failed", "prefixed.inside": "success", "loose": "success"}
    listed = ended.deployment.request("GET", f"{ended.path}/taskInstances", params={"task_group_id": "no_such_group"})
    assert listed["total_entries"] == 3


def test_prefixed_group_is_distinguished_from_the_tasks_outside(ended: Run) -> None:
    assert check(ended, "prefixed").outcome == "success"
    assert check(ended, "prefixed", must_exist=True).outcome == "success"


@pytest.mark.parametrize("group_id", ["no_such_group", "unprefixed", "prefix"])
def test_other_groups_raise_an_error(ended: Run, group_id: str) -> None:
    with pytest.raises(RequestNotPossible) as caught:
        check(ended, group_id)
    message = str(caught.value)
    assert message.startswith("Airflow 3.0.6 of Deployment http://localhost:")
    assert f"no task of dag 'groups' has an id that begins with '{group_id}.'" in message
    assert "or it has prefix_group_id=False. Name its tasks in external_task_ids instead." in message


def test_group_that_must_exist_but_does_not_raises_an_error(ended: Run) -> None:
    with pytest.raises(NotFoundError, match="has no task group 'no_such_group' in dag 'groups'"):
        check(ended, "no_such_group", must_exist=True)

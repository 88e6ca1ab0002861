"""A dag that already has a queued or running run when the task triggers it. Choices are tested in `test_active_run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import DagRunFailedError
from tests.unit.operators.trigger_operators import RUN_ID, retry_context, trigger_operator, waiting_operator
from tests.unit.task_runner import Store, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer


@pytest.mark.parametrize("choice", ["trigger", "attach", "skip", "fail"])
def test_run_is_created_if_no_run_is_active(any_airflow: FakeAirflowServer, choice: str) -> None:
    any_airflow.has_run("over", "success")
    assert waiting_operator(on_active_run=choice).execute(context())["state"] == "success"
    assert list(any_airflow.runs) == ["over", RUN_ID]


def test_run_is_created_by_default_although_another_is_active(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    trigger_operator().execute(context())
    assert list(any_airflow.runs) == ["theirs", RUN_ID]


def test_fail_fails_without_a_retry(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(AirflowFailException, match="Not triggered: dag 'd' already has a running run"):
        trigger_operator(on_active_run="fail", retries=2).execute(retry_context(1))
    assert list(any_airflow.runs) == ["theirs"]


def test_skip_skips_the_task_before_the_dag_is_unpaused(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "queued")
    any_airflow.dags["d"] = True
    with pytest.raises(AirflowSkipException, match="Skipped: dag 'd' already has a queued run"):
        trigger_operator(on_active_run="skip", if_paused="unpause").execute(context())
    assert (list(any_airflow.runs), any_airflow.dags) == (["theirs"], {"d": True})


def test_attach_waits_for_the_active_run_and_never_cancels_it(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "queued", "running", "success")
    any_airflow.dags["d"] = True
    ti = TaskInstance()
    operator = waiting_operator(on_active_run="attach", if_paused="unpause")
    run = operator.execute(context(ti))
    assert (run["dag_run_id"], run["state"], ti.xcoms["trigger_run_id"]) == ("theirs", "success", "theirs")
    assert any_airflow.trigger_bodies() == []
    assert operator._cancels is False


@pytest.mark.parametrize("given_run_id", [None, "mine"])
def test_retry_continues_with_the_finished_run_that_it_attached_to(
    any_airflow: FakeAirflowServer, given_run_id: str | None
) -> None:
    """The run has failed, and is not repaired, because this task did not create it."""
    store = Store()
    any_airflow.has_run("theirs", "running", "running", "failed")
    any_airflow.has_task("load", "failed", run_id="theirs")
    operator = waiting_operator(on_active_run="attach", trigger_run_id=given_run_id, retries=2)
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry_context(number, store=store))
        any_airflow.dags["d"] = True
        operator.if_paused = "fail"  # which is about runs that are to be created
    assert (list(any_airflow.runs), any_airflow.cleared) == (["theirs"], [])
    assert operator._cancels is False


def test_retry_without_a_store_attaches_as_long_as_the_run_is_active(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    operator = trigger_operator(on_active_run="attach", retries=2)
    assert [operator.execute(retry_context(number))["dag_run_id"] for number in (1, 2)] == ["theirs"] * 2
    any_airflow.end_run("theirs")
    assert operator.execute(retry_context(3))["dag_run_id"] == RUN_ID


def test_cleared_task_forgets_the_run_that_it_attached_to(any_airflow: FakeAirflowServer) -> None:
    store = Store()
    any_airflow.has_run("theirs", "running")
    operator = trigger_operator(on_active_run="attach", retries=2)
    operator.execute(retry_context(1, store=store))
    any_airflow.end_run("theirs")
    cleared = context(TaskInstance(try_number=2, max_tries=3), task_state_store=store)
    assert operator.execute(cleared)["dag_run_id"] == RUN_ID[:-1] + "2"


@pytest.mark.parametrize("choice", ["attach", "skip", "fail"])
@pytest.mark.parametrize("has_store", [True, False])
def test_retry_continues_with_the_run_that_it_created(
    any_airflow: FakeAirflowServer, choice: str, has_store: bool
) -> None:
    store = Store() if has_store else None
    any_airflow.new_run_states = ["running", "failed"]
    operator = waiting_operator(on_active_run=choice, retries=2)
    with pytest.raises(DagRunFailedError):
        operator.execute(retry_context(1, store=store))
    any_airflow.has_task("load", "failed", run_id=RUN_ID)
    any_airflow.has_run("theirs", "running")
    any_airflow.new_run_states = ["running", "success"]
    assert operator.execute(retry_context(2, store=store))["dag_run_id"] == RUN_ID
    assert any_airflow.cleared == [(RUN_ID, True)]

"""A run that exists already, from an earlier try of the task or from another creator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import ConflictError, DagRunFailedError
from astro_provider.tasks.existing_run import ON_EXISTING_RUN
from tests.unit.operators.trigger_operators import (
    CREATED_BEFORE,
    DATE,
    RUN_ID,
    add_clashing_run,
    any_clash,
    retry_context,
    trigger_operator,
)
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, Store, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

CHOICES = "'fail' .as now., 'attach' to it, 'reset' it .*, 'resume' it .*, or 'skip' this task"


# A retry continues with the run of an earlier try, with any on_existing_run.

any_choice = pytest.mark.parametrize("choice", ON_EXISTING_RUN)


@any_choice
@pytest.mark.parametrize("given_run_id", [None, "mine"])
def test_retry_continues_with_its_run(any_airflow: FakeAirflowServer, choice: str, given_run_id: str | None) -> None:
    any_airflow.has_run(given_run_id or RUN_ID, "running", "success")
    operator = trigger_operator(
        retries=2, on_existing_run=choice, trigger_run_id=given_run_id, wait_for_completion=True
    )
    assert operator.execute(retry_context())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([given_run_id or RUN_ID], [])


@any_choice
def test_retry_returns_its_run_that_has_succeeded(any_airflow: FakeAirflowServer, choice: str) -> None:
    any_airflow.has_run(RUN_ID, "success")
    operator = trigger_operator(retries=2, on_existing_run=choice, wait_for_completion=True)
    assert operator.execute(retry_context())["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize(
    ("choice", "given_run_id"),
    [
        *((choice, None) for choice in ON_EXISTING_RUN),
        *((choice, "mine") for choice in ON_EXISTING_RUN if choice != "attach"),
    ],
)
def test_retry_clears_the_failed_tasks_of_its_run(
    any_airflow: FakeAirflowServer, choice: str, given_run_id: str | None
) -> None:
    run_id = given_run_id or RUN_ID
    any_airflow.has_run(run_id, "failed")
    any_airflow.has_task("load", "failed", run_id=run_id)
    operator = trigger_operator(
        retries=2, on_existing_run=choice, trigger_run_id=given_run_id, wait_for_completion=True
    )
    assert operator.execute(retry_context())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([run_id], [(run_id, True)])


def test_retry_clears_tasks_that_the_cancelled_run_skipped(any_airflow: FakeAirflowServer) -> None:
    """A cancelled run skips its remaining tasks. If they were not cleared, the run would succeed without them."""
    any_airflow.has_run(RUN_ID, "failed")
    any_airflow.has_task("extract", "success", run_id=RUN_ID)
    any_airflow.has_task("load", "failed", run_id=RUN_ID)
    any_airflow.has_task("report", "skipped", run_id=RUN_ID, try_number=0)
    any_airflow.has_task("other_branch", "skipped", run_id=RUN_ID, try_number=0, end_date="2026-01-31T05:00:00Z")
    assert trigger_operator(retries=2, wait_for_completion=True).execute(retry_context())["state"] == "success"
    assert any_airflow.cleared_tasks == [(RUN_ID, ["report"], False)]
    assert any_airflow.cleared == [(RUN_ID, True)]


@any_choice
def test_retry_applies_on_existing_run_to_an_older_run_with_the_given_run_id(
    any_airflow: FakeAirflowServer, choice: str
) -> None:
    """The first try might have failed before it reached the target."""
    any_airflow.has_run("mine", "success", **CREATED_BEFORE)
    operator = trigger_operator(retries=2, on_existing_run=choice, trigger_run_id="mine", wait_for_completion=True)
    if choice in ("fail", "skip"):
        with pytest.raises(AirflowFailException if choice == "fail" else AirflowSkipException):
            operator.execute(retry_context())
    else:
        assert operator.execute(retry_context())["state"] == "success"
    assert any_airflow.cleared == ([("mine", False)] if choice == "reset" else [])


def test_each_retry_clears_the_failed_tasks_of_the_run_once(any_airflow: FakeAirflowServer) -> None:
    any_airflow.new_run_states = ["running", "failed"]
    any_airflow.has_task("load", "failed", run_id=RUN_ID)
    operator = trigger_operator(retries=2, wait_for_completion=True)
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry_context(number))
    assert any_airflow.cleared == [(RUN_ID, True)] * 2


def test_retry_that_does_not_wait_leaves_its_failed_run_alone(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "failed")
    assert trigger_operator(retries=2).execute(retry_context())["state"] == "failed"
    assert any_airflow.cleared == []


def test_retry_does_not_clear_a_run_whose_failure_is_allowed(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "failed")
    operator = trigger_operator(retries=2, wait_for_completion=True, allowed_states=["success", "failed"])
    assert operator.execute(retry_context())["state"] == "failed"
    assert any_airflow.cleared == []


# A first try has not created a run before.


@any_choice
@pytest.mark.parametrize("state", ["success", "running"])
def test_first_try_applies_on_existing_run_to_an_older_run_with_its_run_id(
    any_airflow: FakeAirflowServer, choice: str, state: str
) -> None:
    """The triggering dag run was deleted and created again with the same id, so the same run id is derived."""
    any_airflow.has_run(RUN_ID, state, "success")
    operator = trigger_operator(retries=2, on_existing_run=choice, wait_for_completion=True)
    first = context(TaskInstance(max_tries=2))
    if choice == "fail":
        with pytest.raises(AirflowFailException, match=r"created before, maybe by .* deleted.*\n.*on_existing_run"):
            operator.execute(first)
    elif choice == "skip":
        with pytest.raises(AirflowSkipException):
            operator.execute(first)
    else:
        assert operator.execute(first)["state"] == "success"
    assert any_airflow.cleared == ([(RUN_ID, False)] if choice == "reset" else [])


def test_retry_fails_for_an_older_run_with_its_run_id(any_airflow: FakeAirflowServer) -> None:
    """The triggering dag run was created again, and the first try did not reach the target."""
    any_airflow.has_run(RUN_ID, "success", **CREATED_BEFORE)
    with pytest.raises(AirflowFailException, match="created before"):
        trigger_operator(retries=2, wait_for_completion=True).execute(retry_context())


@any_choice
@pytest.mark.parametrize("date", [None, DATE])
def test_first_try_uses_the_run_that_a_request_with_a_lost_response_created(
    any_airflow: FakeAirflowServer, choice: str, date: str | None
) -> None:
    def create(received: ReceivedRequest) -> ScriptedResponse:
        any_airflow.stored_response(received)
        return json_response({"detail": "the error of a proxy"}, 503)

    any_airflow.on("POST", "dags/d/dagRuns", create, any_airflow.stored_response)
    operator = trigger_operator(on_existing_run=choice, logical_date=date, wait_for_completion=True)
    assert operator.execute(context())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([RUN_ID], [])


@pytest.mark.parametrize("lead", [-3600, -3, 3, 3600])
def test_dates_of_the_target_are_compared_by_the_clock_of_the_target(
    any_airflow: FakeAirflowServer, clock: FakeClock, lead: float
) -> None:
    """A run is the task's own if it was created after the try started, even if the target's clock is wrong."""
    any_airflow.clock_lead = lead
    clock.shift(2)
    trigger_operator().execute(context())
    any_airflow.on(
        "POST", "dags/d/dagRuns", json_response(any_airflow.payloads.error(409, "Unique constraint violation"), 409)
    )
    assert trigger_operator().execute(context(TaskInstance(start_date=NOW)))["dag_run_id"] == RUN_ID
    clock.shift(2)
    with pytest.raises(AirflowFailException, match="created before"):
        trigger_operator().execute(context(TaskInstance(start_date=NOW + timedelta(seconds=4))))


def test_cleared_task_creates_a_new_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "success", logical_date=DATE)
    trigger_operator(retries=2).execute(context(TaskInstance(try_number=2, max_tries=3)))
    assert list(any_airflow.runs) == [RUN_ID, RUN_ID[:-1] + "2"]


# A run with the same run id or logical date that the task did not create.


@any_clash
def test_existing_run_fails_for_good_and_names_the_choices(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "running")
    with pytest.raises(
        AirflowFailException,
        match=f"(?s)^Not triggered: dag 'd' .*the same {by}.*on_existing_run: {CHOICES}.*: theirs\n",
    ) as caught:
        trigger_operator(**same).execute(context())
    assert f"{any_airflow.url}/dags/d/" in str(caught.value)
    assert list(any_airflow.runs) == ["theirs"]


@any_clash
def test_existing_run_skips_the_task_with_skip(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "running")
    with pytest.raises(AirflowSkipException, match=f"(?s)^Skipped: dag 'd' already has .* same {by}.*: theirs\n"):
        trigger_operator(on_existing_run="skip", **same).execute(context())
    assert list(any_airflow.runs) == ["theirs"]


@any_clash
def test_existing_run_is_waited_for_with_attach(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "running", "running", "success")
    ti = TaskInstance()
    run = trigger_operator(on_existing_run="attach", wait_for_completion=True, **same).execute(context(ti))
    assert (run["dag_run_id"], run["state"], ti.xcoms["trigger_run_id"]) == ("theirs", "success", "theirs")
    assert any_airflow.cleared == []


@any_clash
def test_failed_existing_run_fails_the_task_with_attach(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "failed")
    with pytest.raises(DagRunFailedError):
        trigger_operator(on_existing_run="attach", wait_for_completion=True, **same).execute(context())
    assert any_airflow.cleared == []


@any_clash
def test_existing_run_is_cleared_with_reset(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "failed")
    run = trigger_operator(on_existing_run="reset", wait_for_completion=True, **same).execute(context())
    assert (run["dag_run_id"], run["state"]) == ("theirs", "success")
    assert any_airflow.cleared == [("theirs", False)]


@any_clash
def test_failed_existing_run_runs_its_failed_tasks_again_with_resume(any_airflow: FakeAirflowServer, by: str) -> None:
    same = add_clashing_run(any_airflow, by, "failed")
    any_airflow.has_task("load", "failed", run_id="theirs")
    operator = trigger_operator(on_existing_run="resume", wait_for_completion=True, **same)
    run = operator.execute(context())
    assert (run["dag_run_id"], run["state"]) == ("theirs", "success")
    assert any_airflow.cleared == [("theirs", True)]
    assert operator._cancels is True


@any_clash
@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_other_existing_run_is_attached_to_with_resume(any_airflow: FakeAirflowServer, by: str, state: str) -> None:
    same = add_clashing_run(any_airflow, by, state, "success")
    operator = trigger_operator(on_existing_run="resume", wait_for_completion=True, **same)
    assert operator.execute(context())["state"] == "success"
    assert any_airflow.cleared == []
    assert operator._cancels is False


@any_clash
@pytest.mark.parametrize("has_store", [True, False])
@pytest.mark.parametrize("ends_in", ["running", "success", "failed"])
def test_retry_does_not_resume_the_run_again(
    any_airflow: FakeAirflowServer, by: str, has_store: bool, ends_in: str
) -> None:
    """The first try might have ended before Airflow stored its success."""
    store = Store() if has_store else None
    same = add_clashing_run(any_airflow, by, "failed")
    any_airflow.has_task("load", "failed", run_id="theirs")
    any_airflow.new_run_states = ["running", ends_in]
    operator = trigger_operator(retries=2, on_existing_run="resume", **same)
    for number in (1, 2, 3):
        assert operator.execute(retry_context(number, store=store))["dag_run_id"] == "theirs"
    assert any_airflow.cleared == [("theirs", True)]
    assert operator._cancels is has_store, "without the store, the run might be one that the task attached to"


@any_clash
@pytest.mark.parametrize("has_store", [True, False])
def test_retry_resumes_a_run_that_failed_after_the_task_attached_to_it(
    any_airflow: FakeAirflowServer, by: str, has_store: bool
) -> None:
    store = Store() if has_store else None
    same = add_clashing_run(any_airflow, by, "running", "failed")
    any_airflow.has_task("load", "failed", run_id="theirs")
    operator = trigger_operator(retries=2, on_existing_run="resume", wait_for_completion=True, **same)
    with pytest.raises(DagRunFailedError):
        operator.execute(retry_context(1, store=store))
    assert operator._cancels is False
    assert operator.execute(retry_context(2, store=store))["state"] == "success"
    assert any_airflow.cleared == [("theirs", True)]
    assert operator._cancels is True


def test_retry_does_not_reset_the_run_again(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "success", logical_date=DATE)
    operator = trigger_operator(retries=2, on_existing_run="reset", wait_for_completion=True, logical_date=DATE)
    assert operator.execute(retry_context())["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize("has_store", [True, False])
def test_retry_does_not_clear_the_failed_run_that_it_attached_to(
    any_airflow: FakeAirflowServer, has_store: bool
) -> None:
    """The run was queued when the task attached to it, so that its dates do not show that it is older than the task."""
    store = Store() if has_store else None
    any_airflow.has_run("theirs", "queued", "running", "failed", start_date=None)
    any_airflow.has_task("load", "failed", run_id="theirs")
    operator = trigger_operator(retries=2, on_existing_run="attach", wait_for_completion=True, trigger_run_id="theirs")
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry_context(number, store=store))
    assert any_airflow.cleared == []
    assert operator._cancels is False


def test_retry_clears_the_failed_tasks_of_the_run_that_it_created_with_attach(any_airflow: FakeAirflowServer) -> None:
    """On Airflow 3.3 and later, the store says that an earlier try created the run and did not attach to it."""
    any_airflow.new_run_states = ["running", "failed"]
    store = Store()
    operator = trigger_operator(retries=2, on_existing_run="attach", wait_for_completion=True, trigger_run_id="mine")
    with pytest.raises(DagRunFailedError):
        operator.execute(retry_context(1, store=store))
    any_airflow.has_task("load", "failed", run_id="mine")
    any_airflow.new_run_states = ["running", "success"]
    assert operator.execute(retry_context(2, store=store))["state"] == "success"
    assert any_airflow.cleared == [("mine", True)]
    assert operator._cancels is True


# A task that was cleared.


def cleared_context(number: int = 2, **ti: Any) -> dict[str, Any]:
    """Make the context of a task that was cleared after its first try."""
    return context(TaskInstance(try_number=number, max_tries=3, **ti))


@any_choice
@pytest.mark.parametrize("state", ["success", "failed", "running"])
def test_cleared_task_resets_its_earlier_run_with_the_same_logical_date(
    any_airflow: FakeAirflowServer, log_lines: list[str], choice: str, state: str
) -> None:
    """A dag can have only one run per logical date."""
    any_airflow.has_run(RUN_ID, state, "success", logical_date=DATE)
    operator = trigger_operator(retries=2, on_existing_run=choice, wait_for_completion=True, logical_date=DATE)
    run = operator.execute(cleared_context())
    assert (run["dag_run_id"], run["state"]) == (RUN_ID, "success")
    assert any_airflow.cleared == [(RUN_ID, False)]
    assert any(
        line.startswith("Resetting: dag 'd' ") and "This task created it before it was cleared" in line
        for line in log_lines
    )


@pytest.mark.parametrize("map_index", [-1, 3])
def test_cleared_task_does_not_reset_the_run_of_another_task(any_airflow: FakeAirflowServer, map_index: int) -> None:
    any_airflow.has_run(RUN_ID.replace("~1", "+1~1"), "success", logical_date=DATE)
    with pytest.raises(AirflowFailException, match="same logical date"):
        trigger_operator(retries=2, logical_date=DATE).execute(cleared_context(map_index=map_index))


def test_retry_after_a_clear_continues_with_the_unfinished_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "running", "success", logical_date=DATE)
    operator = trigger_operator(retries=2, wait_for_completion=True, logical_date=DATE)
    assert operator.execute(cleared_context(3))["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize("state", ["success", "failed"])
def test_retry_after_a_clear_resets_a_finished_run(any_airflow: FakeAirflowServer, state: str) -> None:
    """The run might have finished before the clear: the start of the triggering dag run is no evidence."""
    any_airflow.has_run(RUN_ID, state, logical_date=DATE)
    operator = trigger_operator(retries=2, wait_for_completion=True, logical_date=DATE)
    assert operator.execute(cleared_context(3))["state"] == "success"
    assert any_airflow.cleared == [(RUN_ID, False)]


def test_retry_after_a_clear_does_not_return_a_success_from_before_the_clear(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("mine", "success")
    operator = trigger_operator(retries=2, wait_for_completion=True, trigger_run_id="mine", on_existing_run="reset")
    assert operator.execute(cleared_context(3))["state"] == "success"
    assert any_airflow.cleared == [("mine", False)]


def test_conflict_without_an_existing_run_fails_with_the_reason(fake_airflow: FakeAirflowServer) -> None:
    detail = {"reason": "Unique constraint violation", "message": "look into the logs"}
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({"detail": detail}, 409))
    with pytest.raises(AirflowFailException, match="Unique constraint violation") as caught:
        trigger_operator().execute(context())
    assert isinstance(caught.value.__context__, ConflictError)

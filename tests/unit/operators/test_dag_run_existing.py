"""A run that is there already: of an earlier try of the task, or of somebody else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import ConflictError, DagRunFailedError
from astro_provider.tasks.existing_run import ON_EXISTING_RUN
from tests.unit.operators.trigger import CREATED_BEFORE, RUN_ID, trigger
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, Store, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

DATE = "2026-01-31T06:00:00+00:00"
CHOICES = "'fail' .as now., 'attach' to it, 'reset' it .*, or 'skip' this task"


def retry(number: int = 2, store: Store | None = None, **ti: Any) -> dict[str, Any]:
    more = {} if store is None else {"task_state_store": store}
    return context(TaskInstance(try_number=number, max_tries=2, **ti), **more)


# A retry goes on with the run of an earlier try, whatever on_existing_run says.

any_choice = pytest.mark.parametrize("choice", ["fail", "attach", "reset", "skip"])


@any_choice
@pytest.mark.parametrize("explicit", [None, "mine"])
def test_a_retry_goes_on_with_its_run(any_airflow: FakeAirflowServer, choice: str, explicit: str | None) -> None:
    any_airflow.has_run(explicit or RUN_ID, "running", "success")
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id=explicit, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([explicit or RUN_ID], [])


@any_choice
def test_a_retry_takes_the_success_of_its_run(any_airflow: FakeAirflowServer, choice: str) -> None:
    any_airflow.has_run(RUN_ID, "success")
    operator = trigger(retries=2, on_existing_run=choice, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize(
    ("choice", "explicit"),
    [*((choice, None) for choice in ON_EXISTING_RUN), ("fail", "mine"), ("reset", "mine"), ("skip", "mine")],
)
def test_a_retry_clears_what_failed_in_its_run(
    any_airflow: FakeAirflowServer, choice: str, explicit: str | None
) -> None:
    run_id = explicit or RUN_ID
    any_airflow.has_run(run_id, "failed")
    any_airflow.has_task("load", "failed", run_id=run_id)
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id=explicit, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([run_id], [(run_id, True)])


def test_a_retry_clears_what_the_end_of_the_run_cut_off_too(any_airflow: FakeAirflowServer) -> None:
    """A cancelled run skips what was to come: without these tasks, it would end in a false success."""
    any_airflow.has_run(RUN_ID, "failed")
    any_airflow.has_task("extract", "success", run_id=RUN_ID)
    any_airflow.has_task("load", "failed", run_id=RUN_ID)
    any_airflow.has_task("report", "skipped", run_id=RUN_ID, try_number=0)
    any_airflow.has_task("other_branch", "skipped", run_id=RUN_ID, try_number=0, end_date="2026-01-31T05:00:00Z")
    assert trigger(retries=2, wait_for_completion=True).execute(retry())["state"] == "success"
    assert any_airflow.cleared_tasks == [(RUN_ID, ["report"], False)]
    assert any_airflow.cleared == [(RUN_ID, True)]


@any_choice
def test_an_older_run_with_the_given_id_is_of_nobody_here(any_airflow: FakeAirflowServer, choice: str) -> None:
    """The first try may have failed before it reached the target."""
    any_airflow.has_run("mine", "success", **CREATED_BEFORE)
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id="mine", wait_for_completion=True)
    if choice in ("fail", "skip"):
        with pytest.raises(AirflowFailException if choice == "fail" else AirflowSkipException):
            operator.execute(retry())
    else:
        assert operator.execute(retry())["state"] == "success"
    assert any_airflow.cleared == ([("mine", False)] if choice == "reset" else [])


def test_every_retry_clears_once(any_airflow: FakeAirflowServer) -> None:
    any_airflow.course = ["running", "failed"]
    any_airflow.has_task("load", "failed", run_id=RUN_ID)
    operator = trigger(retries=2, wait_for_completion=True)
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry(number))
    assert any_airflow.cleared == [(RUN_ID, True)] * 2


def test_a_retry_that_does_not_wait_leaves_its_failed_run_alone(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "failed")
    assert trigger(retries=2).execute(retry())["state"] == "failed"
    assert any_airflow.cleared == []


def test_a_retry_does_not_clear_a_failure_that_is_allowed(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "failed")
    operator = trigger(retries=2, wait_for_completion=True, allowed_states=["success", "failed"])
    assert operator.execute(retry())["state"] == "failed"
    assert any_airflow.cleared == []


# A first try has not created anything yet.


@any_choice
@pytest.mark.parametrize("state", ["success", "running"])
def test_a_first_try_does_not_take_a_run_of_the_past_for_its_own(
    any_airflow: FakeAirflowServer, choice: str, state: str
) -> None:
    """The triggering dag run was deleted and created again with the same id, so the same run id is derived."""
    any_airflow.has_run(RUN_ID, state, "success")
    operator = trigger(retries=2, on_existing_run=choice, wait_for_completion=True)
    first = context(TaskInstance(max_tries=2))
    if choice == "fail":
        with pytest.raises(AirflowFailException, match=r"created before, maybe by .* deleted.*on_existing_run"):
            operator.execute(first)
    elif choice == "skip":
        with pytest.raises(AirflowSkipException):
            operator.execute(first)
    else:
        assert operator.execute(first)["state"] == "success"
    assert any_airflow.cleared == ([(RUN_ID, False)] if choice == "reset" else [])


def test_a_retry_does_not_take_a_run_of_the_past_for_its_own(any_airflow: FakeAirflowServer) -> None:
    """The same, where the first try did not reach the target."""
    any_airflow.has_run(RUN_ID, "success", **CREATED_BEFORE)
    with pytest.raises(AirflowFailException, match="created before"):
        trigger(retries=2, wait_for_completion=True).execute(retry())


@any_choice
@pytest.mark.parametrize("date", [None, DATE])
def test_a_first_try_goes_on_with_the_run_that_a_lost_request_created(
    any_airflow: FakeAirflowServer, choice: str, date: str | None
) -> None:
    def create(received: ReceivedRequest) -> ScriptedResponse:
        any_airflow.play(received)
        return json_response({"detail": "a proxy says so"}, 503)

    any_airflow.on("POST", "dags/d/dagRuns", create, any_airflow.play)
    operator = trigger(on_existing_run=choice, logical_date=date, wait_for_completion=True)
    assert operator.execute(context())["state"] == "success"
    assert (list(any_airflow.runs), any_airflow.cleared) == ([RUN_ID], [])


@pytest.mark.parametrize("lead", [-3600, -3, 3, 3600])
def test_dates_of_the_target_are_compared_by_its_own_clock(
    any_airflow: FakeAirflowServer, clock: FakeClock, lead: float
) -> None:
    """A run is ours if it was created after this try began, whatever the target takes for the time."""
    any_airflow.lead = lead
    clock.shift(2)
    trigger().execute(context())
    any_airflow.on(
        "POST", "dags/d/dagRuns", json_response(any_airflow.payloads.error(409, "Unique constraint violation"), 409)
    )
    assert trigger().execute(context(TaskInstance(start_date=NOW)))["dag_run_id"] == RUN_ID
    clock.shift(2)
    with pytest.raises(AirflowFailException, match="created before"):
        trigger().execute(context(TaskInstance(start_date=NOW + timedelta(seconds=4))))


def test_a_task_that_was_cleared_triggers_a_new_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "success", logical_date=DATE)
    trigger(retries=2).execute(context(TaskInstance(try_number=2, max_tries=3)))
    assert list(any_airflow.runs) == [RUN_ID, RUN_ID[:-1] + "2"]


# Somebody else's run: the same run id, or the same logical date.


def blocked(fake_airflow: FakeAirflowServer, by: str, *course: str) -> dict[str, Any]:
    """Put somebody's run there; give what makes the task create the same one."""
    fake_airflow.has_run("theirs", *course, logical_date=DATE)
    return {"trigger_run_id": "theirs"} if by == "run id" else {"logical_date": DATE}


clash = pytest.mark.parametrize("by", ["run id", "logical date"])


@clash
def test_it_fails_for_good_and_names_the_choices(any_airflow: FakeAirflowServer, by: str) -> None:
    same = blocked(any_airflow, by, "running")
    with pytest.raises(
        AirflowFailException, match=f"dag 'd' .*the same {by}.*on_existing_run: {CHOICES}.*'theirs'"
    ) as caught:
        trigger(**same).execute(context())
    assert f"{any_airflow.url}/dags/d/" in str(caught.value)
    assert list(any_airflow.runs) == ["theirs"]


@clash
def test_it_is_skipped(any_airflow: FakeAirflowServer, by: str) -> None:
    same = blocked(any_airflow, by, "running")
    with pytest.raises(AirflowSkipException, match=f"Skipped: dag 'd' already has .* same {by}.*'theirs'"):
        trigger(on_existing_run="skip", **same).execute(context())
    assert list(any_airflow.runs) == ["theirs"]


@clash
def test_it_is_attached_to(any_airflow: FakeAirflowServer, by: str) -> None:
    same = blocked(any_airflow, by, "running", "running", "success")
    ti = TaskInstance()
    run = trigger(on_existing_run="attach", wait_for_completion=True, **same).execute(context(ti))
    assert (run["dag_run_id"], run["state"], ti.xcoms["trigger_run_id"]) == ("theirs", "success", "theirs")
    assert any_airflow.cleared == []


@clash
def test_the_failure_of_the_one_attached_to_is_taken(any_airflow: FakeAirflowServer, by: str) -> None:
    same = blocked(any_airflow, by, "failed")
    with pytest.raises(DagRunFailedError):
        trigger(on_existing_run="attach", wait_for_completion=True, **same).execute(context())
    assert any_airflow.cleared == []


@clash
def test_it_is_reset(any_airflow: FakeAirflowServer, by: str) -> None:
    same = blocked(any_airflow, by, "failed")
    run = trigger(on_existing_run="reset", wait_for_completion=True, **same).execute(context())
    assert (run["dag_run_id"], run["state"]) == ("theirs", "success")
    assert any_airflow.cleared == [("theirs", False)]


def test_a_retry_does_not_reset_again(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "success", logical_date=DATE)
    operator = trigger(retries=2, on_existing_run="reset", wait_for_completion=True, logical_date=DATE)
    assert operator.execute(retry())["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize("has_store", [True, False])
def test_a_retry_does_not_clear_the_failure_of_the_one_attached_to(
    any_airflow: FakeAirflowServer, has_store: bool
) -> None:
    """It was queued when this task attached to it, so its dates do not tell that somebody else created it."""
    store = Store() if has_store else None
    any_airflow.has_run("theirs", "queued", "running", "failed", start_date=None)
    any_airflow.has_task("load", "failed", run_id="theirs")
    operator = trigger(retries=2, on_existing_run="attach", wait_for_completion=True, trigger_run_id="theirs")
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry(number, store=store))
    assert any_airflow.cleared == []
    assert operator._cancels is False


def test_a_retry_clears_what_failed_in_the_run_that_it_created_with_attach(any_airflow: FakeAirflowServer) -> None:
    """On Airflow 3.3 and up, a note says that an earlier try created the run, and did not attach to it."""
    any_airflow.course = ["running", "failed"]
    store = Store()
    operator = trigger(retries=2, on_existing_run="attach", wait_for_completion=True, trigger_run_id="mine")
    with pytest.raises(DagRunFailedError):
        operator.execute(retry(1, store=store))
    any_airflow.has_task("load", "failed", run_id="mine")
    any_airflow.course = ["running", "success"]
    assert operator.execute(retry(2, store=store))["state"] == "success"
    assert any_airflow.cleared == [("mine", True)]
    assert operator._cancels is True


# A task that was cleared.


def cleared(number: int = 2, **ti: Any) -> dict[str, Any]:
    """Make the context of a task that was cleared after its first try, of a dag run that went on."""
    return context(TaskInstance(try_number=number, max_tries=3, **ti))


@any_choice
@pytest.mark.parametrize("state", ["success", "failed", "running"])
def test_the_run_from_before_the_clear_is_reset_where_there_can_be_no_other(
    any_airflow: FakeAirflowServer, log_lines: list[str], choice: str, state: str
) -> None:
    """The target can hold only one run per logical date."""
    any_airflow.has_run(RUN_ID, state, "success", logical_date=DATE)
    operator = trigger(retries=2, on_existing_run=choice, wait_for_completion=True, logical_date=DATE)
    run = operator.execute(cleared())
    assert (run["dag_run_id"], run["state"]) == (RUN_ID, "success")
    assert any_airflow.cleared == [(RUN_ID, False)]
    assert any(
        line.startswith("Resetting the run of dag 'd' that this task created before it was") for line in log_lines
    )


@pytest.mark.parametrize("map_index", [-1, 3])
def test_the_run_of_another_task_is_not_one_from_before_the_clear(
    any_airflow: FakeAirflowServer, map_index: int
) -> None:
    any_airflow.has_run(RUN_ID.replace("~1", "+1~1"), "success", logical_date=DATE)
    with pytest.raises(AirflowFailException, match="same logical date"):
        trigger(retries=2, logical_date=DATE).execute(cleared(map_index=map_index))


def test_a_retry_after_a_clear_goes_on_with_the_run_that_was_reset(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run(RUN_ID, "running", "success", logical_date=DATE)
    operator = trigger(retries=2, wait_for_completion=True, logical_date=DATE)
    assert operator.execute(cleared(3))["state"] == "success"
    assert any_airflow.cleared == []


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_retry_after_a_clear_runs_a_run_that_is_over_again(any_airflow: FakeAirflowServer, state: str) -> None:
    """It may have ended before the clear: the date of the triggering dag run does not tell."""
    any_airflow.has_run(RUN_ID, state, logical_date=DATE)
    operator = trigger(retries=2, wait_for_completion=True, logical_date=DATE)
    assert operator.execute(cleared(3))["state"] == "success"
    assert any_airflow.cleared == [(RUN_ID, False)]


def test_a_retry_after_a_clear_does_not_return_the_success_from_before(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("mine", "success")
    operator = trigger(retries=2, wait_for_completion=True, trigger_run_id="mine", on_existing_run="reset")
    assert operator.execute(cleared(3))["state"] == "success"
    assert any_airflow.cleared == [("mine", False)]


def test_a_conflict_that_nothing_explains_is_told(fake_airflow: FakeAirflowServer) -> None:
    detail = {"reason": "Unique constraint violation", "message": "look into the logs"}
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({"detail": detail}, 409))
    with pytest.raises(AirflowFailException, match="Unique constraint violation") as caught:
        trigger().execute(context())
    assert isinstance(caught.value.__cause__, ConflictError)

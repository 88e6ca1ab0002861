"""A run that is there already: of an earlier try of the task, or of somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import ConflictError, DagRunFailedError
from tests.unit.operators.trigger import RUN_ID, trigger
from tests.unit.target import says
from tests.unit.tasks import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.target_stub import PlayedServer

DATE = "2026-01-31T06:00:00+00:00"
CHOICES = "'fail' .as now., 'attach' to it, 'reset' it .*, or 'skip' this task"


def retry(number: int = 2, **ti: Any) -> dict[str, Any]:
    return context(TaskInstance(try_number=number, max_tries=2, **ti))


# A retry goes on with the run of an earlier try, whatever on_existing_run says.

any_choice = pytest.mark.parametrize("choice", ["fail", "attach", "reset", "skip"])


@any_choice
@pytest.mark.parametrize("explicit", [None, "mine"])
def test_a_retry_goes_on_with_its_run(either: PlayedServer, choice: str, explicit: str | None) -> None:
    either.has_run(explicit or RUN_ID, "running", "success")
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id=explicit, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert (list(either.runs), either.cleared) == ([explicit or RUN_ID], [])


@any_choice
def test_a_retry_takes_the_success_of_its_run(either: PlayedServer, choice: str) -> None:
    either.has_run(RUN_ID, "success")
    operator = trigger(retries=2, on_existing_run=choice, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert either.cleared == []


@any_choice
@pytest.mark.parametrize("explicit", [None, "mine"])
def test_a_retry_clears_what_failed_in_its_run(either: PlayedServer, choice: str, explicit: str | None) -> None:
    run_id = explicit or RUN_ID
    either.has_run(run_id, "failed")
    either.has_task("load", "failed", run_id=run_id)
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id=explicit, wait_for_completion=True)
    assert operator.execute(retry())["state"] == "success"
    assert (list(either.runs), either.cleared) == ([run_id], [(run_id, True)])


@pytest.mark.parametrize("tasks", [["skipped", "failed"], ["skipped"], ["success"]])
def test_a_retry_clears_all_of_a_run_that_was_ended_before_its_time(either: PlayedServer, tasks: list[str]) -> None:
    """A cancelled or timed out run has skipped what was to come: its failed tasks alone would make a success of it."""
    either.has_run(RUN_ID, "failed")
    for number, state in enumerate(tasks):
        either.has_task(f"t{number}", state, run_id=RUN_ID)
    assert trigger(retries=2, wait_for_completion=True).execute(retry())["state"] == "success"
    assert either.cleared == [(RUN_ID, False)]


BEFORE = "2026-01-01T00:00:00+00:00"


@any_choice
def test_an_older_run_with_the_given_id_is_of_nobody_here(either: PlayedServer, choice: str) -> None:
    """The first try may have failed before it reached the target."""
    either.has_run("mine", "success", queued_at=BEFORE, start_date=BEFORE)
    operator = trigger(retries=2, on_existing_run=choice, trigger_run_id="mine", wait_for_completion=True)
    if choice in ("fail", "skip"):
        with pytest.raises(AirflowFailException if choice == "fail" else AirflowSkipException):
            operator.execute(retry())
    else:
        assert operator.execute(retry())["state"] == "success"
    assert either.cleared == ([("mine", False)] if choice == "reset" else [])


def test_every_retry_clears_once(either: PlayedServer) -> None:
    either.course = ["running", "failed"]
    either.has_task("load", "failed", run_id=RUN_ID)
    operator = trigger(retries=2, wait_for_completion=True)
    for number in (1, 2, 3):
        with pytest.raises(DagRunFailedError):
            operator.execute(retry(number))
    assert either.cleared == [(RUN_ID, True)] * 2


def test_a_retry_that_does_not_wait_leaves_its_failed_run_alone(either: PlayedServer) -> None:
    either.has_run(RUN_ID, "failed")
    assert trigger(retries=2).execute(retry())["state"] == "failed"
    assert either.cleared == []


def test_a_retry_does_not_clear_a_failure_that_is_allowed(either: PlayedServer) -> None:
    either.has_run(RUN_ID, "failed")
    operator = trigger(retries=2, wait_for_completion=True, allowed_states=["success", "failed"])
    assert operator.execute(retry())["state"] == "failed"
    assert either.cleared == []


def test_the_same_try_goes_on_with_its_run_after_a_crash(either: PlayedServer) -> None:
    """The worker went down after the run was created, and the same try was started again: nobody failed yet."""
    either.has_run(RUN_ID, "failed")
    with pytest.raises(DagRunFailedError):
        trigger(wait_for_completion=True).execute(context())
    assert (list(either.runs), either.cleared) == ([RUN_ID], [])


def test_a_task_that_was_cleared_triggers_a_new_run(either: PlayedServer) -> None:
    either.has_run(RUN_ID, "success", logical_date=DATE)
    trigger(retries=2).execute(context(TaskInstance(try_number=2, max_tries=3)))
    assert list(either.runs) == [RUN_ID, RUN_ID[:-1] + "2"]


# Somebody else's run: the same run id, or the same logical date.


def blocked(remote: PlayedServer, by: str, *course: str) -> dict[str, Any]:
    """Put somebody's run there; give what makes the task create the same one."""
    remote.has_run("theirs", *course, logical_date=DATE)
    return {"trigger_run_id": "theirs"} if by == "run id" else {"logical_date": DATE}


clash = pytest.mark.parametrize("by", ["run id", "logical date"])


@clash
def test_it_fails_for_good_and_names_the_choices(either: PlayedServer, by: str) -> None:
    same = blocked(either, by, "running")
    with pytest.raises(AirflowFailException, match=f"'theirs'.*the same {by}.*on_existing_run: {CHOICES}") as caught:
        trigger(**same).execute(context())
    assert f"{either.url}/dags/d/" in str(caught.value)
    assert list(either.runs) == ["theirs"]


@clash
def test_it_is_skipped(either: PlayedServer, by: str) -> None:
    same = blocked(either, by, "running")
    with pytest.raises(AirflowSkipException, match=r"'theirs' of dag 'd' .* is there already"):
        trigger(on_existing_run="skip", **same).execute(context())
    assert list(either.runs) == ["theirs"]


@clash
def test_it_is_attached_to(either: PlayedServer, by: str) -> None:
    same = blocked(either, by, "running", "running", "success")
    ti = TaskInstance()
    run = trigger(on_existing_run="attach", wait_for_completion=True, **same).execute(context(ti))
    assert (run["dag_run_id"], run["state"], ti.xcoms["trigger_run_id"]) == ("theirs", "success", "theirs")
    assert either.cleared == []


@clash
def test_the_failure_of_the_one_attached_to_is_taken(either: PlayedServer, by: str) -> None:
    same = blocked(either, by, "failed")
    with pytest.raises(DagRunFailedError):
        trigger(on_existing_run="attach", wait_for_completion=True, **same).execute(context())
    assert either.cleared == []


@clash
def test_it_is_reset(either: PlayedServer, by: str) -> None:
    same = blocked(either, by, "failed")
    run = trigger(on_existing_run="reset", wait_for_completion=True, **same).execute(context())
    assert (run["dag_run_id"], run["state"]) == ("theirs", "success")
    assert either.cleared == [("theirs", False)]


def test_a_retry_does_not_reset_again(either: PlayedServer) -> None:
    either.has_run("theirs", "running", "success", logical_date=DATE)
    operator = trigger(retries=2, on_existing_run="reset", wait_for_completion=True, logical_date=DATE)
    assert operator.execute(retry())["state"] == "success"
    assert either.cleared == []


def test_a_conflict_that_nothing_explains_is_told(remote: PlayedServer) -> None:
    detail = {"reason": "Unique constraint violation", "message": "look into the logs"}
    remote.on("POST", "dags/d/dagRuns", says({"detail": detail}, 409))
    with pytest.raises(AirflowFailException, match="Unique constraint violation") as caught:
        trigger().execute(context())
    assert isinstance(caught.value.__cause__, ConflictError)

"""Creating a backfill once, whatever happens to the tries of its task."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import ConflictError, InvalidRequestError, NotTriggeredError, TransportError
from astro_provider.tasks.create_backfill import EarlierTries, earlier_tries, ensure_backfill
from tests.unit.backfills import FAILED_RUN, FAILING, request, try_context
from tests.unit.fake_backfills import HasBackfills
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, RUN_STARTED, Store

if TYPE_CHECKING:
    from astro_provider.api.types import Backfill
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

FIRST = EarlierTries(None, is_retry=False)
START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
RETRY = EarlierTries(START, is_retry=True)
CLEARED = EarlierTries(START, is_retry=False)


@pytest.fixture
def airflow() -> HasBackfills:
    return HasBackfills()


def ensure(airflow: HasBackfills, tries: EarlierTries, lines: list[str] | None = None, **options: Any) -> Backfill:
    lines = [] if lines is None else lines
    flow = ensure_backfill(airflow.client(), request(**options), tries, log=lines.append, warn=lines.append)
    return airflow.run(flow)


def finish(airflow: HasBackfills, *, failed: bool = False) -> None:
    """End all runs, of which one fails or none."""
    for run_id in airflow.runs:
        airflow.end_run(run_id, "failed" if failed and run_id == FAILED_RUN else "success")
    airflow.backfills[-1]["completed_at"] = airflow.now()
    airflow.clock_lead += 60  # later backfills are distinguished from earlier ones by their time


def test_first_try_creates_a_backfill(airflow: HasBackfills) -> None:
    lines: list[str] = []
    backfill = ensure(airflow, FIRST, lines, run_backwards=True)
    assert backfill == airflow.backfills[0]
    (body,) = airflow.created_bodies()
    assert body == {
        "dag_id": "d",
        **{k: v for k, v in request(run_backwards=True).body("none").items() if v is not None},
    }
    assert lines[0].startswith("Created: dag 'd', backfill 1 from 2026-01-0")
    assert len(lines) == 1


@pytest.mark.parametrize("failed", [True, False])
def test_retry_continues_with_the_backfill_that_is_running(airflow: HasBackfills, failed: bool) -> None:
    first = ensure(airflow, FIRST)
    if failed:
        airflow.end_run(FAILED_RUN, "failed")
    lines: list[str] = []
    assert ensure(airflow, RETRY, lines) == first
    assert lines[0].startswith("Continuing: dag 'd', backfill 1 ")
    assert len(airflow.created_bodies()) == 1


def test_retry_continues_with_the_backfill_that_has_succeeded(airflow: HasBackfills) -> None:
    first = ensure(airflow, FIRST)
    finish(airflow)
    assert ensure(airflow, RETRY)["id"] == first["id"]
    assert len(airflow.created_bodies()) == 1


@pytest.mark.parametrize("behavior", ["none", "failed", "completed"])
def test_retry_after_a_failed_run_runs_only_failed_runs_again(airflow: HasBackfills, behavior: str) -> None:
    ensure(airflow, FIRST, reprocess_behavior=behavior)
    finish(airflow, failed=True)
    lines: list[str] = []
    second = ensure(airflow, RETRY, lines, reprocess_behavior=behavior)
    assert second["id"] == 2
    assert second["reprocess_behavior"] == "failed"
    assert airflow.states()["2026-01-03"] == "queued"
    assert lines[0].startswith("Repeating: dag 'd', backfill 1 ")
    # The try after that finds the second one.
    assert ensure(airflow, RETRY, reprocess_behavior=behavior)["id"] == 2


def test_retry_does_not_repeat_failed_runs_for_a_task_that_does_not_wait(airflow: HasBackfills) -> None:
    ensure(airflow, FIRST)
    finish(airflow, failed=True)
    assert ensure(airflow, RETRY, wait_for_completion=False)["id"] == 1
    assert len(airflow.created_bodies()) == 1


def test_cancelled_backfill_with_a_running_run_is_waited_for(airflow: HasBackfills) -> None:
    """A new backfill would leave that run as it is, and not fail if it fails."""
    airflow.new_run_states = ["running"]
    ensure(airflow, FIRST)
    airflow.run(airflow.client().list_dag_runs("d"))
    airflow._cancel_backfill(None, "1")  # type: ignore[arg-type]
    assert ensure(airflow, RETRY)["id"] == 1


@pytest.mark.parametrize(
    "theirs",
    [{"from_date": "2025-12-01T00:00:00Z"}, {"max_active_runs": 1}, {"created_at": "2025-12-31T00:00:00Z"}],
    ids=str,
)
def test_retry_does_not_continue_with_another_backfill(airflow: HasBackfills, theirs: dict[str, Any]) -> None:
    airflow.has_backfill(completed_at=airflow.now(), **theirs)
    assert ensure(airflow, RETRY)["id"] == 2


def test_try_after_a_clear_creates_another_backfill(airflow: HasBackfills) -> None:
    ensure(airflow, FIRST, reprocess_behavior="completed")
    finish(airflow)
    second = ensure(airflow, CLEARED, reprocess_behavior="completed")
    assert (second["id"], second["reprocess_behavior"]) == (2, "completed")


def test_try_after_a_clear_runs_the_failed_runs_of_the_task_again(airflow: HasBackfills) -> None:
    """With ``none``, it would leave them as they are, and succeed."""
    ensure(airflow, FIRST)
    finish(airflow, failed=True)
    assert ensure(airflow, CLEARED)["reprocess_behavior"] == "failed"


def test_try_after_a_clear_waits_while_the_backfill_is_cancelled(airflow: HasBackfills) -> None:
    airflow.dags["d"] = True
    ensure(airflow, FIRST)
    calls = 0

    def cancel_at_second_check(received: ReceivedRequest) -> ScriptedResponse:
        nonlocal calls
        calls += 1
        if calls == 2:
            airflow._cancel_backfill(received, "1")
            airflow.clock_lead = 60
        return airflow.stored_response(received)

    airflow.on("GET", "backfills/1", cancel_at_second_check)
    assert ensure(airflow, CLEARED)["id"] == 2
    assert set(airflow.states().values()) == {"queued"}
    assert len(airflow.pauses) == 2


def test_try_after_a_clear_continues_with_a_backfill_that_is_not_cancelled(airflow: HasBackfills) -> None:
    airflow.dags["d"] = True
    ensure(airflow, FIRST)
    assert ensure(airflow, CLEARED)["id"] == 1
    assert sum(airflow.pauses) == 30


def test_running_backfill_of_somebody_else_is_named(airflow: HasBackfills) -> None:
    airflow.has_backfill(from_date="2025-12-01T00:00:00Z")
    with pytest.raises(NotTriggeredError, match="Not created: dag 'd', backfill 1 from 2025-12-01") as error:
        ensure(airflow, FIRST)
    assert "\n  This backfill is running" in str(error.value)
    assert "https://target.example.com/dz3uu847/dags/d/backfills" in str(error.value)


def test_conflict_without_a_running_backfill_is_raised(airflow: HasBackfills) -> None:
    airflow.on("POST", "backfills", json_response({"detail": "There is already a running backfill"}, 409))
    with pytest.raises(ConflictError):
        ensure(airflow, FIRST)


@pytest.mark.parametrize("behavior", ["none", "failed"])
def test_backfill_whose_response_is_lost_is_found(airflow: HasBackfills, behavior: str) -> None:
    def lose(received: ReceivedRequest) -> ScriptedResponse:
        airflow.stored_response(received)
        raise TransportError("broken off")

    airflow.on("POST", "backfills", lose)
    assert ensure(airflow, FIRST, reprocess_behavior=behavior)["id"] == 1
    assert len(airflow.created_bodies()) == 1


def test_lost_request_is_an_error(airflow: HasBackfills) -> None:
    """An earlier backfill with the same parameters is not taken for the one that was requested."""
    ensure(airflow, FIRST)
    finish(airflow, failed=True)
    airflow.on("POST", "backfills", TransportError("broken off"))
    with pytest.raises(TransportError, match="broken off"):
        ensure(airflow, RETRY)


def test_refused_backfill_is_an_error(airflow: HasBackfills) -> None:
    detail = "d has a non-periodic schedule that does not support backfills"
    airflow.on("POST", "backfills", json_response({"detail": detail}, 422))
    with pytest.raises(InvalidRequestError, match=detail):
        ensure(airflow, FIRST)


def test_paused_dag_is_warned_of(airflow: HasBackfills) -> None:
    airflow.dags["d"] = True
    lines: list[str] = []
    ensure(airflow, FIRST, lines)
    assert lines[-1].startswith("Paused: dag 'd' in ")


def test_failed_runs_that_stay_as_they_are_are_warned_of(airflow: HasBackfills) -> None:
    airflow.states_by_date = FAILING
    ensure(airflow, FIRST)
    finish(airflow, failed=True)
    lines: list[str] = []
    ensure(airflow, FIRST, lines)
    assert lines[-1].startswith("Left as they are: dag 'd', backfill 2 ")
    assert "\n  1 failed runs of these dates, such as " + FAILED_RUN in lines[-1]


def test_first_try_has_no_earlier_tries() -> None:
    assert earlier_tries(try_context(), retries=2) == FIRST


def test_retry_knows_when_the_first_try_started() -> None:
    store = Store()
    earlier_tries(try_context(1, store), retries=2)
    assert earlier_tries(try_context(2, store), retries=2) == EarlierTries(NOW.timestamp(), is_retry=True)


def test_without_a_store_a_retry_knows_when_the_dag_run_started() -> None:
    assert earlier_tries(try_context(2), retries=2) == EarlierTries(RUN_STARTED.timestamp(), is_retry=True)


def test_try_after_a_clear_is_no_retry() -> None:
    tries = earlier_tries(try_context(2, max_tries=3), retries=2)
    assert tries == EarlierTries(RUN_STARTED.timestamp(), is_retry=False)

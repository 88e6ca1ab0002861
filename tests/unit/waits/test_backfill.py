"""One check of a backfill, and the loop on a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import NotFoundError
from astro_provider.waits.backfill import BackfillWait, check_backfill, list_own_runs, watch_backfill
from tests.unit.backfills import FAILED_RUN, FAILING, request
from tests.unit.fake_backfills import HasBackfills

if TYPE_CHECKING:
    from astro_provider.waits.backfill import BackfillVerdict

WHERE = "in Deployment https://target.example.com/dz3uu847 (connection 'http_conn')"


@pytest.fixture
def airflow() -> HasBackfills:
    target = HasBackfills()
    target.page_limit = 2
    return target


def create(airflow: HasBackfills, behavior: str = "none") -> BackfillWait:
    from astro_provider.api import backfill_calls

    body = request(reprocess_behavior=behavior).body(behavior)  # type: ignore[arg-type]
    return BackfillWait.of(airflow.run(airflow.client().call(backfill_calls.create_backfill, "d", body)))


def watch(airflow: HasBackfills, wait: BackfillWait, seen: list[str] | None = None) -> BackfillVerdict:
    lines = [] if seen is None else seen
    flow = watch_backfill(
        airflow.client(), wait, poke_interval=5, on_change=lambda verdict: lines.append(verdict.message), warn=print
    )
    return airflow.run(flow)


def test_backfill_succeeds_if_all_runs_do(airflow: HasBackfills) -> None:
    wait = create(airflow)
    lines: list[str] = []
    verdict = watch(airflow, wait, lines)
    assert verdict.outcome == "success"
    assert verdict.result == {**airflow.backfills[0], "total_runs": 3, "succeeded_runs": 3, "failed_runs": []}
    assert verdict.message == (
        f"Success: dag 'd', backfill 1 {WHERE}\n  3 runs\nhttps://target.example.com/dz3uu847/dags/d/backfills"
    )
    assert lines[0].startswith(f"Running: dag 'd', backfill 1 {WHERE}\n  0 of 3 runs are over, 0 failed\n")
    assert lines[-1] == verdict.message


def test_progress_is_reported_when_it_changes(airflow: HasBackfills) -> None:
    airflow.page_limit = 100
    airflow.states_by_date = {
        "2026-01-02": ["success"],
        "2026-01-03": [*["running"] * 4, "failed"],
        "2026-01-04": [*["queued"] * 9, "success"],
    }
    lines: list[str] = []
    watch(airflow, create(airflow), lines)
    counts = [line.splitlines()[1].strip() for line in lines]
    assert counts == ["1 of 3 runs are over, 0 failed", "2 of 3 runs are over, 1 failed"]


def test_backfill_is_over_when_the_target_has_completed_it(airflow: HasBackfills) -> None:
    """Before, the target would refuse another backfill of the dag."""
    airflow.completes, airflow.new_run_states = False, ["success"]
    wait = create(airflow)
    airflow.run(check_backfill(airflow.client(), wait))
    verdict = airflow.run(check_backfill(airflow.client(), wait))
    assert (verdict.outcome, verdict.result) == ("pending", None)
    assert "\n  3 of 3 runs are over, 0 failed. Airflow has not marked it as completed yet\n" in verdict.message
    airflow.completes = True
    assert airflow.run(check_backfill(airflow.client(), wait)).outcome == "success"


def test_failed_runs_and_the_tasks_of_the_first_are_named(airflow: HasBackfills) -> None:
    airflow.states_by_date = FAILING
    wait = create(airflow)
    airflow.has_task("load", "failed", run_id=FAILED_RUN, log=airflow.payloads.log())
    verdict = watch(airflow, wait)
    assert verdict.outcome == "failed"
    assert verdict.result is not None
    assert verdict.result["failed_runs"] == [FAILED_RUN]
    first, counts, runs, run, in_run, task, link, last = verdict.message.splitlines()
    assert first == f"Failed: dag 'd', backfill 1 {WHERE}"
    assert counts == "  Of 3 runs, 2 succeeded and 1 failed"
    assert runs == "  Failed runs:"
    assert run == f"    2026-01-03T00:00:00+00:00: {FAILED_RUN}"
    assert in_run == f"  In {FAILED_RUN}: Failed tasks:"
    assert task.startswith("    load (try 1): ValueError")
    assert link.startswith("  https://target.example.com/dz3uu847/dags/d/runs/")
    assert last == "https://target.example.com/dz3uu847/dags/d/backfills"


def test_at_most_five_failed_runs_are_named(airflow: HasBackfills) -> None:
    airflow.new_run_states = ["failed"]
    for day in range(10, 17):
        airflow._new("d", f"backfill__{day}", logical_date=f"2026-01-{day}T00:00:00+00:00", run_type="backfill")
    verdict = watch(airflow, BackfillWait.of(airflow.has_backfill(created_at="2026-01-01T00:00:00Z")))  # type: ignore[arg-type]
    assert "  2026-01-14T00:00:00+00:00: backfill__14\n    and 2 more" in verdict.message


def test_backfill_that_was_cancelled_is_said_to_be(airflow: HasBackfills) -> None:
    airflow.dags["d"] = True  # the runs stay queued
    wait = create(airflow)
    airflow._cancel_backfill(None, "1")  # type: ignore[arg-type]
    verdict = watch(airflow, wait)
    assert "0 succeeded and 3 failed. It was cancelled or paused\n" in verdict.message


def test_backfill_without_runs_succeeds_and_says_so(airflow: HasBackfills) -> None:
    airflow.new_run_states = ["success"]
    watch(airflow, create(airflow))
    airflow.clock_lead = 60
    verdict = watch(airflow, create(airflow))
    assert verdict.outcome == "success"
    assert verdict.message.startswith("Success: dag 'd', backfill 2 ")
    assert "\n  Nothing to run: " in verdict.message
    assert verdict.result is not None
    assert verdict.result["total_runs"] == 0


def test_runs_of_earlier_backfills_are_not_counted(airflow: HasBackfills) -> None:
    airflow.states_by_date = FAILING
    watch(airflow, create(airflow))
    airflow.clock_lead, airflow.states_by_date = 60, {}
    again = create(airflow, "failed")
    airflow.runs["backfill__2026-01-02T00:00:00+00:00"]["end_date"] = airflow.now()  # updated since, but not queued
    runs = airflow.run(list_own_runs(airflow.client(), again))
    assert [run["dag_run_id"] for run in runs] == [FAILED_RUN]
    verdict = watch(airflow, again)
    assert verdict.outcome == "success"


def test_deleted_backfill_is_an_error(airflow: HasBackfills) -> None:
    with pytest.raises(NotFoundError, match="backfill 9"):
        watch(airflow, BackfillWait("d", 9, airflow.now()))


def test_wait_can_be_stored() -> None:
    wait = BackfillWait("d", 1, "2026-01-01T00:00:00Z")
    assert BackfillWait(**wait.serialize()) == wait

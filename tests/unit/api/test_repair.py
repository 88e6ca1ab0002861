"""What runs again of a failed dag run."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api.errors import TransportError
from astro_provider.api.repair import cut_off, repair_dag_run
from tests.unit import payloads
from tests.unit.fake_airflow import FakeAirflow

END = "2026-01-31T06:00:00Z"
WITH_THE_END = "2026-01-31T05:59:58Z"
LONG_BEFORE = "2026-01-31T05:00:00Z"


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest) -> FakeAirflow:
    """A target with a run that failed."""
    target = FakeAirflow(request.param)
    target.has_run("r", "failed", end_date=END)
    return target


def repaired(target: FakeAirflow) -> tuple[list[Any], list[Any]]:
    """Repair the run; say which tasks were cleared, and which runs."""
    client = target.client()
    run = target.run(repair_dag_run(client, target.run(client.get_dag_run("d", "r"))))
    assert run["state"] == "queued"
    return target.cleared_tasks, target.cleared


def skipped(target: FakeAirflow, task_id: str, end: str | None, **fields: Any) -> None:
    target.has_task(task_id, "skipped", run_id="r", end_date=end, **{"try_number": 0, **fields})


def test_what_failed_runs_again_and_nothing_else(target: FakeAirflow) -> None:
    target.has_task("extract", "success", run_id="r", end_date=LONG_BEFORE)
    target.has_task("load", "failed", run_id="r", end_date=END)
    target.has_task("report", "upstream_failed", run_id="r", end_date=END)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([], [("r", True)])


def test_what_was_cut_off_runs_again_with_what_was_killed(target: FakeAirflow) -> None:
    target.has_task("killed", "failed", run_id="r", end_date=END)
    skipped(target, "next", WITH_THE_END)
    skipped(target, "timed_out", None)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([("r", ["next", "timed_out"], False)], [("r", True)])


def test_what_was_cut_off_runs_again_where_nothing_failed(target: FakeAirflow) -> None:
    skipped(target, "next", END)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([("r", ["next"], True)], [])


def test_instances_of_a_mapped_task(target: FakeAirflow) -> None:
    for index in range(3):
        skipped(target, "mapped", LONG_BEFORE if index == 1 else END, map_index=index)
    named = ["mapped"] if target.api_version == "v1" else [["mapped", 0], ["mapped", 2]]
    assert repaired(target) == ([("r", named, True)], [])


@pytest.mark.parametrize("tasks", [[], ["success"], ["success", "skipped"]])
def test_all_runs_again_where_nothing_tells_why_it_failed(target: FakeAirflow, tasks: list[str]) -> None:
    for state in tasks:
        target.has_task(state, state, run_id="r", end_date=LONG_BEFORE, try_number=0)
    assert repaired(target) == ([], [("r", False)])


def test_the_run_does_not_go_on_before_all_is_cleared(target: FakeAirflow) -> None:
    """Without the tasks that were cut off, it would end in a false success."""
    target.has_task("killed", "failed", run_id="r", end_date=END)
    skipped(target, "next", END)
    path = "dags/d/dagRuns/r/clear" if target.api_version == "v2" else "dags/d/clearTaskInstances"
    target.on(
        "POST", path, *([target.stored_response] if target.api_version == "v1" else []), TransportError("broken off")
    )
    with pytest.raises(TransportError):
        repaired(target)
    assert target.runs["r"]["state"] == "failed"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"end_date": END}, True),
        ({"end_date": WITH_THE_END}, True),
        ({"end_date": None}, True),
        ({"end_date": LONG_BEFORE}, False),
        # Waited for a retry when the run ended: it keeps the end date of its last try.
        ({"end_date": LONG_BEFORE, "try_number": 1, "max_tries": 2}, True),
        # Skipped itself, as it has no retries to wait for.
        ({"end_date": LONG_BEFORE, "try_number": 1, "max_tries": 0}, False),
        ({"end_date": END, "state": "success"}, False),
        ({"end_date": END, "state": "failed"}, False),
    ],
)
def test_what_the_end_of_a_run_cut_off(fields: dict[str, Any], expected: bool) -> None:
    run: Any = payloads.v2.dag_run(end_date=END)
    instance: Any = payloads.v2.task_instance("t", **{"state": "skipped", "try_number": 0, **fields})
    assert (instance in cut_off(run, [instance])) is expected


def test_a_teardown_that_runs_after_a_run_was_marked_failed() -> None:
    """The run ends after it; the tasks that were killed with those that were skipped tell when it was marked."""
    run: Any = payloads.v2.dag_run(end_date=END)
    killed: Any = payloads.v2.task_instance("killed", "failed", end_date="2026-01-31T05:30:00Z")
    next_one: Any = payloads.v2.task_instance("next", "skipped", end_date="2026-01-31T05:30:01Z", try_number=0)
    other: Any = payloads.v2.task_instance("other", "skipped", end_date=LONG_BEFORE, try_number=0)
    assert cut_off(run, [killed, next_one, other]) == [next_one]


def test_a_run_without_an_end_date_tells_nothing_apart() -> None:
    run: Any = payloads.v2.dag_run(end_date=None)
    instance: Any = payloads.v2.task_instance("t", "skipped", end_date=LONG_BEFORE, try_number=0)
    assert cut_off(run, [instance]) == [instance]

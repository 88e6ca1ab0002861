"""Which tasks of a failed dag run run again."""

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
    """A target with a failed run."""
    target = FakeAirflow(request.param)
    target.has_run("r", "failed", end_date=END)
    return target


def repaired(target: FakeAirflow) -> tuple[list[Any], list[Any]]:
    """Repair the run; returns the tasks and the runs that were cleared."""
    client = target.client()
    run = target.run(repair_dag_run(client, target.run(client.get_dag_run("d", "r"))))
    assert run["state"] == "queued"
    return target.cleared_tasks, target.cleared


def skipped(target: FakeAirflow, task_id: str, end: str | None, **fields: Any) -> None:
    target.has_task(task_id, "skipped", run_id="r", end_date=end, **{"try_number": 0, **fields})


def test_only_failed_tasks_run_again(target: FakeAirflow) -> None:
    target.has_task("extract", "success", run_id="r", end_date=LONG_BEFORE)
    target.has_task("load", "failed", run_id="r", end_date=END)
    target.has_task("report", "upstream_failed", run_id="r", end_date=END)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([], [("r", True)])


def test_tasks_skipped_by_the_end_of_a_run_run_again_with_killed_tasks(target: FakeAirflow) -> None:
    target.has_task("killed", "failed", run_id="r", end_date=END)
    skipped(target, "next", WITH_THE_END)
    skipped(target, "timed_out", None)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([("r", ["next", "timed_out"], False)], [("r", True)])


def test_tasks_skipped_by_the_end_of_a_run_run_again_if_none_failed(target: FakeAirflow) -> None:
    skipped(target, "next", END)
    skipped(target, "other_branch", LONG_BEFORE)
    assert repaired(target) == ([("r", ["next"], True)], [])


def test_instances_of_a_mapped_task_are_named_with_their_index(target: FakeAirflow) -> None:
    for index in range(3):
        skipped(target, "mapped", LONG_BEFORE if index == 1 else END, map_index=index)
    named = ["mapped"] if target.api_version == "v1" else [["mapped", 0], ["mapped", 2]]
    assert repaired(target) == ([("r", named, True)], [])


@pytest.mark.parametrize("tasks", [[], ["success"], ["success", "skipped"]])
def test_whole_run_is_cleared_if_no_task_failed(target: FakeAirflow, tasks: list[str]) -> None:
    for state in tasks:
        target.has_task(state, state, run_id="r", end_date=LONG_BEFORE, try_number=0)
    assert repaired(target) == ([], [("r", False)])


def test_run_is_not_restarted_before_all_tasks_are_cleared(target: FakeAirflow) -> None:
    """Without the skipped tasks, the run would end in a false success."""
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
def test_tasks_that_were_skipped_by_the_end_of_a_run_are_found(fields: dict[str, Any], expected: bool) -> None:
    run: Any = payloads.v2.dag_run(end_date=END)
    instance: Any = payloads.v2.task_instance("t", **{"state": "skipped", "try_number": 0, **fields})
    assert (instance in cut_off(run, [instance])) is expected


def test_tasks_skipped_before_a_teardown_are_found() -> None:
    """The run ends after the teardown; the killed tasks have the end date of those that were skipped with them."""
    run: Any = payloads.v2.dag_run(end_date=END)
    killed: Any = payloads.v2.task_instance("killed", "failed", end_date="2026-01-31T05:30:00Z")
    next_one: Any = payloads.v2.task_instance("next", "skipped", end_date="2026-01-31T05:30:01Z", try_number=0)
    other: Any = payloads.v2.task_instance("other", "skipped", end_date=LONG_BEFORE, try_number=0)
    assert cut_off(run, [killed, next_one, other]) == [next_one]


def test_all_skipped_tasks_of_a_run_without_an_end_date_run_again() -> None:
    run: Any = payloads.v2.dag_run(end_date=None)
    instance: Any = payloads.v2.task_instance("t", "skipped", end_date=LONG_BEFORE, try_number=0)
    assert cut_off(run, [instance]) == [instance]

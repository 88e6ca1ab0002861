"""Creating a run, or using the one that exists. The tests of the trigger operator have more cases of existing runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import NotTriggeredError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.create_run import create_run, find_existing_run
from astro_provider.tasks.planned_run import PlannedRun
from tests.unit.tasks.run_requests import run_request

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.existing_run import OnExistingRun
    from tests.unit.fake_airflow import FakeAirflowServer

DATE = "2026-01-31T06:00:00+00:00"
PLANNED = PlannedRun(
    "mine",
    derived=False,
    note="Triggered by a test",
    retry=False,
    started_at=None,
    started_at_is_after_clear=False,
    run_ids_before_clear=frozenset(),
)


def create(on_existing_run: OnExistingRun) -> tuple[DagRun, bool]:
    request = run_request(logical_date=DATE, conf={"a": 1}, on_existing_run=on_existing_run)
    with AstroHook("http_conn") as hook:
        created = hook.run(create_run(hook.client, request, PLANNED, repair_failed=True, log=print))
    return created.run, created.attached


def find(logical_date: str | None) -> str | None:
    with AstroHook("http_conn") as hook:
        run = hook.run(find_existing_run(hook.client, run_request(logical_date=logical_date), PLANNED))
    return run and run["dag_run_id"]


def test_new_run_is_created_with_its_fields(any_airflow: FakeAirflowServer) -> None:
    run, attached = create("fail")
    assert (run["dag_run_id"], run["conf"], attached) == ("mine", {"a": 1}, False)


@pytest.mark.parametrize("run_id", ["mine", "theirs"])
def test_existing_run_is_handled_as_the_user_chose(any_airflow: FakeAirflowServer, run_id: str) -> None:
    any_airflow.has_run(run_id, "success", logical_date=DATE)
    with pytest.raises(NotTriggeredError, match=f"(?s)The run is success.*\nRun: {run_id}\n"):
        create("fail")
    with pytest.raises(AirflowSkipException, match=f"(?s)The run is success.*\nRun: {run_id}\n"):
        create("skip")
    run, attached = create("attach")
    assert (run["dag_run_id"], attached, any_airflow.cleared) == (run_id, True, [])
    run, attached = create("resume")
    assert (run["dag_run_id"], attached, any_airflow.cleared) == (run_id, True, [])
    run, attached = create("reset")
    assert (run["dag_run_id"], attached, any_airflow.cleared) == (run_id, False, [(run_id, False)])


@pytest.mark.parametrize("run_id", ["mine", "theirs"])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_unfinished_run_is_not_resumed(any_airflow: FakeAirflowServer, run_id: str, state: str) -> None:
    any_airflow.has_run(run_id, state, logical_date=DATE)
    run, attached = create("resume")
    assert (run["dag_run_id"], run["state"], attached, any_airflow.cleared) == (run_id, state, True, [])


@pytest.mark.parametrize("run_id", ["mine", "theirs"])
def test_failed_run_is_resumed_with_its_failed_tasks(any_airflow: FakeAirflowServer, run_id: str) -> None:
    any_airflow.has_run(run_id, "failed", logical_date=DATE)
    any_airflow.has_task("load", "failed", run_id=run_id)
    any_airflow.has_task("report", "skipped", run_id=run_id, try_number=0)
    run, attached = create("resume")
    assert (run["dag_run_id"], attached) == (run_id, False)
    assert (any_airflow.cleared_tasks, any_airflow.cleared) == ([(run_id, ["report"], False)], [(run_id, True)])


@pytest.mark.parametrize("lead", [-30.0, -2.0, 30.0])
def test_delay_by_the_clock_of_the_target_is_logged(fake_airflow: FakeAirflowServer, lead: float) -> None:
    """The first response tells the time there, when the current time here was already sent as the logical date."""
    fake_airflow.clock_lead = lead
    log: list[str] = []
    for _ in range(2):
        with AstroHook("http_conn") as hook:
            request = run_request(logical_date="now")
            planned = replace(PLANNED, run_id=f"mine{len(fake_airflow.runs)}")
            hook.run(create_run(hook.client, request, planned, repair_failed=True, log=log.append))
    delayed = [line for line in log if line.startswith("Tasks start in ")]
    assert len(delayed) == (1 if lead == -30 else 0), "the second run has the time of the target"
    assert not delayed or ": dag 'd' in Deployment " in delayed[0]


def test_run_with_the_same_run_id_is_found_before_one_with_the_same_logical_date(
    any_airflow: FakeAirflowServer,
) -> None:
    assert find(DATE) is None
    any_airflow.has_run("theirs", "success", logical_date=DATE)
    assert find(DATE) == "theirs"
    assert find(None) is None
    any_airflow.has_run("mine", "success", logical_date="2026-01-30T06:00:00+00:00")
    assert find(DATE) == "mine"

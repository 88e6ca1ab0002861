"""What is done before a run is created if the dag already has a queued or running run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import NotTriggeredError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.active_run import find_active_run
from astro_provider.tasks.planned_run import PlannedRun
from tests.unit.scripted_target import json_response
from tests.unit.tasks.run_requests import run_request

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.scripted_target import ReceivedRequest

DATE = "2026-01-31T06:00:00+00:00"
FIRST = PlannedRun(
    "mine",
    derived=True,
    note="Triggered by a test",
    retry=False,
    started_at=None,
    started_at_is_after_clear=False,
    run_ids_before_clear=frozenset(),
)
RETRY = replace(FIRST, retry=True)
RESTARTED = replace(FIRST, restarted=True)


def find(choice: str, planned: PlannedRun = FIRST, log: list[str] | None = None, **fields: Any) -> str | None:
    request = run_request(on_active_run=choice, **fields)
    with AstroHook("http_conn") as hook:
        run = hook.run(find_active_run(hook.client, request, planned, log=[].append if log is None else log.append))
    return run and run["dag_run_id"]


def requests(airflow: FakeAirflowServer) -> list[ReceivedRequest]:
    """Return the requests without the one that finds out the API version."""
    return [received for received in airflow.received if received.path.startswith(airflow.api(""))]


def test_trigger_sends_no_request(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running")
    assert find("trigger") is None
    assert any_airflow.received == []


@pytest.mark.parametrize("choice", ["attach", "skip", "fail"])
def test_one_request_finds_that_nothing_runs(any_airflow: FakeAirflowServer, choice: str) -> None:
    any_airflow.has_run("succeeded", "success")
    any_airflow.has_run("failed", "failed")
    any_airflow.has_run("of_another_dag", "running", dag_id="other")
    assert find(choice) is None
    assert [received.query["state"] for received in requests(any_airflow)] == [["queued", "running"]]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_active_run_is_handled_as_the_user_chose(any_airflow: FakeAirflowServer, state: str) -> None:
    any_airflow.has_run("theirs", state)
    url = f"{any_airflow.url}/dags/d/"
    with pytest.raises(
        NotTriggeredError,
        match=f"(?s)^Not triggered: dag 'd' already has a {state} run in D.*\n  .*'fail' .as now., 'trigger' another "
        f"run, 'attach' to this one, or 'skip' this task\nRun: theirs\n{url}",
    ):
        find("fail")
    with pytest.raises(
        AirflowSkipException, match=f"(?s)^Skipped: dag 'd' already has a {state} run in .*: theirs\n{url}"
    ):
        find("skip")
    log: list[str] = []
    assert find("attach", log=log) == "theirs"
    assert log[0].startswith(f"Attached: dag 'd' already has a {state} run in D")
    assert any_airflow.trigger_bodies() == []


def test_newest_active_run_is_attached_to(any_airflow: FakeAirflowServer) -> None:
    for day in ("02", "03", "01"):
        date = f"2026-01-{day}T00:00:00Z"
        any_airflow.has_run(f"of_day_{day}", "running", run_after=date, logical_date=date)
    assert find("attach") == "of_day_03"


def test_target_that_ignores_the_filter_by_state(any_airflow: FakeAirflowServer) -> None:
    """Airflow 2.1 also lists finished runs."""
    runs = [any_airflow.payloads.dag_run("over", "success"), any_airflow.payloads.dag_run("active", "running")]
    any_airflow.on("GET", "dags/d/dagRuns", json_response(any_airflow.payloads.collection("dag_runs", *runs, total=2)))
    assert find("attach") == "active"


@pytest.mark.parametrize("choice", ["attach", "skip", "fail"])
@pytest.mark.parametrize("planned", [FIRST, RETRY, RESTARTED], ids=["first", "retry", "restarted"])
@pytest.mark.parametrize(
    ("fields", "own_id", "own_date"),
    [({}, "mine", "2026-01-02T00:00:00Z"), ({"logical_date": DATE}, "theirs", "2026-01-31T07:00+01:00")],
    ids=["run id", "logical date"],
)
def test_own_active_run_is_none_of_another_task(
    any_airflow: FakeAirflowServer, choice: str, planned: PlannedRun, fields: dict[str, Any], own_id: str, own_date: str
) -> None:
    """The task then continues with the run, or does what ``on_existing_run`` says, although another one is active."""
    any_airflow.has_run(own_id, "running", logical_date=own_date)
    any_airflow.has_run("another", "running", logical_date="2026-01-01T00:00:00Z")
    assert find(choice, planned, **fields) is None


@pytest.mark.parametrize("choice", ["attach", "skip", "fail"])
@pytest.mark.parametrize("planned", [RETRY, RESTARTED], ids=["retry", "restarted"])
def test_retry_continues_with_its_finished_run_although_another_is_active(
    any_airflow: FakeAirflowServer, choice: str, planned: PlannedRun
) -> None:
    any_airflow.has_run("mine", "failed")
    any_airflow.has_run("another", "running")
    assert find(choice, planned) is None
    any_airflow.delete_run("mine")
    if choice == "attach":
        assert find(choice, planned) == "another"
    else:
        with pytest.raises((AirflowSkipException, NotTriggeredError)):
            find(choice, planned)


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_retry_continues_with_the_run_that_it_attached_to(any_airflow: FakeAirflowServer, state: str) -> None:
    retry = replace(RETRY, attached=True, attached_to="former")
    any_airflow.has_run("former", state)
    any_airflow.has_run("another", "running")
    assert find("attach", retry) == "former"
    assert len(requests(any_airflow)) == 1
    any_airflow.delete_run("former")
    assert find("attach", retry) == "another"


def test_retry_that_attached_to_its_planned_run_leaves_it_to_on_existing_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("mine", "failed")
    assert find("attach", replace(RETRY, attached=True, attached_to="mine")) is None

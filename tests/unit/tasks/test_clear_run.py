"""Clearing a run as one flow: what is sent, what a retry does, and lost responses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import NotClearedError, TransportError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.clear_run import ClearedRun, clear_run
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import json_response
from tests.unit.tasks.clear_requests import FIRST_TRY, clear_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.tasks.clear_tries import EarlierTries
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

BEFORE = "2026-01-01T00:00:00+00:00"
LONG_AGO = {"start_date": BEFORE, "logical_date": BEFORE}
RETRY = replace(FIRST_TRY, retry=True)
RUN = {"external_run_id": "r"}


class Cleared:
    """What the flow returned, logged and stored."""

    def __init__(self, tries: EarlierTries = FIRST_TRY, *, repairs: bool = True, **fields: Any) -> None:
        self.log: list[str] = []
        self.stored: list[tuple[str, bool]] = []
        request = clear_request(**fields)

        def store(run_id: str, cleared: bool) -> None:
            self.stored.append((run_id, cleared))

        with AstroHook("http_conn") as hook:
            flow = clear_run(hook.client, request, tries, repairs=repairs, store=store, log=self.log.append)
            self.result: ClearedRun = hook.run(flow)


def dates(airflow: FakeAirflowServer) -> dict[str, str]:
    """Return the dates of a run that was queued long ago, which only Airflow 3 reports."""
    return LONG_AGO if airflow.api_version == "v1" else {**LONG_AGO, "queued_at": BEFORE}


@pytest.fixture
def airflow(any_airflow: FakeAirflowServer, clock: FakeClock) -> FakeAirflowServer:
    """A target with a run ``r`` that ended long ago, of which one task has failed."""
    any_airflow.has_run("r", "failed", **dates(any_airflow))
    any_airflow.has_task("extract", "success", run_id="r")
    any_airflow.has_task("load", "failed", run_id="r", map_index=0)
    any_airflow.has_task("load", "success", run_id="r", map_index=1)
    return any_airflow


def clear_bodies(airflow: FakeAirflowServer) -> list[dict[str, Any]]:
    return [each.json for each in airflow.received if each.method == "POST" and "lear" in each.path]


def test_whole_run_is_cleared_once(airflow: FakeAirflowServer) -> None:
    cleared = Cleared(**RUN)
    assert airflow.cleared == [("r", False)]
    assert (cleared.result.run["state"], cleared.result.attached) == ("queued", False)
    assert cleared.stored == [("r", False), ("r", True)]
    assert cleared.log[0].startswith("Cleared: dag 'd', whose run was failed, in Deployment")
    assert cleared.log[0].endswith(f"\n  all tasks\nRun: r\n{cleared.result.url}")


@pytest.mark.parametrize("options", [{}, {"include_downstream": True}, {"only_failed": True}])
def test_tasks_are_cleared_with_their_options(airflow: FakeAirflowServer, options: dict[str, bool]) -> None:
    cleared = Cleared(**RUN, task_ids=["load"], **options)
    assert clear_bodies(airflow) == [
        {
            "dry_run": False,
            "dag_run_id": "r",
            "task_ids": ["load"],
            "include_downstream": False,
            "only_failed": False,
            "reset_dag_runs": True,
            **options,
        }
    ]
    assert (cleared.result.run["state"], cleared.result.attached) == ("queued", False)


@pytest.mark.parametrize("date", [BEFORE, "2026-01-01"])
def test_run_is_found_by_logical_date(airflow: FakeAirflowServer, date: str) -> None:
    airflow.has_run("other", "success", logical_date="2026-01-02T00:00:00+00:00")
    Cleared(logical_date=date)
    assert airflow.cleared == [("r", False)]


def test_newest_run_that_is_due_is_found(airflow: FakeAirflowServer) -> None:
    for run_id, date in (("new", "2026-02-01T11:00:00+00:00"), ("future", "2026-03-01T11:00:00+00:00")):
        airflow.has_run(run_id, "success", logical_date=date, run_after=date)
    Cleared(latest=True)
    assert airflow.cleared[:1] == [("new", False)]


def test_retry_uses_the_newest_run_of_the_first_try(airflow: FakeAirflowServer) -> None:
    airflow.has_run("newer", "success")
    Cleared(replace(RETRY, run_id="r"), latest=True)
    assert airflow.cleared == [("r", False)]


# Only failed tasks.


def test_failed_run_is_repaired(airflow: FakeAirflowServer) -> None:
    """A task that was skipped because the run ended is cleared, too."""
    airflow.has_task("cut", "skipped", run_id="r", end_date=None)
    cleared = Cleared(**RUN, only_failed=True)
    assert airflow.cleared_tasks == [("r", ["cut"], False)]
    assert airflow.cleared == [("r", True)]
    assert cleared.result.attached is False


def test_failed_tasks_of_a_running_run_are_cleared(airflow: FakeAirflowServer) -> None:
    airflow.has_run("r", "running", **dates(airflow))
    Cleared(**RUN, only_failed=True)
    assert airflow.cleared == [("r", True)]
    assert airflow.cleared_tasks == []


@pytest.mark.parametrize(("state", "task_ids"), [("success", None), ("running", None), ("failed", ["extract"])])
def test_nothing_is_cleared_if_nothing_has_failed(
    any_airflow: FakeAirflowServer, state: str, task_ids: list[str] | None
) -> None:
    any_airflow.has_run("r", state)
    any_airflow.has_task("extract", "success", run_id="r")
    cleared = Cleared(**RUN, only_failed=True, task_ids=task_ids)
    assert clear_bodies(any_airflow) == []
    assert (cleared.result.run["state"], cleared.result.attached) == (state, True)
    assert cleared.log[0].startswith("Nothing to clear: dag 'd'")


def test_nothing_is_cleared_if_the_failed_tasks_are_not_downstream(airflow: FakeAirflowServer) -> None:
    """Only the target knows which tasks are downstream: it leaves the run as it is."""
    airflow.on("POST", "dags/d/clearTaskInstances", json_response(airflow.payloads.collection("task_instances")))
    cleared = Cleared(**RUN, only_failed=True, task_ids=["extract"], include_downstream=True)
    assert (cleared.result.run["state"], cleared.result.attached) == ("failed", True)
    assert cleared.log[0].startswith("Nothing to clear: dag 'd'")
    assert cleared.stored == [("r", False)]


# What does not exist.


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ({"external_run_id": "none"}, "has no such run in"),
        ({"logical_date": "2020-01-01"}, "has no run with logical date 2020-01-01T00:00:00+00:00 in"),
    ],
)
def test_missing_run_is_named_with_a_link_to_the_runs(
    airflow: FakeAirflowServer, name: dict[str, str], named: str
) -> None:
    with pytest.raises(NotClearedError) as caught:
        Cleared(**name)
    assert str(caught.value).startswith(f"Not cleared: dag 'd' {named}")
    assert str(caught.value).endswith(f"\n{airflow.url}/dags/d")
    assert caught.value.retryable is False


def test_missing_dag_is_named_with_similar_ids(airflow: FakeAirflowServer) -> None:
    airflow.dags = {"sales": False}
    for name in ({"external_run_id": "r"}, {"latest": True}, {"logical_date": "2020-01-01"}):
        with pytest.raises(NotClearedError, match=r"has no dag 'sale'.*'sales'"):
            Cleared(external_dag_id="sale", **name)


@pytest.mark.parametrize(("wrong", "named"), [("laod", "It has 'load'"), ("xyz", "It has 'extract', 'load'")])
def test_missing_task_is_an_error_that_names_tasks(airflow: FakeAirflowServer, wrong: str, named: str) -> None:
    with pytest.raises(NotClearedError) as caught:
        Cleared(**RUN, task_ids=["extract", wrong])
    assert str(caught.value).startswith(f"Not cleared: dag 'd' has no task '{wrong}' in this run in Deployment")
    assert f"\n  {named}\nRun: r\n" in str(caught.value)
    assert clear_bodies(airflow) == []


# Retries.


def test_retry_continues_with_the_run_that_an_earlier_try_cleared(airflow: FakeAirflowServer) -> None:
    Cleared(**RUN)
    airflow.end_run("r", "success")
    again = Cleared(RETRY, **RUN)
    assert airflow.cleared == [("r", False)]
    assert (again.result.run["state"], again.result.attached) == ("success", False)
    assert again.log[0].startswith("Continuing: dag 'd', whose run was success, in ")
    assert "\n  An earlier try cleared the run\n" in again.log[0]


def test_retry_clears_a_run_that_no_try_has_cleared(airflow: FakeAirflowServer) -> None:
    Cleared(RETRY, **RUN)
    assert airflow.cleared == [("r", False)]


def test_retry_knows_from_the_store_that_a_running_run_was_cleared(airflow: FakeAirflowServer) -> None:
    """Airflow 2 keeps the start of a running run that is cleared."""
    airflow.has_run("r", "running", **dates(airflow))
    again = Cleared(replace(RETRY, run_id="r", cleared=True), **RUN)
    assert (airflow.cleared, again.result.attached) == ([], False)


@pytest.mark.parametrize("repairs", [True, False])
def test_retry_repairs_a_cleared_run_that_has_failed_again_if_it_waits(
    airflow: FakeAirflowServer, repairs: bool
) -> None:
    Cleared(**RUN)
    airflow.end_run("r", "failed")
    Cleared(RETRY, repairs=repairs, **RUN)
    assert airflow.cleared == [("r", False), *([("r", True)] if repairs else [])]


def test_retry_does_not_clear_an_unfinished_run_of_unknown_start(airflow: FakeAirflowServer) -> None:
    """Before Airflow 3.3, a retry after a clear does not know when the first try since then has started."""
    airflow.has_run("r", "running")
    again = Cleared(replace(RETRY, started_at=0, started_at_is_after_clear=False), **RUN)
    assert (airflow.cleared, again.result.attached) == ([], True)


# Lost responses.


@pytest.mark.parametrize("lost", [HANGUP, json_response({}, 502), json_response("?")], ids=["0", "502", "?"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [("dags/d/dagRuns/r/clear", {}), ("dags/d/clearTaskInstances", {"task_ids": ["load"]})],
)
def test_lost_response_does_not_clear_twice(
    airflow: FakeAirflowServer, lost: Any, path: str, fields: dict[str, Any]
) -> None:
    airflow.on("POST", path, clear_but_respond_with(airflow, lost))
    cleared = Cleared(**RUN, **fields)
    assert len(clear_bodies(airflow)) == 1
    assert (cleared.result.run["state"], cleared.result.attached) == ("queued", False)


def test_request_that_did_not_clear_raises_its_error(airflow: FakeAirflowServer) -> None:
    airflow.on("POST", "dags/d/dagRuns/r/clear", HANGUP)
    with pytest.raises(TransportError):
        Cleared(**RUN)
    assert airflow.cleared == []


def clear_but_respond_with(airflow: FakeAirflowServer, response: Any) -> Callable[[Any], Any]:
    """Clear the run, but send this response."""

    def clear(received: Any) -> Any:
        airflow.stored_response(received)
        return response

    return clear

"""The list of the instances of some tasks, and the number of requests that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import AccessDeniedError, TargetUnavailableError
from astro_provider.api.memory import Memory
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import html_response, json_response

if TYPE_CHECKING:
    from astro_provider.api.client import Client

SEARCH = "dags/~/dagRuns/~/taskInstances/list"
WAIT = RunWait("d", EndStates(["success"], ["failed"]), run_id="theirs", task_ids=["small"])


@pytest.fixture(params=["v1", "v2"])
def large(request: pytest.FixtureRequest) -> FakeAirflow:
    """A target with a run most of whose task instances belong to a mapped task that no wait is for."""
    target = FakeAirflow(request.param)
    for run_id in ("theirs", "other"):
        target.has_run(run_id, "running", end_date=None)
        target.has_task("small", "success", run_id=run_id)
    target.dags["other"] = False
    target.has_task("small", "failed", run_id="theirs", dag_id="other")
    for index in range(1000):
        target.has_task("mapped", "running", run_id="theirs", map_index=index, end_date=None)
    return target


def client_of(target: FakeAirflow) -> Client:
    return target.client(memory=Memory(API_VERSIONS[target.api_version]))


def test_check_of_one_task_takes_two_requests_in_a_run_of_any_size(large: FakeAirflow) -> None:
    verdict = large.run(Check(client_of(large), WAIT).run())
    assert verdict.outcome == "success"
    assert large.calls_received == [f"GET {large.api('dags/d/dagRuns/theirs')}", f"POST {large.api(SEARCH)}"]
    body = large.received[1].json
    assert (body["dag_ids"], body["dag_run_ids"], body["task_ids"]) == (["d"], ["theirs"], ["small"])


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_whole_run_is_listed_if_the_target_refuses_the_list_of_tasks(large: FakeAirflow, status: int) -> None:
    large.on("POST", SEARCH, json_response(large.payloads.error(status, "no"), status))
    assert large.run(Check(client_of(large), WAIT).run()).outcome == "success"
    assert large.calls_received.count(f"GET {large.api('dags/d/dagRuns/theirs/taskInstances')}") == 11


@pytest.mark.parametrize(("status", "error"), [(401, AccessDeniedError), (500, TargetUnavailableError)])
def test_no_other_list_is_requested_if_the_token_is_refused_or_the_target_is_down(
    large: FakeAirflow, status: int, error: type[Exception]
) -> None:
    large.on("POST", SEARCH, html_response("Error", status))
    with pytest.raises(error):
        large.run(Check(client_of(large), WAIT).run())
    assert large.calls_received[1:] == [f"POST {large.api(SEARCH)}"]

"""Which API version is called, and the number of requests that finding it out takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import calls, poll_lists
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    NotAirflowError,
    NotFoundError,
    RequestNotPossible,
    TargetError,
    TargetUnavailableError,
    TransportError,
)
from astro_provider.api.memory import Memory
from tests.unit import payloads
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import (
    ScriptedResponse,
    ScriptedTarget,
    html_response,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow


@pytest.mark.parametrize(("api_version", "asked_first"), [("v2", []), ("v1", ["GET /api/v2/dags/d"])])
def test_first_response_shows_the_api_version(api_version: str, asked_first: list[str]) -> None:
    target = ScriptedTarget(api_version)
    target.on("GET", "dags/d", json_response(target.payloads.dag()))
    client = target.client()
    for _ in range(2):
        assert target.run(client.get_dag("d"))["dag_id"] == "d"
    assert target.calls_received == [*asked_first, *[f"GET /api/{api_version}/dags/d"] * 2]


def test_triggering_on_airflow_3_takes_one_request(target: ScriptedTarget) -> None:
    target.on("POST", "dags/d/dagRuns", json_response(payloads.v2.dag_run("r")))
    assert target.run(target.client().trigger_dag_run("d", run_id="r"))["dag_run_id"] == "r"
    assert target.calls_received == ["POST /api/v2/dags/d/dagRuns"]


@pytest.mark.parametrize(("before", "after"), [("v1", "v2"), ("v2", "v1")])
def test_changed_api_version_of_a_target_is_found_out(before: str, after: str) -> None:
    target = ScriptedTarget(after)
    target.on("GET", "dags/d", json_response(target.payloads.dag()))
    memory = Memory(api_version=API_VERSIONS[before])
    assert target.run(target.client(memory=memory).get_dag("d"))["dag_id"] == "d"
    assert target.calls_received == [f"GET /api/{before}/dags/d", f"GET /api/{after}/dags/d"]
    assert memory.api_version is API_VERSIONS[after]


CHANGES: dict[str, Callable[[Client], Flow[Any]]] = {
    "POST dags/d/dagRuns": lambda client: client.trigger_dag_run("d", run_id="r"),
    "POST dags/~/dagRuns/list": lambda client: poll_lists.finished_runs(client, ["d"], payloads.DATE, payloads.DATE),
    "PATCH dags/d": lambda client: client.set_paused("d", paused=True),
    "DELETE pools/p": lambda client: client.request("DELETE", "pools/p"),
}


@pytest.mark.parametrize("request_line", CHANGES)
@pytest.mark.parametrize(("before", "after"), [("v1", "v2"), ("v2", "v1")])
def test_changed_api_version_of_a_target_is_found_out_with_any_method(
    before: str, after: str, request_line: str
) -> None:
    """Airflow 3 responds with 405 to the paths of Airflow 2, unless the method is GET."""
    target = FakeAirflow(after)
    method, path = request_line.split()
    target.on("DELETE", "pools/p", ScriptedResponse(204))
    memory = Memory(api_version=API_VERSIONS[before])
    target.run(CHANGES[request_line](target.client(memory=memory)))
    asked_version = ["GET /api/v2/version"] if after == "v2" else []
    assert target.calls_received == [f"{method} /api/{before}/{path}", *asked_version, f"{method} /api/{after}/{path}"]
    assert memory.api_version is API_VERSIONS[after]


def test_405_of_airflow_2_does_not_call_the_other_api_version(target_v1: ScriptedTarget) -> None:
    target_v1.on("PUT", "pools", json_response(target_v1.payloads.error(405, "The method is not allowed"), 405))
    memory = Memory(api_version=API_VERSIONS["v1"])
    with pytest.raises(TargetError, match="no such endpoint"):
        target_v1.run(target_v1.client(memory=memory).request("PUT", "pools"))
    assert target_v1.calls_received == ["PUT /api/v1/pools"]


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (html_response("404 Not Found", 404), TargetError),
        (json_response({}, 404), TargetError),
        (json_response({}, 503), TargetUnavailableError),
        (json_response({}, 401), AccessDeniedError),
        (TransportError("broken off"), TransportError),
    ],
)
def test_405_of_a_proxy_does_not_change_the_api_version(
    target_v1: ScriptedTarget, version: ScriptedResponse | TransportError, error: type[AstroError]
) -> None:
    target_v1.on("POST", "dags/d/dagRuns", json_response(payloads.METHOD_NOT_ALLOWED, 405))
    target_v1.on("GET", "/api/v2/version", version)
    memory = Memory(api_version=API_VERSIONS["v1"])
    with pytest.raises(error):
        target_v1.run(target_v1.client(memory=memory).trigger_dag_run("d", run_id="r"))
    assert len([line for line in target_v1.calls_received if line.startswith("POST")]) == 1
    assert memory.api_version is API_VERSIONS["v1"]


def test_target_with_neither_api_version_gets_two_requests(target: ScriptedTarget) -> None:
    """A proxy responds with 404 to every path, and the other API version with 405."""
    target.on("POST", "dags/d/dagRuns", html_response("404 Not Found", 404))
    with pytest.raises(NotAirflowError):
        target.run(target.client().trigger_dag_run("d", run_id="r"))
    assert target.calls_received == ["POST /api/v2/dags/d/dagRuns", "POST /api/v1/dags/d/dagRuns"]


def test_404_of_the_right_api_version_does_not_call_the_other(target: ScriptedTarget) -> None:
    with pytest.raises(NotFoundError):
        target.run(target.client().request("GET", "pools/none"))
    assert target.calls_received == ["GET /api/v2/pools/none"]


def test_error_about_a_page_names_the_first_url(target: ScriptedTarget) -> None:
    for api_version in ("v1", "v2"):
        target.on("GET", f"/api/{api_version}/pools", html_response("It works!", 404))
    memory = Memory()
    with pytest.raises(NotAirflowError, match=r"/api/v2/pools is no Airflow REST API.*titled 'It works!'"):
        target.run(target.client(memory=memory).request("GET", "pools"))
    assert memory.api_version is None


def test_error_response_does_not_set_the_api_version(target: ScriptedTarget) -> None:
    """If the first response of a v1 target to a v1 path is an error, the API version stays unknown."""
    target_v1 = ScriptedTarget("v1")
    memory = Memory()
    with pytest.raises(NotFoundError):
        target_v1.run(target_v1.client(memory=memory).request("GET", "pools/none"))
    assert target_v1.calls_received == ["GET /api/v2/pools/none", "GET /api/v1/pools/none"]


def test_version_is_requested_only_if_the_api_version_is_unknown(
    target: ScriptedTarget, target_v1: ScriptedTarget
) -> None:
    target_v1.on("GET", "version", json_response(payloads.v1.version()))
    client = target_v1.client()
    assert [target_v1.run(client.api_version()).NAME for _ in range(2)] == ["v1", "v1"]
    assert target_v1.calls_received == ["GET /api/v2/version", "GET /api/v1/version"]
    assert target.run(target.client(api_version="v1").api_version()).NAME == "v1"
    assert target.calls_received == []


def test_find_returns_none_for_a_404(target: ScriptedTarget) -> None:
    assert target.run(target.client().find(calls.get_dag, "d")) is None
    assert target.calls_received == ["GET /api/v2/dags/d"]


def test_parameter_that_v1_lacks_is_refused_before_any_request(target_v1: ScriptedTarget) -> None:
    client = target_v1.client(api_version="v1")
    with pytest.raises(RequestNotPossible, match="run_after needs Airflow 3"):
        target_v1.run(client.trigger_dag_run("d", run_after="2026-01-01"))
    assert target_v1.calls_received == []


DAG = json.dumps(payloads.v2.dag()).encode()


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 99999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +9999",
        "9" * 6000,
        "yesterday",
        "",
    ],
)
def test_invalid_date_header_is_ignored(target: ScriptedTarget, date: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(200, DAG, {"Date": date}))
    client = target.client()
    target.run(client.get_dag("d"))
    assert client.at_target(target.clock.now) == client.at_target(target.clock.now)[:19] + "+00:00"
    assert client.memory.clock_lead == 0

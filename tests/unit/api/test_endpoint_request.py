"""A request to any endpoint: its parameters, and how it is stored for a trigger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.endpoint_request import EndpointRequest, check_request_options
from astro_provider.api.errors import InvalidParameterError, NotAirflowError, NotFoundError, TargetError
from tests.unit.scripted_target import ScriptedResponse, ScriptedTarget, html_response, json_response

if TYPE_CHECKING:
    from tests.unit.payloads import JSON

MISSING_IN_V1 = {"title": "Variable not found", "detail": None, "status": 404, "type": "https://airflow.apache.org/e"}
NO_ENDPOINT_IN_V1 = {
    "type": "about:blank",
    "title": "Not Found",
    "detail": "The requested URL was not found on the server.",
    "status": 404,
}


def delete_variable(target: ScriptedTarget, answer: ScriptedResponse, *allowed: int, path: str = "variables/x") -> JSON:
    target.on("DELETE", path, answer)
    request = EndpointRequest(endpoint=path, method="delete", allowed_statuses=allowed)
    return target.run(request.send(target.client(api_version=target.api_version)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "HEAD"}, "method must be one of GET, .*, not 'HEAD'"),
        ({"method": "PUT", "all_pages": True}, "all_pages goes with method 'GET', not 'PUT'"),
        ({"allowed_statuses": (404, "409")}, r"allowed_statuses must be HTTP statuses .*'409'"),
        ({"allowed_statuses": 404}, "allowed_statuses must be HTTP statuses"),
        ({"allowed_statuses": "404"}, "allowed_statuses must be HTTP statuses"),
        ({"allowed_statuses": (99,)}, "allowed_statuses must be HTTP statuses"),
        ({"allowed_statuses": (600,)}, "allowed_statuses must be HTTP statuses"),
        ({"allowed_statuses": (True,)}, "allowed_statuses must be HTTP statuses"),
        ({"all_pages": True, "allowed_statuses": (404,)}, "all_pages and allowed_statuses exclude each other"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        check_request_options(**{"method": "GET", "all_pages": False, "allowed_statuses": (), **options})


def test_allowed_status_is_a_result(any_target: ScriptedTarget) -> None:
    body = MISSING_IN_V1 if any_target.api_version == "v1" else {"detail": "The Variable with key: `x` was not found"}
    assert delete_variable(any_target, json_response(body, 404), 404) == body
    assert delete_variable(any_target, ScriptedResponse(404), 404) is None
    assert delete_variable(any_target, ScriptedResponse(204), 404) is None


def test_other_status_names_the_resource(any_target: ScriptedTarget) -> None:
    body = MISSING_IN_V1 if any_target.api_version == "v1" else {"detail": "The Variable with key: `x` was not found"}
    with pytest.raises(NotFoundError, match=r"has no variable 'x'\. It says: .*was not found|Variable not found"):
        delete_variable(any_target, json_response(body, 404), 409)


@pytest.mark.parametrize("allowed", [(), (404, 405)])
def test_endpoint_that_does_not_exist_is_an_error_even_if_its_status_is_allowed(
    target: ScriptedTarget, target_v1: ScriptedTarget, allowed: tuple[int, ...]
) -> None:
    for path in ("dags/d/nowhere", "nowhere/x"):
        with pytest.raises(TargetError, match="has no such endpoint"):
            delete_variable(target, json_response({"detail": "Method Not Allowed"}, 405), *allowed, path=path)
        with pytest.raises(NotFoundError, match=r"has no such endpoint: DELETE https.*/api/v1/"):
            delete_variable(target_v1, json_response(NO_ENDPOINT_IN_V1, 404), *allowed, path=path)
    target.on("GET", "nowhere", html_response("Airflow"))
    with pytest.raises(NotAirflowError, match="Airflow's UI where an endpoint does not exist"):
        target.run(EndpointRequest(endpoint="nowhere", allowed_statuses=allowed).send(target.client()))


def test_statuses_of_results_are_noted(target: ScriptedTarget) -> None:
    statuses: list[int] = []
    target.on("POST", "variables", json_response({"key": "x"}, 201), json_response({"detail": "exists"}, 409))
    request = EndpointRequest(endpoint="variables", method="POST", data={"key": "x"}, allowed_statuses=(409,))
    for _ in range(2):
        target.run(request.send(target.client(), statuses.append))
    target.on("GET", "pools", json_response({"pools": [], "total_entries": 0}))
    target.run(EndpointRequest(endpoint="pools", all_pages=True).send(target.client(), statuses.append))
    assert statuses == [201, 409, 200]


def test_stored_request_can_be_created_again() -> None:
    request = EndpointRequest(
        endpoint="things", method="POST", data={"a": [1]}, headers={"X": "y"}, allowed_statuses=(404,)
    )
    assert EndpointRequest.deserialize(json.loads(json.dumps(request.serialize()))) == request


def test_equal_requests_have_an_equal_key() -> None:
    one = EndpointRequest(endpoint="things", data={"a": 1, "b": 2}, headers={"X": "1", "Y": "2"})
    assert one.key == EndpointRequest(endpoint="things", data={"b": 2, "a": 1}, headers={"Y": "2", "X": "1"}).key
    others = [
        EndpointRequest(endpoint="things", data={"a": 1}),
        EndpointRequest(endpoint="things", data={"a": 1}, method="POST"),
        EndpointRequest(endpoint="things", data={"a": 1}, headers={"X": "1"}),
        EndpointRequest(endpoint="things", data={"a": 1}, allowed_statuses=(404,)),
        EndpointRequest(endpoint="things", all_pages=True),
    ]
    assert len({each.key for each in others}) == 5

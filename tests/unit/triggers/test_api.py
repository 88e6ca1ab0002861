"""Waiting in the triggerer for the response of an endpoint."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.endpoint_request import EndpointRequest
from astro_provider.tasks.response_check import function_path
from astro_provider.triggers.api import AstroApiTrigger
from tests.unit import checks
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer


def api_trigger(function: Any = checks.is_ready, **options: Any) -> AstroApiTrigger:
    """Create a trigger for the endpoint ``things``, from its serialized arguments."""
    request = EndpointRequest(endpoint="things", allowed_statuses=options.pop("allowed_statuses", ()))
    path = function if isinstance(function, str) else function_path(function)
    _, arguments = AstroApiTrigger(
        http_conn_id="http_conn", request=request, response_check=path, **options
    ).serialize()
    return AstroApiTrigger(**json.loads(json.dumps(arguments)))


async def payload_of(trigger: AstroApiTrigger) -> dict[str, Any]:
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload


def ready(*values: int) -> list[Any]:
    return [json_response({"ready": value, "day": "today"}) for value in values]


async def test_accepted_response_is_in_the_event(any_airflow: FakeAirflowServer) -> None:
    any_airflow.on("GET", "things", *ready(0, 0, 1))
    payload = await payload_of(api_trigger())
    assert (payload["outcome"], payload["response"]) == ("success", {"ready": 1, "day": "today"})
    assert any_airflow.calls_received.count(f"GET {any_airflow.api('things')}") == 3


async def test_equal_waits_share_their_requests_and_decide_each_for_itself(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", *ready(0, 0, 1))
    same = [api_trigger(each) for each in (checks.is_ready, checks.pops_ready, checks.has_default)]
    payloads = await asyncio.gather(*(payload_of(each) for each in same))
    assert [each["response"] for each in payloads] == [{"ready": 1, "day": "today"}] * 3
    assert len(fake_airflow.received) <= 4


async def test_deadline_is_a_timeout_with_the_last_response(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    payload = await payload_of(api_trigger(deadline=NOW.timestamp() + 30))
    assert payload["outcome"] == "timeout"
    assert payload["message"].startswith("Not accepted: GET things in Deployment ")
    assert payload["message"].endswith("\n  response_check does not accept {'ready': 0, 'day': 'today'}")


async def test_deadline_without_a_response_is_a_timeout(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", json_response({"detail": "down"}, 503))
    payload = await payload_of(api_trigger(deadline=NOW.timestamp() + 30))
    assert (payload["outcome"], payload["message"]) == ("timeout", "No answer yet: GET things")


async def test_error_of_the_function_is_an_event(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", json_response({}))
    payload = await payload_of(api_trigger())
    assert (payload["outcome"], payload["error"]) == ("retryable_error", "ResponseCheckError")
    assert payload["message"].startswith("response_check 'is_ready' failed for GET things: KeyError")


async def test_exception_of_airflow_is_left_to_a_worker(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", *ready(0, 1))
    payload = await payload_of(api_trigger(checks.skips))
    assert payload["outcome"] == "restart"
    assert "AirflowSkipException: nothing to do" in payload["message"]


@pytest.mark.parametrize("path", ["nowhere.checks:is_ready", "tests.unit.checks:no_such_function"])
async def test_function_that_cannot_be_imported_is_left_to_a_worker(fake_airflow: FakeAirflowServer, path: str) -> None:
    payload = await payload_of(api_trigger(path))
    assert payload["outcome"] == "restart"
    assert payload["message"].startswith(f"The triggerer cannot import response_check {path!r}: ")
    assert fake_airflow.received == []


async def test_missing_resource_is_an_error_unless_allowed(fake_airflow: FakeAirflowServer) -> None:
    missing = json_response({"detail": "was not found"}, 404)
    fake_airflow.on("GET", "things", missing)
    payload = await payload_of(api_trigger())
    assert (payload["outcome"], payload["error"]) == ("retryable_error", "NotFoundError")
    fake_airflow.on("GET", "things", *ready(0), missing)
    payload = await payload_of(api_trigger(checks.is_ready_or_missing, allowed_statuses=(404,)))
    assert payload["response"] == {"detail": "was not found"}


def test_serialized_trigger_can_be_created_again() -> None:
    trigger = api_trigger(poke_interval=7, deadline=5.0, started_at=4.0, allowed_statuses=(404,))
    path, arguments = trigger.serialize()
    assert path == "astro_provider.triggers.api.AstroApiTrigger"
    assert arguments["request"]["allowed_statuses"] == [404]
    assert AstroApiTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)

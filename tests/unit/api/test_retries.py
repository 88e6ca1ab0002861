"""Which requests are sent again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import poll_lists
from astro_provider.api.errors import (
    ConflictError,
    TargetError,
    TargetUnavailableError,
    TransportError,
)
from tests.unit import payloads
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import (
    ReceivedRequest,
    Script,
    ScriptedResponse,
    ScriptedTarget,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow

OK = json_response(payloads.v2.dag_run())


BROKEN = TransportError("broken off")


NOT_SENT = TransportError("refused", sent=False)


PATH = {"GET": "dags/d/dagRuns/r", "POST": "dags/d/dagRuns", "PATCH": "dags/d/dagRuns/r"}


def send(target: ScriptedTarget, method: str, *responses: Script, **fields: object) -> object:
    target.on(method, PATH[method], *responses)
    return target.run(target.client(**fields).request(method, PATH[method]))


@pytest.mark.parametrize("status", [408, 421, 425, 429, 502, 503, 504])
def test_get_is_sent_again_after_a_transient_status(target: ScriptedTarget, status: int) -> None:
    assert send(target, "GET", json_response({}, status), json_response({}, status), OK) == payloads.v2.dag_run()
    assert target.pauses == [1, 3]


def test_get_is_sent_again_after_a_truncated_response(target: ScriptedTarget) -> None:
    send(target, "GET", BROKEN, OK)
    assert target.pauses == [1]


@pytest.mark.parametrize(("seconds", "sent"), [(29, 3), (60, 2), (130, 1)])
def test_get_that_took_long_is_not_sent_again(target: ScriptedTarget, seconds: float, sent: int) -> None:
    """If a request ends at its timeout, sending it again would delay a wait twice as long."""

    def slow(received: ReceivedRequest) -> ScriptedResponse:
        target.clock.now += seconds
        raise BROKEN

    with pytest.raises(TransportError):
        send(target, "GET", slow)
    assert len(target.received) == sent


@pytest.mark.parametrize(
    ("method", "failure", "error"),
    [
        ("GET", json_response({}, 503), TargetUnavailableError),
        ("GET", BROKEN, TransportError),
        ("POST", json_response({}, 429), TargetUnavailableError),
        ("POST", NOT_SENT, TransportError),
    ],
)
def test_persistent_error_is_raised_after_three_tries(
    target: ScriptedTarget, method: str, failure: ScriptedResponse | TransportError, error: type[Exception]
) -> None:
    with pytest.raises(error):
        send(target, method, failure)
    assert (len(target.received), target.pauses) == (3, [1, 3])


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "failure", [BROKEN, json_response({}, 502), json_response({}, 503), json_response({}, 504), json_response({}, 500)]
)
def test_request_that_might_have_arrived_is_not_sent_again(
    target: ScriptedTarget, method: str, failure: ScriptedResponse | TransportError
) -> None:
    with pytest.raises((TransportError, TargetUnavailableError)):
        send(target, method, failure)
    assert (len(target.received), target.pauses) == (1, [])


@pytest.mark.parametrize("failure", [NOT_SENT, json_response({}, 429)])
def test_request_that_was_not_handled_is_sent_again(
    target: ScriptedTarget, failure: ScriptedResponse | TransportError
) -> None:
    assert send(target, "POST", failure, OK) == payloads.v2.dag_run()
    assert target.pauses == [1]


LOST = [BROKEN, json_response({}, 502), json_response({}, 503), json_response({}, 504)]


IDEMPOTENT: dict[str, Callable[[Client], Flow[Any]]] = {
    "POST dags/d/dagRuns": lambda client: client.trigger_dag_run("d", run_id="derived", idempotent=True),
    "POST dags/d/dagRuns/r/clear": lambda client: client.clear_dag_run("d", "r", only_failed=False),
    "PATCH dags/d/dagRuns/r": lambda client: client.cancel_dag_run("d", "r"),
    "PATCH dags/d": lambda client: client.set_paused("d", paused=True),
    "POST dags/~/dagRuns/~/taskInstances/list": lambda client: client.list_instances_of_tasks("d", ["r"], ["t"]),
}


@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize("request_line", IDEMPOTENT)
def test_an_idempotent_request_is_sent_again(request_line: str, failure: ScriptedResponse | TransportError) -> None:
    target = FakeAirflow("v2")
    target.has_run("r", "running")
    method, path = request_line.split()
    target.on(method, path, failure, target.stored_response)
    target.run(IDEMPOTENT[request_line](target.client()))
    assert target.calls_received.count(f"{method} /api/v2/{path}") == 2


@pytest.mark.parametrize("failure", LOST)
@pytest.mark.parametrize("what", ["dagRuns", "dagRuns/~/taskInstances"])
def test_poll_is_not_sent_again(what: str, failure: ScriptedResponse | TransportError) -> None:
    target = FakeAirflow("v2")
    target.on("POST", f"dags/~/{what}/list", failure, target.stored_response)
    client = target.client()
    dates = (payloads.DATE, payloads.DATE)
    runs, tasks = (
        poll_lists.finished_runs(client, ["d"], *dates),
        poll_lists.finished_tasks(client, ["d"], payloads.DATE),
    )
    with pytest.raises((TransportError, TargetUnavailableError)):
        target.run(runs if what == "dagRuns" else tasks)
    assert (len(target.received), target.pauses) == (1, [])


@pytest.mark.parametrize("failure", LOST)
def test_trigger_with_a_run_id_that_others_might_use_is_not_sent_again(
    failure: ScriptedResponse | TransportError,
) -> None:
    target = FakeAirflow("v2")
    target.on("POST", "dags/d/dagRuns", failure)
    with pytest.raises((TransportError, TargetUnavailableError)):
        target.run(target.client().trigger_dag_run("d", run_id="nightly"))
    assert len(target.received) == 1


@pytest.mark.parametrize(("failure", "resent"), [*((lost, True) for lost in LOST), (json_response({}, 429), False)])
def test_conflict_after_a_lost_response_is_marked_as_resent(
    failure: ScriptedResponse | TransportError, resent: bool
) -> None:
    target = FakeAirflow("v2")
    target.has_run("derived", "running")
    target.on("POST", "dags/d/dagRuns", failure, target.stored_response)
    with pytest.raises(ConflictError) as caught:
        target.run(target.client().trigger_dag_run("d", run_id="derived", idempotent=True))
    assert caught.value.resent == resent


def test_conflict_with_the_first_request_is_not_marked_as_resent() -> None:
    target = FakeAirflow("v2")
    target.has_run("derived", "running")
    with pytest.raises(ConflictError) as caught:
        target.run(target.client().trigger_dag_run("d", run_id="derived", idempotent=True))
    assert caught.value.resent is False


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_persistent_status_is_not_retried(target: ScriptedTarget, status: int) -> None:
    with pytest.raises(TargetError):
        send(target, "GET", json_response({}, status))
    assert len(target.received) == 1


@pytest.mark.parametrize(
    ("retry_after", "pause"), [("7", 7), ("3600", 30), ("0", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-5", 1)]
)
def test_retry_after_sets_the_pause_up_to_a_limit(target: ScriptedTarget, retry_after: str, pause: float) -> None:
    send(target, "GET", json_response({}, 429, Retry_After=retry_after), OK)
    assert target.pauses == [pause]


DAG = json.dumps(payloads.v2.dag()).encode()


@pytest.mark.parametrize("seconds", ["²", "٣", "1" * 5000, "-1", "soon", ""])
def test_retry_after_that_is_not_a_number_is_ignored(target: ScriptedTarget, seconds: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(503, b"{}", {"Retry-After": seconds}), ScriptedResponse(200, DAG))
    assert target.run(target.client().get_dag("d"))["dag_id"] == "d"
    assert 0 < target.pauses[0] <= 30

"""How tokens are fetched and shared, and what is said of those that are refused."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.credentials import DEFAULT_TOKEN_URL, ClientCredentials, Login
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    NotAirflowError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.flow import Pause, Response
from astro_provider.api.memory import Memory
from astro_provider.api.tokens import FETCH_CHECK_SECONDS, MAX_FETCH_SECONDS, expiry
from tests.unit import payloads
from tests.unit.api.json_web_token import jwt
from tests.unit.scripted_target import (
    ScriptedResponse,
    ScriptedTarget,
    html_response,
    json_response,
)

if TYPE_CHECKING:
    from astro_provider.api.flow import Flow
    from tests.unit.scripted_target import Script

URL = "https://id.example.com/token"


OAUTH = ClientCredentials("the-client", "client-secret-1", token_url=URL)


DEFAULT = ClientCredentials("the-client", "client-secret-1")


LOGIN = Login("admin", "pass-word-1")


EXPIRED = json_response({"detail": "Signature has expired"}, 401)


def token(value: str, **other: object) -> Script:
    return json_response({"access_token": value, **other})


@pytest.fixture
def dag(target: ScriptedTarget) -> ScriptedTarget:
    target.on("GET", "dags/d", json_response(payloads.v2.dag()))
    return target


@pytest.mark.parametrize(
    ("life", "seconds", "fetches"),
    [(3600, 3539, 1), (3600, 3540, 2), (60, 29, 1), (60, 30, 2), (10, 4, 1), (10, 5, 2), (120, 59, 1), (120, 60, 2)],
)
def test_a_token_is_used_until_a_minute_before_it_expires_or_half_its_lifetime(
    dag: ScriptedTarget, life: int, seconds: int, fetches: int
) -> None:
    dag.on("POST", URL, *(token(f"fetched-{i}", expires_in=life) for i in (1, 2)))
    client = dag.client(OAUTH)
    dag.run(client.get_dag("d"))
    dag.clock.now += seconds
    dag.run(client.get_dag("d"))
    assert dag.calls_received.count(f"POST {URL}") == fetches


@pytest.mark.parametrize("life", [0, -5])
def test_a_token_that_has_expired_already_is_used_once(dag: ScriptedTarget, life: int) -> None:
    dag.on("POST", URL, token("fetched-1", expires_in=life))
    dag.run(dag.client(OAUTH).get_dag("d"))
    assert dag.calls_received == [f"POST {URL}", "GET /api/v2/dags/d"]


@pytest.mark.parametrize("value", ["two\nlines", "nön-ascii"])
def test_a_token_that_no_header_can_hold(dag: ScriptedTarget, value: str) -> None:
    dag.on("POST", URL, token(value))
    with pytest.raises(UnexpectedAnswerError, match="expected a token") as caught:
        dag.run(dag.client(OAUTH).get_dag("d"))
    assert dag.calls_received == [f"POST {URL}"]
    assert "id.example.com" in str(caught.value)


class Waiter:
    """A flow that is driven by hand, up to where it waits for somebody else's fetch."""

    def __init__(self, target: ScriptedTarget, flow: Flow[Any]) -> None:
        self._target = target
        self._flow = flow
        self._step = next(flow)

    @property
    def waits(self) -> bool:
        return self._step == Pause(FETCH_CHECK_SECONDS)

    def check(self) -> None:
        """Check once more whether the fetch is over."""
        self._step = self._flow.send(None)

    def finish(self) -> Any:
        step = self._step
        while True:
            answer = self._target._carry(step)
            try:
                step = self._flow.throw(answer) if isinstance(answer, TransportError) else self._flow.send(answer)
            except StopIteration as end:
                return end.value


def waiters(target: ScriptedTarget, count: int) -> list[Waiter]:
    memory = Memory()
    return [Waiter(target, target.client(OAUTH, memory).get_dag("d")) for _ in range(count)]


def test_others_wait_for_the_token_that_is_being_fetched(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    first, *others = waiters(dag, 50)
    assert not first.waits
    assert all(other.waits for other in others)
    first.finish()
    for other in others:
        assert other.finish()["dag_id"] == "d"
    assert dag.calls_received == [f"POST {URL}", *["GET /api/v2/dags/d"] * 50]
    assert {received.headers.get("authorization") for received in dag.received[1:]} == {"Bearer fetched-1"}


def test_others_share_a_failure_too(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, json_response({"error": "invalid_client"}, 401))
    for waiter in waiters(dag, 50):
        with pytest.raises(AccessDeniedError, match="invalid_client"):
            waiter.finish()
    assert dag.calls_received == [f"POST {URL}"]


def test_a_fetch_that_failed_is_not_the_last(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, json_response({}, 400), token("fetched-1"))
    client = dag.client(OAUTH)
    with pytest.raises(AccessDeniedError):
        dag.run(client.get_dag("d"))
    assert dag.run(client.get_dag("d"))["dag_id"] == "d"


def test_a_fetch_that_is_given_up_is_made_by_the_next_one(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    first, second, third = waiters(dag, 3)
    first._flow.close()  # as when its task is cancelled
    second.check()
    assert not second.waits
    third.check()
    assert third.waits
    assert second.finish()["dag_id"] == third.finish()["dag_id"] == "d"


def test_nobody_waits_for_ever_for_a_fetch_that_hangs(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    _hanging, second, third = waiters(dag, 3)
    dag.clock.now += MAX_FETCH_SECONDS - 1
    second.check()
    assert second.waits
    dag.clock.now += 1
    second.check()
    assert not second.waits
    third.check()
    assert third.waits, "for the second one, now"
    assert second.finish()["dag_id"] == third.finish()["dag_id"] == "d"
    assert dag.calls_received.count(f"POST {URL}") == 1


def test_a_clock_that_is_set_back_keeps_nobody_waiting(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    _hanging, second = waiters(dag, 2)
    dag.clock.now -= 3600
    second.check()
    assert not second.waits


def test_many_whose_token_is_refused_fetch_one_other(target: ScriptedTarget) -> None:
    target.on("POST", URL, token("fetched-2"))
    target.on("GET", "dags/d", EXPIRED)
    memory = Memory(token="fetched-1")
    flows = [Waiter(target, target.client(OAUTH, memory).get_dag("d")) for _ in range(50)]
    refused = Response(401, {"content-type": "application/json"}, EXPIRED.body)
    for waiter in flows:
        waiter._step = waiter._flow.send(refused)
    target.on("GET", "dags/d", json_response(payloads.v2.dag()))
    for waiter in flows:
        assert waiter.finish()["dag_id"] == "d"
    assert target.calls_received.count(f"POST {URL}") == 1


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            json_response({"error_description": "no such client"}, 401),
            AccessDeniedError,
            "gives no token: it answers 401.",
        ),
        (html_response("Sign in"), NotAirflowError, "HTML page titled 'Sign in'"),
        (json_response({"token": "x"}), UnexpectedAnswerError, "an object with access_token"),
        (json_response({}, 503), TargetUnavailableError, "got 503"),
        (TransportError("id.example.com refused the connection", sent=False), TransportError, "refused the conn"),
    ],
)
@pytest.mark.parametrize(
    ("credentials", "url", "name"),
    [(OAUTH, URL, "the token_url of connection"), (DEFAULT, DEFAULT_TOKEN_URL, "the default token_url of connection")],
)
def test_the_field_is_named_whatever_the_token_url_answers(
    target: ScriptedTarget,
    said: Script,
    error: type[AstroError],
    message: str,
    credentials: ClientCredentials,
    url: str,
    name: str,
) -> None:
    """Airflow writes *** for the URL into its logs."""
    target.on("POST", url, said)
    with pytest.raises(error, match=message) as caught:
        target.run(target.client(credentials).get_dag("d"))
    text = str(caught.value).replace(url, "***")
    assert f"{name} 'http_conn'".lower() in text.lower()
    assert "Host" not in text


def test_an_error_of_the_login_names_the_field(target: ScriptedTarget) -> None:
    target.on("POST", "/auth/token", json_response({"detail": "Invalid credentials"}, 401))
    with pytest.raises(AccessDeniedError, match="/auth/token for the Login of connection 'http_conn'"):
        target.run(target.client(LOGIN).get_dag("d"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "Bearer",
        "Bearer abc",
        "Bearer a.b.c",
        "Bearer ż.ż.ż",
        "Basic YWRtaW46YWRtaW4=",
        f"Bearer {jwt([])}",
        f"Bearer {jwt({})}",
        f"Bearer {jwt({'exp': 'soon'})}",
        f"Bearer {jwt({'exp': None})}",
        f"Bearer {jwt({'exp': 1e300})}",
        f"Bearer {jwt({'exp': float('nan')})}",
        "Bearer x." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".x",
    ],
)
def test_what_is_no_token_with_a_date_has_no_expiry(value: str) -> None:
    assert expiry(value) is None


DAG = json.dumps(payloads.v2.dag()).encode()


@pytest.mark.parametrize("seconds", [10**400, "3600", None, [], {}])
def test_a_token_of_unknown_life_is_used(target: ScriptedTarget, seconds: payloads.JSON) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": "fetched-1", "expires_in": seconds}, 201))
    target.on("GET", "dags/d", ScriptedResponse(200, DAG))
    client = target.client(LOGIN)
    for _ in range(2):
        target.run(client.get_dag("d"))
    assert target.calls_received.count("POST /auth/token") == 1


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_none(target: ScriptedTarget, token: str) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": token}, 201))
    with pytest.raises(UnexpectedAnswerError, match="expected a token"):
        target.run(target.client(LOGIN).get_dag("d"))
    assert target.calls_received == ["POST /auth/token"]

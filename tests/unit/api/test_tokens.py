"""How tokens are fetched, shared and replaced, and the errors about them."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from astro_provider.api.tokens import FETCH_CHECK_SECONDS, MAX_FETCH_SECONDS, expires_soon, expiry
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
def test_token_that_has_expired_already_is_used_once(dag: ScriptedTarget, life: int) -> None:
    dag.on("POST", URL, token("fetched-1", expires_in=life))
    dag.run(dag.client(OAUTH).get_dag("d"))
    assert dag.calls_received == [f"POST {URL}", "GET /api/v2/dags/d"]


@pytest.mark.parametrize("value", ["two\nlines", "nön-ascii"])
def test_token_that_cannot_be_sent_is_an_error(dag: ScriptedTarget, value: str) -> None:
    dag.on("POST", URL, token(value))
    with pytest.raises(UnexpectedAnswerError, match="expected a token") as caught:
        dag.run(dag.client(OAUTH).get_dag("d"))
    assert dag.calls_received == [f"POST {URL}"]
    assert "id.example.com" in str(caught.value)


class Waiter:
    """A flow that is run step by step, up to its pause while another flow fetches the token."""

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


def test_other_flows_wait_for_the_token_that_one_flow_fetches(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    first, *others = waiters(dag, 50)
    assert not first.waits
    assert all(other.waits for other in others)
    first.finish()
    for other in others:
        assert other.finish()["dag_id"] == "d"
    assert dag.calls_received == [f"POST {URL}", *["GET /api/v2/dags/d"] * 50]
    assert {received.headers.get("authorization") for received in dag.received[1:]} == {"Bearer fetched-1"}


def test_waiting_flows_share_the_failure_of_a_fetch(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, json_response({"error": "invalid_client"}, 401))
    for waiter in waiters(dag, 50):
        with pytest.raises(AccessDeniedError, match="invalid_client"):
            waiter.finish()
    assert dag.calls_received == [f"POST {URL}"]


def test_token_is_fetched_again_after_a_failed_fetch(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, json_response({}, 400), token("fetched-1"))
    client = dag.client(OAUTH)
    with pytest.raises(AccessDeniedError):
        dag.run(client.get_dag("d"))
    assert dag.run(client.get_dag("d"))["dag_id"] == "d"


def test_next_flow_fetches_the_token_if_a_fetch_is_cancelled(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    first, second, third = waiters(dag, 3)
    first._flow.close()  # as if its task was cancelled
    second.check()
    assert not second.waits
    third.check()
    assert third.waits
    assert second.finish()["dag_id"] == third.finish()["dag_id"] == "d"


def test_next_flow_fetches_the_token_if_a_fetch_hangs(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    _hanging, second, third = waiters(dag, 3)
    dag.clock.now += MAX_FETCH_SECONDS - 1
    second.check()
    assert second.waits
    dag.clock.now += 1
    second.check()
    assert not second.waits
    third.check()
    assert third.waits, "it waits for the second flow now"
    assert second.finish()["dag_id"] == third.finish()["dag_id"] == "d"
    assert dag.calls_received.count(f"POST {URL}") == 1


def test_clock_that_is_set_back_ends_the_wait_for_a_fetch(dag: ScriptedTarget) -> None:
    dag.on("POST", URL, token("fetched-1"))
    _hanging, second = waiters(dag, 2)
    dag.clock.now -= 3600
    second.check()
    assert not second.waits


def test_flows_whose_token_is_refused_fetch_one_new_token(target: ScriptedTarget) -> None:
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
    ("response", "error", "message"),
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
def test_every_error_of_a_token_url_names_the_field(
    target: ScriptedTarget,
    response: Script,
    error: type[AstroError],
    message: str,
    credentials: ClientCredentials,
    url: str,
    name: str,
) -> None:
    """Airflow replaces the URL by *** in its logs."""
    target.on("POST", url, response)
    with pytest.raises(error, match=message) as caught:
        target.run(target.client(credentials).get_dag("d"))
    text = str(caught.value).replace(url, "***")
    assert f"{name} 'http_conn'".lower() in text.lower()
    assert "Host" not in text


def test_refused_login_names_the_field(target: ScriptedTarget) -> None:
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
        f"Bearer {jwt({'exp': True})}",
        f"Bearer {jwt({'exp': [1]})}",
        f"Bearer {jwt({'exp': 1e300})}",
        f"Bearer {jwt({'exp': float('nan')})}",
        "Bearer x." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".x",
    ],
)
def test_value_without_an_expiry_date_has_no_expiry(value: str) -> None:
    assert expiry(value) is None


@given(value=st.text() | st.binary().map(lambda data: f"Bearer x.{base64.urlsafe_b64encode(data).decode()}.x"))
def test_no_value_makes_the_decoder_fail(value: str) -> None:
    assert expiry(value) is None or isinstance(expiry(value), datetime)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    claims=st.dictionaries(st.text() | st.just("exp"), json_values), prefix=st.sampled_from(["Bearer ", "bearer ", ""])
)
def test_any_claims_can_be_read(claims: dict[str, Any], prefix: str) -> None:
    found = expiry(f"{prefix}{jwt(claims)}")
    assert found is None or found.timestamp() == pytest.approx(claims["exp"], abs=1e-3)


@given(
    at=st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),
    others=st.dictionaries(st.text().filter(lambda name: name != "exp"), json_values),
)
def test_date_is_read_whatever_else_the_token_has(at: datetime, others: dict[str, Any]) -> None:
    expires = at.replace(microsecond=0, tzinfo=timezone.utc)
    assert expiry(f"Bearer {jwt({**others, 'exp': expires.timestamp()})}") == expires


@pytest.mark.parametrize(("days", "soon"), [(8, False), (7, False), (6.9, True), (0, True), (-1, True)])
def test_token_expires_soon_within_a_week(days: float, soon: bool) -> None:
    expires = datetime(2026, 12, 1, tzinfo=timezone.utc)
    assert expires_soon(expires, expires.timestamp() - days * 86_400) is soon


DAG = json.dumps(payloads.v2.dag()).encode()


@pytest.mark.parametrize("seconds", [10**400, "3600", None, [], {}])
def test_token_without_a_valid_lifetime_is_used(target: ScriptedTarget, seconds: payloads.JSON) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": "fetched-1", "expires_in": seconds}, 201))
    target.on("GET", "dags/d", ScriptedResponse(200, DAG))
    client = target.client(LOGIN)
    for _ in range(2):
        target.run(client.get_dag("d"))
    assert target.calls_received.count("POST /auth/token") == 1


@pytest.mark.parametrize("token", ["", " "])
def test_empty_token_is_an_error(target: ScriptedTarget, token: str) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": token}, 201))
    with pytest.raises(UnexpectedAnswerError, match="expected a token"):
        target.run(target.client(LOGIN).get_dag("d"))
    assert target.calls_received == ["POST /auth/token"]

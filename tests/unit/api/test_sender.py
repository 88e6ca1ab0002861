"""How requests are authorised."""

from __future__ import annotations

import base64

import pytest

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.credentials import (
    DEFAULT_AUDIENCE,
    DEFAULT_TOKEN_URL,
    AuthorizationHeader,
    ClientCredentials,
    Login,
)
from astro_provider.api.errors import AccessDeniedError, NotAirflowError, UnexpectedAnswerError
from astro_provider.api.memory import Memory
from tests.unit import payloads
from tests.unit.scripted_target import BEARER, ScriptedTarget, html_response, json_response

LOGIN = Login("admin", "pass-word-1")
BASIC = "Basic " + base64.b64encode(b"admin:pass-word-1").decode()
OAUTH = ClientCredentials("the-client", "client-secret-1", audience=DEFAULT_AUDIENCE)
OTHER_OAUTH = ClientCredentials("the-client", "client-secret-1", token_url="https://id.example.com/token")
EXPIRED = json_response({"detail": "Signature has expired"}, 401)
OF_ANOTHER_KEY = json_response({"detail": "Invalid JWT token"}, 403)
FORBIDDEN = json_response({"detail": "Forbidden"}, 403)


def token(value: str, **other: object) -> payloads.JSON:
    return {"access_token": value, "token_type": "Bearer", **other}


def sent(target: ScriptedTarget, path: str = "dags/d") -> list[str | None]:
    """The Authorization headers that came with requests for this path."""
    return [received.headers.get("authorization") for received in target.received if received.path.endswith(path)]


@pytest.fixture
def dag(target: ScriptedTarget) -> ScriptedTarget:
    target.on("GET", "dags/d", json_response(payloads.v2.dag()))
    return target


@pytest.mark.parametrize(("credentials", "header"), [(AuthorizationHeader("Any thing"), "Any thing"), (None, None)])
def test_authorization_header_is_sent_unchanged_and_none_without_credentials(
    dag: ScriptedTarget, credentials: AuthorizationHeader | None, header: str | None
) -> None:
    dag.run(dag.client(credentials).get_dag("d"))
    assert sent(dag) == [header]


def test_login_gets_a_token_from_airflow_3_and_keeps_it(dag: ScriptedTarget) -> None:
    dag.on("POST", "/auth/token", json_response(token("fetched-1"), 201))
    client = dag.client(LOGIN, headers={"X-Team": "red"})
    for _ in range(2):
        dag.clock.now += 80_000
        dag.run(client.get_dag("d"))
    assert dag.calls_received == ["POST /auth/token", *["GET /api/v2/dags/d"] * 2]
    assert sent(dag) == ["Bearer fetched-1"] * 2
    assert dag.received[0].json == {"username": "admin", "password": "pass-word-1"}
    assert "authorization" not in dag.received[0].headers
    assert dag.received[0].headers["x-team"] == "red"


def test_login_is_sent_as_basic_to_airflow_2(target_v1: ScriptedTarget) -> None:
    target_v1.on("GET", "dags/d", json_response(payloads.v1.dag()))
    client = target_v1.client(LOGIN)
    for _ in range(2):
        target_v1.run(client.get_dag("d"))
    assert target_v1.calls_received == ["POST /auth/token", "GET /api/v1/dags/d", "GET /api/v1/dags/d"]
    assert sent(target_v1) == [BASIC, BASIC]


@pytest.mark.parametrize("status", [404, 405])
def test_missing_token_endpoint_with_pinned_v2_is_an_error(target: ScriptedTarget, status: int) -> None:
    target.on("POST", "/auth/token", html_response("Not here", status))
    with pytest.raises(NotAirflowError, match=r"/auth/token is no Airflow REST API.*titled 'Not here'"):
        target.run(target.client(LOGIN, api_version="v2").get_dag("d"))


def test_login_gets_a_token_after_an_upgrade_to_airflow_3(dag: ScriptedTarget) -> None:
    dag.on("POST", "/auth/token", json_response(token("fetched-1"), 201))
    dag.run(dag.client(LOGIN, Memory(api_version=API_VERSIONS["v1"])).get_dag("d"))
    assert dag.calls_received == ["GET /api/v1/dags/d", "POST /auth/token", "GET /api/v2/dags/d"]


def test_login_becomes_basic_after_a_downgrade_to_airflow_2(target_v1: ScriptedTarget) -> None:
    target_v1.on("GET", "dags/d", json_response(payloads.v1.dag()))
    memory = Memory(API_VERSIONS["v2"], "an-old-token")
    target_v1.run(target_v1.client(LOGIN, memory).get_dag("d"))
    assert target_v1.calls_received == ["GET /api/v2/dags/d", "GET /api/v1/dags/d"]
    assert sent(target_v1)[-1] == BASIC


@pytest.mark.parametrize(
    ("credentials", "url", "audience"),
    [(OAUTH, DEFAULT_TOKEN_URL, DEFAULT_AUDIENCE), (OTHER_OAUTH, "https://id.example.com/token", None)],
)
def test_client_credentials_are_sent_as_a_form_to_the_token_url_only(
    dag: ScriptedTarget, credentials: ClientCredentials, url: str, audience: str | None
) -> None:
    dag.on("POST", url, json_response(token("fetched-1", expires_in=3600)))
    dag.run(dag.client(credentials, headers={"X-Team": "red"}).get_dag("d"))
    [calls_received, _] = dag.received
    assert calls_received.target == url
    assert calls_received.headers == {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    form = dict(pair.split("=") for pair in calls_received.body.decode().split("&"))
    assert form.pop("audience", None) == audience
    assert form == {"grant_type": "client_credentials", "client_id": "the-client", "client_secret": "client-secret-1"}
    assert sent(dag) == ["Bearer fetched-1"]


@pytest.mark.parametrize(("seconds", "fetched"), [(3539, 1), (3540, 2)])
def test_a_token_is_kept_until_a_minute_before_it_expires(dag: ScriptedTarget, seconds: int, fetched: int) -> None:
    dag.on("POST", DEFAULT_TOKEN_URL, *(json_response(token(f"fetched-{i}", expires_in=3600)) for i in (1, 2)))
    client = dag.client(OAUTH)
    dag.run(client.get_dag("d"))
    dag.clock.now += seconds
    dag.run(client.get_dag("d"))
    assert sent(dag) == ["Bearer fetched-1", f"Bearer fetched-{fetched}"]


@pytest.mark.parametrize("refusal", [EXPIRED, OF_ANOTHER_KEY])
@pytest.mark.parametrize(("credentials", "url"), [(LOGIN, "/auth/token"), (OAUTH, DEFAULT_TOKEN_URL)])
def test_refused_token_is_fetched_again_and_the_request_sent_again(
    target: ScriptedTarget, credentials: Login | ClientCredentials, url: str, refusal: object
) -> None:
    target.on("POST", url, json_response(token("fetched-1")), json_response(token("fetched-2")))
    target.on("POST", "dags/d/dagRuns", refusal, json_response(payloads.v2.dag_run()))
    target.run(target.client(credentials).trigger_dag_run("d", conf={"a": 1}))
    assert sent(target, "dagRuns") == ["Bearer fetched-1", "Bearer fetched-2"]
    first, second = [received.body for received in target.received if received.path.endswith("dagRuns")]
    assert first == second


def test_refused_token_is_fetched_again_only_once(target: ScriptedTarget) -> None:
    target.on("POST", "/auth/token", json_response(token("fetched-1")), json_response(token("fetched-2")))
    target.on("GET", "dags/d", EXPIRED)
    with pytest.raises(AccessDeniedError):
        target.run(target.client(LOGIN).get_dag("d"))
    assert sent(target) == ["Bearer fetched-1", "Bearer fetched-2"]


@pytest.mark.parametrize(
    ("credentials", "refusal"), [(BEARER, EXPIRED), (BEARER, OF_ANOTHER_KEY), (LOGIN, FORBIDDEN), (None, EXPIRED)]
)
def test_no_new_token_is_fetched_if_it_cannot_help(
    target: ScriptedTarget, credentials: AuthorizationHeader | Login | None, refusal: object
) -> None:
    target.on("POST", "/auth/token", json_response(token("fetched-1")))
    target.on("GET", "dags/d", refusal)
    with pytest.raises(AccessDeniedError):
        target.run(target.client(credentials).get_dag("d"))
    assert len(sent(target)) == 1


@pytest.mark.parametrize(("credentials", "url"), [(LOGIN, "/auth/token"), (OAUTH, DEFAULT_TOKEN_URL)])
@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (json_response({"detail": "Invalid credentials"}, 401), AccessDeniedError, "401.*Invalid credentials"),
        (json_response({"token": "x"}), UnexpectedAnswerError, "an object with access_token"),
        (html_response("Sign in"), NotAirflowError, "HTML page titled 'Sign in'"),
    ],
)
def test_request_is_not_sent_without_a_token(
    target: ScriptedTarget, credentials: Login | ClientCredentials, url: str, answer: object, error: type, message: str
) -> None:
    target.on("POST", url, answer)
    with pytest.raises(error, match=message) as caught:
        target.run(target.client(credentials).get_dag("d"))
    assert url in str(caught.value)
    assert sent(target) == []


def test_clients_with_the_same_memory_share_a_token(dag: ScriptedTarget) -> None:
    dag.on("POST", "/auth/token", json_response(token("fetched-1")))
    memory = Memory()
    for _ in range(2):
        dag.run(dag.client(LOGIN, memory).get_dag("d"))
    assert dag.calls_received.count("POST /auth/token") == 1

"""What each error says: where, what, and what to do."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from astro_provider.api import calls
from astro_provider.api.credentials import AuthorizationHeader, ClientCredentials, Login
from astro_provider.api.deployment import HttpOptions
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConflictError,
    InvalidRequestError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
    UnexpectedAnswerError,
)
from astro_provider.api.flow import MAX_ANSWER_BYTES
from tests.unit import payloads
from tests.unit.scripted_target import (
    BEARER,
    TOKEN,
    ScriptedResponse,
    ScriptedTarget,
    html_response,
    json_response,
    redirect_response,
)

if TYPE_CHECKING:
    from astro_provider.api.credentials import Credentials

WHERE = "Deployment https://target.example.com/dz3uu847 (connection 'http_conn')"


def error_of(target: ScriptedTarget, method: str, path: str, answer: ScriptedResponse, **fields: object) -> AstroError:
    target.on(method, path, answer)
    with pytest.raises(AstroError) as caught:
        target.run(target.client(**fields).request(method, path))
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "message", "retryable"),
    [
        (400, InvalidRequestError, "does not accept endpoint 'x': the reason", False),
        (401, AccessDeniedError, "refused POST https://target.example.com/dz3uu847/api/v2/x with 401.", False),
        (403, AccessDeniedError, "refused POST https://target.example.com/dz3uu847/api/v2/x with 403.", False),
        (404, NotFoundError, "has no endpoint 'x'. It says: the reason.", True),
        (405, TargetError, "has no such endpoint for ", False),
        (408, TargetUnavailableError, "cannot answer now: POST https://target", True),
        (409, ConflictError, "has a conflict about endpoint 'x'. It says: the reason.", False),
        (418, TargetError, "answered POST https://target.example.com/dz3uu847/api/v2/x with 418.", False),
        (421, TargetUnavailableError, "cannot answer now: POST https://target", True),
        (422, InvalidRequestError, "does not accept endpoint 'x': the reason", False),
        (425, TargetUnavailableError, "cannot answer now: POST https://target", True),
        (429, TargetUnavailableError, "cannot answer now: POST https://target", True),
        (500, TargetUnavailableError, "cannot answer now: POST https://target", True),
        (504, TargetUnavailableError, "cannot answer now: POST https://target", True),
    ],
)
@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_each_status_is_an_error_that_says_where_and_why(
    api_version: str, status: int, kind: type[TargetError], message: str, retryable: bool
) -> None:
    target = ScriptedTarget(api_version)
    reason = json_response(target.payloads.error(status, "the reason"), status)
    error = error_of(target, "POST", "x", reason, api_version=api_version)
    assert type(error) is kind
    assert isinstance(error, TargetError)
    text = str(error).replace("/api/v1/", "/api/v2/")
    assert text.startswith(WHERE)
    assert message in text
    assert "the reason" in text
    assert (error.status, error.detail, error.retryable) == (status, "the reason", retryable)


def test_an_error_without_a_reason_says_none(target: ScriptedTarget) -> None:
    assert str(error_of(target, "GET", "x", json_response({}, 404))) == f"{WHERE} has no endpoint 'x'."


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("credentials", "advice"),
    [
        (None, "The connection has no credentials: give it an API token."),
        (BEARER, "wrong, expired, or of another Workspace or Deployment"),
        (BEARER, "put an API token of this Deployment into the connection"),
    ],
)
def test_a_refusal_says_what_to_do_about_the_token(
    target: ScriptedTarget, status: int, credentials: Credentials, advice: str
) -> None:
    assert advice in str(error_of(target, "GET", "x", json_response({}, status), credentials=credentials))


@pytest.mark.parametrize(
    "answer",
    [html_response("Sign in to Astro"), html_response("Sign in to Astro", 404), html_response("Sign in to Astro", 405)],
)
def test_a_page_is_no_rest_api(target: ScriptedTarget, answer: ScriptedResponse) -> None:
    error = error_of(target, "GET", "pools", answer, api_version="v2")
    assert isinstance(error, NotAirflowError)
    assert str(error).startswith("https://target.example.com/dz3uu847/api/v2/pools is no Airflow REST API")
    for part in (
        f"answered {answer.status} with an HTML page titled 'Sign in to Astro'",
        "Host of connection 'http_conn'",
    ):
        assert part in str(error)


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDeniedError), (502, TargetUnavailableError)])
def test_an_error_page_of_a_proxy_is_told_by_its_title(
    target: ScriptedTarget, status: int, kind: type[AstroError]
) -> None:
    error = error_of(target, "POST", "x", html_response("502 Bad Gateway", status))
    assert isinstance(error, kind)
    assert "It says: 502 Bad Gateway." in str(error)


def test_a_page_without_a_title(target: ScriptedTarget) -> None:
    error = error_of(target, "GET", "x", ScriptedResponse(200, b" <html>", {}))
    assert "with an HTML page. Check Host" in str(error)


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"", "an empty answer"),
        (b"  ", "an empty answer"),
        (b"Hello, world", "'Hello, world'"),
        (b'{"dag_id": "d", "is_pau', """'{"dag_id": "d", "is_pau'"""),
        (b"\xff\xfe\x00", "'��"),
        (b"[" * 100_000, f"'{'[' * 200}…'"),
        (b"x" * 5_000, f"'{'x' * 200}…'"),
    ],
)
def test_what_is_no_json_is_shown_in_part(target: ScriptedTarget, body: bytes, came: str) -> None:
    error = error_of(target, "GET", "x", ScriptedResponse(200, body))
    assert isinstance(error, UnexpectedAnswerError)
    assert str(error).startswith(f"{WHERE} answered GET https://target.example.com/dz3uu847/api/v2/x with 200")
    assert f"expected JSON, but got {came}" in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize("raw", [[], {}, "text", None, 7, {"dag_id": 7, "is_paused": True}, {"dag_id": "d"}])
def test_json_of_another_shape_is_refused(target: ScriptedTarget, raw: payloads.JSON) -> None:
    target.on("GET", "dags/d", json_response(raw))
    with pytest.raises(UnexpectedAnswerError, match="expected a dag with dag_id, is_paused, but got"):
        target.run(target.client().get_dag("d"))


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_is_too_large_is_not_read(target: ScriptedTarget, status: int) -> None:
    error = error_of(target, "POST", "x", ScriptedResponse(status, b'{"a": "' + b"x" * MAX_ANSWER_BYTES))
    assert isinstance(error, UnexpectedAnswerError)
    assert 'expected at most 32 MiB of JSON, but got \'{"a": "xxx' in str(error)
    assert len(str(error)) < 500


def test_an_answer_just_small_enough_is_read(target: ScriptedTarget) -> None:
    target.on("GET", "x", ScriptedResponse(200, b'"' + b"x" * (MAX_ANSWER_BYTES - 2) + b'"'))
    assert len(str(target.run(target.client().request("GET", "x")))) == MAX_ANSWER_BYTES - 2


def test_similar_dags_are_named(target: ScriptedTarget) -> None:
    target.on(
        "GET",
        "dags",
        json_response(payloads.v2.collection("dags", *map(payloads.v2.dag, ("sales_daily", "hr", "Sales")))),
    )
    with pytest.raises(NotFoundError, match=r"has no dag 'sales'.*It has 'Sales', 'sales_daily'\.$") as caught:
        target.run(target.client().get_dag("sales"))
    assert caught.value.similar == ("Sales", "sales_daily")
    assert str(caught.value).startswith(WHERE)
    assert caught.value.status == 404


def test_the_dags_that_match_are_looked_for_among_all(target: ScriptedTarget) -> None:
    def dags(received: object) -> ScriptedResponse:
        names = ["etl_sales_of_last_year"] if "dag_id_pattern" in getattr(received, "query", ()) else ["saels"]
        return json_response(payloads.v2.collection("dags", *map(payloads.v2.dag, names)))

    target.on("GET", "dags", dags)
    with pytest.raises(NotFoundError) as caught:
        target.run(target.client().get_dag("sales"))
    assert "saels" in caught.value.similar
    assert [received.query.get("dag_id_pattern") for received in target.received[1:]] == [["sales"], None]


@pytest.mark.parametrize(
    "dags", [json_response(payloads.v2.collection("dags", payloads.v2.dag("hr"))), json_response({}, 403)]
)
def test_without_similar_dags_the_error_is_still_of_the_dag(target: ScriptedTarget, dags: ScriptedResponse) -> None:
    target.on("GET", "dags", dags)
    with pytest.raises(NotFoundError, match="has no dag 'sales'") as caught:
        target.run(target.client().get_dag("sales"))
    assert caught.value.similar == ()


def test_a_404_of_a_run_stays_one_where_the_dag_is_there(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", payloads.v2.dag("d"), payloads.v2.dag("d2"))))
    with pytest.raises(NotFoundError, match=r"has no dag run 'r' of dag 'd'\. It says: Not Found\.$") as caught:
        target.run(target.client().get_dag_run("d", "r"))
    assert caught.value.similar == ()


def test_a_404_of_a_run_in_a_dag_that_is_not_there_names_the_dag(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", payloads.v2.dag("sales"))))
    with pytest.raises(NotFoundError, match=r"has no dag 'salse', or the token may not see it\. It has 'sales'"):
        target.run(target.client().get_dag_run("salse", "r"))


SECRETS: list[tuple[dict[str, object], list[str]]] = [
    ({"credentials": BEARER}, [TOKEN]),
    ({"credentials": AuthorizationHeader("Bearer secret-1")}, ["secret-1"]),
    ({"credentials": AuthorizationHeader("secret-1")}, ["secret-1"]),
    ({"credentials": None, "headers": {"X-Api-Key": "secret-2"}}, ["secret-2"]),
    ({"credentials": ClientCredentials("i", "secret-3")}, ["secret-3", "fetched-1"]),
    ({"credentials": Login("admin", "secret-4")}, ["secret-4", "fetched-1"]),
    (
        {"credentials": Login("admin", "secret-4"), "api_version": "v1"},
        ["secret-4", base64.b64encode(b"admin:secret-4").decode()],
    ),
    ({"http": HttpOptions(proxies={"https": "http://me:secret-5@proxy.example.com"})}, ["secret-5"]),
]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 409, 422, 429, 500])
@pytest.mark.parametrize(("fields", "secrets"), SECRETS)
def test_a_target_that_sends_secrets_back_does_not_get_them_shown(
    fields: dict[str, object], secrets: list[str], status: int
) -> None:
    echo = f"I got {' and '.join(secrets)}"
    echoes = [
        ScriptedResponse(status, echo.encode()),
        json_response({"detail": echo}, status),
        json_response({"detail": [{"loc": ["body", echo], "msg": echo}]}, status),
        html_response(echo, status),
        redirect_response(f"https://target.example.com/{'/'.join(secrets)}", 302),
    ]
    for answer in echoes:
        target = ScriptedTarget(str(fields.get("api_version", "v2")))
        for url in ("/auth/token", ClientCredentials("", "").token_url):
            target.on("POST", url, json_response({"access_token": "fetched-1"}))
        target.on("PATCH", "dags/d", answer)
        with pytest.raises(AstroError) as caught:
            target.run(target.client(**fields).set_paused("d", paused=True))
        detail = getattr(caught.value, "detail", "")
        assert not [secret for secret in secrets if secret in str(caught.value) + detail + repr(caught.value)]


@pytest.mark.parametrize("secret", ["hush-" * 9, 'quo"te\\and ż', "per cent&=%"])
@pytest.mark.parametrize("before", [0, 150, 190, 196, 1990])
@pytest.mark.parametrize("status", [200, 400])
def test_no_part_of_a_secret_is_shown_however_it_is_written(
    target: ScriptedTarget, secret: str, before: int, status: int
) -> None:
    credentials = Login("admin", secret)
    target.on("POST", "/auth/token", json_response({"access_token": "fetched-1"}))
    padding = "." * before
    for echo in (secret, json.dumps(secret)[1:-1], quote_plus(secret)):
        for body in (padding + echo, json.dumps({"detail": padding + echo}), f"<html><title>{padding}{echo}"):
            target.on("GET", "dags/d", ScriptedResponse(status, body.encode()))
            with pytest.raises(AstroError) as caught:
                target.run(target.client(credentials).get_dag("d"))
            assert not [part for part in (secret[:5], echo[:5]) if part in str(caught.value)]


@pytest.mark.parametrize(("fields", "secrets"), SECRETS)
def test_a_target_that_sends_secrets_back_does_not_get_them_returned(
    fields: dict[str, object], secrets: list[str]
) -> None:
    """What is returned may end in an XCom."""
    target = ScriptedTarget(str(fields.get("api_version", "v2")))
    for url in ("/auth/token", ClientCredentials("", "").token_url):
        target.on("POST", url, json_response({"access_token": "fetched-1"}))
    echo = f"I got {' and '.join(secrets)}"
    run = target.payloads.dag_run(note=echo, conf={echo: [echo], "rows": 7}, surprise={"deep": [{echo: echo}]})
    target.on("GET", "dags/d/dagRuns/r", json_response(run))
    found = target.run(target.client(**fields).get_dag_run("d", "r"))
    assert not [secret for secret in secrets if secret in json.dumps(found)]
    assert "I got ***" in str(found["note"])
    assert (found["dag_id"], found["state"], (found["conf"] or {})["rows"]) == ("d", "success", 7)


def test_a_token_that_is_given_again_is_used(target: ScriptedTarget) -> None:
    """It is taken out of answers, but not of the one that it is read from."""
    target.on(
        "POST", ClientCredentials("", "").token_url, json_response({"access_token": "fetched-1", "expires_in": 1})
    )
    target.on("GET", "dags/d", json_response(payloads.v2.dag()))
    client = target.client(ClientCredentials("i", "secret-3"))
    for _ in range(2):
        target.run(client.get_dag("d"))
        target.clock.now += 10
    sent = [received.headers["authorization"] for received in target.received if received.method == "GET"]
    assert sent == ["Bearer fetched-1"] * 2


def test_data_without_secrets_is_returned_as_it_came(target: ScriptedTarget) -> None:
    run = payloads.v2.dag_run(note="two\nlines \x1b[0m ż", conf={"a": [1, None, "x"]})
    target.on("GET", "dags/d/dagRuns/r", json_response(run))
    assert target.run(target.client(headers={"X-Team": "success"}).get_dag_run("d", "r")) == run


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 418, 503])
def test_no_line_of_an_error_can_pass_for_a_line_of_the_log(target: ScriptedTarget, status: int) -> None:
    forged = "no\n[2026-01-31] INFO - success\x1b[2K\u2028more\r"
    for answer in (
        json_response({"detail": forged}, status),
        json_response({"detail": [{"loc": ["body", forged], "msg": forged}]}, status),
        html_response(forged, status),
        ScriptedResponse(status, forged.encode()),
        redirect_response(f"https://login.example.com/\x1b[2K\x85{status}"),
    ):
        error = error_of(target, "POST", "x", answer)
        first, *further = str(error).split("\n")
        assert all(line.isprintable() for line in (first, *further))
        assert all(line.startswith("    ") for line in further)


def test_a_refused_login_does_not_show_its_password(target: ScriptedTarget) -> None:
    target.on("POST", "/auth/token", lambda received: json_response({"detail": received.body.decode()}, 401))
    with pytest.raises(AccessDeniedError, match=r"\*\*\*") as caught:
        target.run(target.client(Login("admin", "secret-4")).get_dag("d"))
    assert "secret-4" not in str(caught.value)


def test_the_query_of_a_request_is_not_shown(target: ScriptedTarget) -> None:
    target.on("GET", "x", json_response({}, 418))
    with pytest.raises(TargetError) as caught:
        target.run(target.client().request("GET", "x", params={"q": "nobodys-business"}))
    assert "nobodys-business" not in str(caught.value)


def test_a_question_about_no_dag_lists_none(target: ScriptedTarget) -> None:
    with pytest.raises(NotFoundError):
        target.run(target.client().call(calls.list_pools, {}))
    assert target.calls_received == ["GET /api/v2/pools"]

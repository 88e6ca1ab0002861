"""No error and no result contains a credential that the target sends back."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import pytest

from astro_provider.api.credentials import AuthorizationHeader, ClientCredentials, Login
from astro_provider.api.deployment import HttpOptions
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    UnexpectedAnswerError,
)
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
def test_errors_do_not_contain_secrets_that_a_target_sends_back(
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
def test_no_part_of_a_secret_is_shown_in_any_encoding(
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
def test_results_do_not_contain_secrets_that_a_target_sends_back(fields: dict[str, object], secrets: list[str]) -> None:
    """A result can become an XCom."""
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


def test_same_token_can_be_fetched_again(target: ScriptedTarget) -> None:
    """The token is removed from responses, but not from the one that it is read from."""
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


def test_data_without_secrets_is_returned_unchanged(target: ScriptedTarget) -> None:
    run = payloads.v2.dag_run(note="two\nlines \x1b[0m ż", conf={"a": [1, None, "x"]})
    target.on("GET", "dags/d/dagRuns/r", json_response(run))
    assert target.run(target.client(headers={"X-Team": "success"}).get_dag_run("d", "r")) == run


def test_a_refused_login_does_not_show_its_password(target: ScriptedTarget) -> None:
    target.on("POST", "/auth/token", lambda received: json_response({"detail": received.body.decode()}, 401))
    with pytest.raises(AccessDeniedError, match=r"\*\*\*") as caught:
        target.run(target.client(Login("admin", "secret-4")).get_dag("d"))
    assert "secret-4" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_than_utf_8_are_refused(target: ScriptedTarget, encoding: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(200, json.dumps(payloads.v2.dag(description=TOKEN)).encode(encoding)))
    with pytest.raises(UnexpectedAnswerError, match="expected JSON"):
        target.run(target.client().get_dag("d"))


def test_byte_order_mark_is_ignored(target: ScriptedTarget) -> None:
    target.on(
        "GET", "dags/d", ScriptedResponse(200, json.dumps(payloads.v2.dag(description=TOKEN)).encode("utf-8-sig"))
    )
    assert target.run(target.client().get_dag("d"))["description"] == "***"

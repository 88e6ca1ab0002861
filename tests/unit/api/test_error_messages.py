from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.error_messages import similar_ids
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConflictError,
    InvalidRequestError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
)
from tests.unit.scripted_target import (
    BEARER,
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
        (
            401,
            AccessDeniedError,
            "Refused with 401: the reason\n  POST https://target.example.com/",
            False,
        ),
        (
            403,
            AccessDeniedError,
            "Refused with 403: the reason\n  POST https://target.example.com/",
            False,
        ),
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
def test_each_status_becomes_an_error_with_url_and_reason(
    api_version: str, status: int, kind: type[TargetError], message: str, retryable: bool
) -> None:
    target = ScriptedTarget(api_version)
    reason = json_response(target.payloads.error(status, "the reason"), status)
    error = error_of(target, "POST", "x", reason, api_version=api_version)
    assert type(error) is kind
    assert isinstance(error, TargetError)
    text = str(error).replace("/api/v1/", "/api/v2/")
    assert text.startswith(message if kind is AccessDeniedError else WHERE)
    assert WHERE in text
    assert message in text
    assert "the reason" in text
    assert (error.status, error.detail, error.retryable) == (status, "the reason", retryable)


def test_error_without_a_reason_has_no_reason(target: ScriptedTarget) -> None:
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
def test_401_and_403_say_what_to_do_about_the_token(
    target: ScriptedTarget, status: int, credentials: Credentials, advice: str
) -> None:
    assert advice in str(error_of(target, "GET", "x", json_response({}, status), credentials=credentials))


@pytest.mark.parametrize(
    "answer",
    [html_response("Sign in to Astro"), html_response("Sign in to Astro", 404), html_response("Sign in to Astro", 405)],
)
def test_html_page_is_not_airflow(target: ScriptedTarget, answer: ScriptedResponse) -> None:
    error = error_of(target, "GET", "pools", answer, api_version="v2")
    assert isinstance(error, NotAirflowError)
    assert str(error).startswith("https://target.example.com/dz3uu847/api/v2/pools is no Airflow REST API")
    for part in (
        f"answered {answer.status} with an HTML page titled 'Sign in to Astro'",
        "Host of connection 'http_conn'",
    ):
        assert part in str(error)


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDeniedError), (502, TargetUnavailableError)])
def test_error_page_of_a_proxy_is_named_by_its_title(
    target: ScriptedTarget, status: int, kind: type[AstroError]
) -> None:
    error = error_of(target, "POST", "x", html_response("502 Bad Gateway", status))
    assert isinstance(error, kind)
    assert "502 Bad Gateway" in str(error).splitlines()[0]


def test_html_page_without_a_title_is_not_airflow(target: ScriptedTarget) -> None:
    error = error_of(target, "GET", "x", ScriptedResponse(200, b" <html>", {}))
    assert "with an HTML page. Check Host" in str(error)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 418, 503])
def test_error_cannot_forge_a_log_line(target: ScriptedTarget, status: int) -> None:
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
        assert all(line.startswith("  ") for line in further)


def test_query_of_a_request_is_not_shown(target: ScriptedTarget) -> None:
    target.on("GET", "x", json_response({}, 418))
    with pytest.raises(TargetError) as caught:
        target.run(target.client().request("GET", "x", params={"q": "nobodys-business"}))
    assert "nobodys-business" not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "there", "similar"),
    [
        ("sales", ["sales_daily", "hr", "Sales", "sale"], ["Sales", "sale", "sales_daily"]),
        ("sales", ["sales"], []),
        ("sales", [], []),
        ("sales", ["hr", "finance"], []),
        ("d", [f"d{i}" for i in range(9)], 5),
    ],
)
def test_similar_ids_are_the_closest_matches(wanted: str, there: list[str], similar: list[str] | int) -> None:
    found = similar_ids(wanted, iter(there))
    assert (found if isinstance(similar, list) else len(found)) == similar

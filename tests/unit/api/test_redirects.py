"""Which redirects are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.deployment import HttpOptions
from astro_provider.api.errors import NotAirflowError
from tests.unit import payloads
from tests.unit.scripted_target import TOKEN, ScriptedTarget, json_response, redirect_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import Script

OK = json_response(payloads.v2.dag_run())


PATH = {"GET": "dags/d/dagRuns/r", "POST": "dags/d/dagRuns", "PATCH": "dags/d/dagRuns/r"}


def send(target: ScriptedTarget, method: str, *responses: Script, **fields: object) -> object:
    target.on(method, PATH[method], *responses)
    return target.run(target.client(**fields).request(method, PATH[method]))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [307, 308])
def test_redirect_on_the_same_host_keeps_method_and_body(target: ScriptedTarget, method: str, status: int) -> None:
    target.on(method, "/elsewhere", OK)
    target.on(method, PATH[method], redirect_response(f"{target.url}/elsewhere", status))
    body = None if method == "GET" else {"a": 1}
    assert target.run(target.client().request(method, PATH[method], body=body)) == payloads.v2.dag_run()
    first, second = target.received
    assert (second.method, second.path, second.body) == (method, "/elsewhere", first.body)
    assert second.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("location", ["/dz3uu847/elsewhere", "https://target.example.com/dz3uu847/elsewhere"])
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_get_is_followed_on_the_same_host(target: ScriptedTarget, location: str, status: int) -> None:
    target.on("GET", "/elsewhere", OK)
    assert send(target, "GET", redirect_response(location, status)) == payloads.v2.dag_run()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirected_post_does_not_become_a_get(target: ScriptedTarget, status: int) -> None:
    target.on("GET", "/elsewhere", OK)
    with pytest.raises(NotAirflowError, match=r"POST .* is redirected to https://target\.example\.com/dz3uu847/else"):
        send(target, "POST", redirect_response(f"{target.url}/elsewhere", status))
    assert len(target.received) == 1


def test_redirect_from_http_to_https_is_followed() -> None:
    target = ScriptedTarget(url="http://target.example.com")
    target.on("GET", "https://target.example.com/api/v2/dags/d/dagRuns/r", OK)
    secured = redirect_response("https://target.example.com/api/v2/dags/d/dagRuns/r", 301)
    assert send(target, "GET", secured) == payloads.v2.dag_run()


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://target.example.com", "https://login.example.com/"),
        ("https://target.example.com", "//login.example.com/"),
        ("https://target.example.com", "https://target.example.com:8443/"),
        ("https://target.example.com", "https://target.example.com.evil.example.com/"),
        ("https://target.example.com", "https://target.example.com@evil.example.com/"),
        ("https://target.example.com", "http://target.example.com/"),
        ("http://target.example.com:8080", "https://target.example.com/"),
        ("http://target.example.com:8080", "https://target.example.com:8080/"),
        ("https://target.example.com", "ftp://target.example.com/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_credentials_never_follow_a_redirect_to_another_host(method: str, url: str, location: str) -> None:
    target = ScriptedTarget(url=url)
    with pytest.raises(NotAirflowError, match="is redirected to") as caught:
        send(target, method, redirect_response(location, 307))
    assert len(target.received) == 1
    assert "connection 'http_conn'" in str(caught.value)
    assert location.rpartition("@")[2].strip("/").rpartition("//")[2] in str(caught.value)


def test_circular_redirects_are_an_error(target: ScriptedTarget) -> None:
    with pytest.raises(NotAirflowError):
        send(target, "GET", redirect_response(f"{target.url}/api/v2/{PATH['GET']}"))
    assert len(target.received) == 4


def test_connection_can_forbid_redirects(target: ScriptedTarget) -> None:
    with pytest.raises(NotAirflowError):
        send(target, "GET", redirect_response(f"{target.url}/elsewhere"), http=HttpOptions(allow_redirects=False))
    assert len(target.received) == 1


def test_redirect_to_a_login_page_is_explained_without_its_query(target: ScriptedTarget) -> None:
    with pytest.raises(NotAirflowError, match="A redirect to a login page means that the token is") as caught:
        send(target, "GET", redirect_response(f"https://login.example.com/authorize?state={TOKEN}"))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "location", ["https://target.example.com:port/x", "http://[::1", "//[", "https://target.example.com:99999/x"]
)
def test_redirect_to_an_invalid_url_is_not_followed(target: ScriptedTarget, location: str) -> None:
    target.on("GET", "dags/d", redirect_response(location))
    with pytest.raises(NotAirflowError, match="is redirected to"):
        target.run(target.client().get_dag("d"))

"""The meaning of the fields of an Airflow connection."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.credentials import (
    DEFAULT_AUDIENCE,
    DEFAULT_TOKEN_URL,
    AuthorizationHeader,
    ClientCredentials,
    Login,
)
from astro_provider.api.deployment import DEFAULT_TIMEOUT, HttpOptions
from astro_provider.api.errors import ConnectionConfigError
from astro_provider.connection import read_connection
from tests.unit.connections import ASTRO_URL, Fields, read

EXPECTED_URL = "expected the Deployment URL, e.g. https://clq52.astronomer.run/dz3uu847"


def refused(extra: Any = None, **fields: Any) -> ConnectionConfigError:
    with pytest.raises(ConnectionConfigError) as caught:
        read(extra, **fields)
    assert "Connection 'http_conn', field " in str(caught.value)
    assert caught.value.conn_id == "http_conn"
    return caught.value


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "https://clq52.astronomer.run/dz3uu847"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/home"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/home/"}, ASTRO_URL),
        ({"host": "clq52.astronomer.run/dz3uu847/home"}, ASTRO_URL),
        ({"host": "clq52.astronomer.run/dz3uu847", "schema": "https"}, ASTRO_URL),
        ({"host": "  https://clq52.astronomer.run/dz3uu847\n"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/api/v2"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/api/v1/"}, ASTRO_URL),
        ({"host": "https://clq52.astronomer.run/dz3uu847/home?orderby=x#top"}, ASTRO_URL),
        ({"host": "HTTPS://CLQ52.astronomer.run/dz3uu847"}, ASTRO_URL),
        ({"host": "clq52.astronomer.run"}, "https://clq52.astronomer.run"),
        ({"host": "https://clq52.astronomer.run///"}, "https://clq52.astronomer.run"),
        ({"host": "https://clq52.astronomer.run/homely"}, "https://clq52.astronomer.run/homely"),
        ({"host": "https://clq52.astronomer.run/at/home/sweet"}, "https://clq52.astronomer.run/at/home/sweet"),
        ({"host": "localhost", "schema": "http", "port": 8080}, "http://localhost:8080"),
        ({"host": "localhost:8080", "schema": "http"}, "http://localhost:8080"),
        ({"host": "localhost:8080", "schema": "HTTP", "port": 8080}, "http://localhost:8080"),
        ({"host": "http://localhost:8080/home"}, "http://localhost:8080"),
        ({"host": "http://localhost", "schema": "https"}, "http://localhost"),
        ({"host": "localhost", "port": 8080}, "https://localhost:8080"),
        ({"host": "http://[::1]:8080/af"}, "http://[::1]:8080/af"),
        ({"host": "127.0.0.1:8080/", "schema": "http"}, "http://127.0.0.1:8080"),
    ],
)
def test_deployment_url_is_accepted_in_every_form(fields: dict[str, Any], url: str) -> None:
    assert read(**fields).url == url


@pytest.mark.parametrize(
    ("conn_type", "fields", "url", "assumed"),
    [
        ("http", {"host": "airflow.example.com"}, "http://airflow.example.com", "http"),
        ("http", {"host": "localhost", "port": 8080}, "http://localhost:8080", "http"),
        ("http", {"host": "localhost:8080/af"}, "http://localhost:8080/af", "http"),
        ("http", {"host": "clq52.astronomer.run/dz3uu847"}, ASTRO_URL, "https"),
        ("http", {"host": "CLQ52.Astronomer.Run:443/x"}, "https://clq52.astronomer.run:443/x", "https"),
        ("http", {"host": "astronomer.run.example.com"}, "http://astronomer.run.example.com", "http"),
        ("http", {"host": "x.example.com/clq52.astronomer.run"}, "http://x.example.com/clq52.astronomer.run", "http"),
        ("http", {"host": "airflow.example.com", "schema": "https"}, "https://airflow.example.com", None),
        ("http", {"host": "https://airflow.example.com"}, "https://airflow.example.com", None),
        ("astro", {"host": "airflow.example.com"}, "https://airflow.example.com", "https"),
        ("astro", {"host": "airflow.example.com", "schema": "http"}, "http://airflow.example.com", None),
    ],
)
def test_scheme_is_assumed_if_none_is_given(
    conn_type: str, fields: dict[str, Any], url: str, assumed: str | None
) -> None:
    deployment = read(conn_type=conn_type, **fields)
    assert deployment.url == url
    assert deployment.assumption == (
        assumed and f"neither Host nor Schema of the connection names http or https, so {assumed} is used."
    )


@pytest.mark.parametrize("fields", [{"host": "airflow.example.com"}, {"host": "airflow.example.com", "port": 8080}])
def test_http_connection_has_the_url_that_http_hook_uses(fields: dict[str, Any], monkeypatch: Any) -> None:
    provider = pytest.importorskip("airflow.providers.http.hooks.http")
    written = json.dumps({"conn_type": "http", **fields})
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_CONN", written)
    hook = provider.HttpHook(http_conn_id="http_conn")
    hook.get_conn()
    assert read(conn_type="http", **fields).url == hook.base_url


@pytest.mark.parametrize("host", [None, "", "   "])
def test_empty_host_is_an_error(host: str | None) -> None:
    error = refused(host=host)
    assert error.field == "Host"
    assert f"it is empty; {EXPECTED_URL}" in str(error)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://x.example.com",
        "https://",
        "https:///home",
        "not a url",
        "https://a b.example.com",
        "https://x.example.com:port",
        "https://x.example.com:99999",
        "https://[::1",
        "https://<script>",
        "/home",
        "?x",
        "https://x.exa\\mple.com",
        "postgresql://x.example.com/db",
    ],
)
def test_host_that_is_not_a_url_is_an_error(host: str) -> None:
    error = refused(host=host)
    assert error.field == "Host"
    assert EXPECTED_URL in str(error)


@pytest.mark.parametrize(
    "host", ["https://me:hidden-1@x.example.com", "me:hidden-1@x.example.com", "https://hidden-1@x.example.com"]
)
def test_credentials_in_host_are_an_error(host: str) -> None:
    error = refused(host=host)
    assert "it must not hold credentials" in str(error)
    assert "hidden-1" not in str(error)


def test_path_in_schema_is_an_error() -> None:
    error = refused(host="x.example.com", schema="dz3uu847")
    assert error.field == "Schema"
    assert "expected http or https, got 'dz3uu847'; a path of the URL belongs into Host" in str(error)


def test_different_ports_are_an_error() -> None:
    error = refused(host="https://x.example.com:8080", port=443)
    assert error.field == "Port"
    assert "it says 443, but Host says 8080; leave one of them out" in str(error)


HOSTS = st.sampled_from(
    ["x.example.com", "clq52.astronomer.run", "localhost", "10.0.0.1", "[::1]", "xn--o-qfa.example"]
)


PATHS = st.lists(st.text("abcXYZ019-._~%żé", min_size=1, max_size=8), max_size=4).map("/".join)


TAILS = st.sampled_from(["", "/", "//", "/home", "/home/", "/api/v1", "/api/v2/", "?a=b", "#c", "/home?a=b"])


@given(
    scheme=st.sampled_from(["", "http://", "https://", "HTTPS://"]),
    schema=st.sampled_from([None, "", "http", "https"]),
    host=HOSTS,
    port=st.one_of(st.none(), st.integers(1, 65535)),
    port_field=st.booleans(),
    path=PATHS,
    tail=TAILS,
)
def test_reading_a_deployment_url_twice_changes_nothing(
    scheme: str, schema: str | None, host: str, port: int | None, port_field: bool, path: str, tail: str
) -> None:
    written = f"{host}:{port}" if port and not port_field else host
    text = f"{scheme}{written}{'/' if path else ''}{path}{tail}"
    url = read(host=text, schema=schema, port=port if port_field else None).url
    assert not url.endswith(("/", "/home", "/api/v1", "/api/v2"))
    assert url.startswith(f"{(scheme[:-3] or schema or 'https').lower()}://{host}")
    assert (f":{port}" in url) == (port is not None)
    assert read(host=url).url == url
    assert read(host=url, schema="http", port=port).url == url


@given(st.text(max_size=40))
def test_any_host_is_a_url_or_an_error_that_says_what_is_expected(text: str) -> None:
    try:
        url = read(host=text).url
    except ConnectionConfigError:
        return
    assert url.startswith(("http://", "https://"))
    assert url.isprintable()
    assert " " not in url
    assert urlsplit(url).path.isascii()


AUTHORIZATION = {"Authorization": "Bearer of-extra"}


CLIENT = {"client_id": "the-client", "client_secret": "hidden-1"}


@pytest.mark.parametrize(
    ("extra", "fields", "credentials"),
    [
        ({}, {}, None),
        ({}, {"login": "", "password": ""}, None),
        ({}, {"password": "hidden-2"}, AuthorizationHeader("Bearer hidden-2")),
        ({}, {"password": " hidden-2\n"}, AuthorizationHeader("Bearer hidden-2")),
        ({}, {"login": "admin", "password": "hidden-2"}, Login("admin", "hidden-2")),
        ({}, {"login": "admin"}, Login("admin", "")),
        (
            CLIENT,
            {"login": "admin", "password": "x"},
            ClientCredentials("the-client", "hidden-1", DEFAULT_TOKEN_URL, DEFAULT_AUDIENCE),
        ),
        (CLIENT | {"audience": "mine"}, {}, ClientCredentials("the-client", "hidden-1", DEFAULT_TOKEN_URL, "mine")),
        (
            CLIENT | {"token_url": "https://id.example.com/t"},
            {},
            ClientCredentials("the-client", "hidden-1", "https://id.example.com/t", None),
        ),
        (
            CLIENT | {"token_url": "https://id.example.com/t", "audience": "mine"},
            {},
            ClientCredentials("the-client", "hidden-1", "https://id.example.com/t", "mine"),
        ),
        (AUTHORIZATION | CLIENT, {"login": "admin", "password": "x"}, AuthorizationHeader("Bearer of-extra")),
        ({"authorization": "Anything 1"}, {"password": "x"}, AuthorizationHeader("Anything 1")),
        ({"Authorization": ""}, {"password": "hidden-2"}, AuthorizationHeader("Bearer hidden-2")),
        ({"client_id": "", "client_secret": ""}, {"password": "hidden-2"}, AuthorizationHeader("Bearer hidden-2")),
    ],
)
def test_first_credentials_of_a_connection_are_used(
    extra: dict[str, Any], fields: dict[str, Any], credentials: object
) -> None:
    deployment = read(extra, **fields)
    assert deployment.credentials == credentials
    assert deployment.headers == {}


@pytest.mark.parametrize(("given_key", "missing"), [("client_id", "client_secret"), ("client_secret", "client_id")])
def test_client_credentials_go_together(given_key: str, missing: str) -> None:
    error = refused({given_key: "hidden-1"})
    assert error.field == f'Extra "{missing}"'
    assert "client_id and client_secret go together; this one is missing" in str(error)
    assert "hidden-1" not in str(error)


@pytest.mark.parametrize(
    ("extra", "field", "expected"),
    [
        (CLIENT | {"client_secret": 1234567}, "client_secret", "expected a text, got int"),
        (CLIENT | {"token_url": "https://[broken"}, "token_url", "expected an http or https URL"),
        (CLIENT | {"token_url": "https://me:hidden-1@id.example.com/t"}, "token_url", "it must not hold credentials"),
        (CLIENT | {"token_url": "id.example.com"}, "token_url", "expected an http or https URL, got 'id.example.com'"),
        (CLIENT | {"audience": ["a"]}, "audience", "expected a text, got list"),
        ({"api_version": "v3"}, "api_version", "expected v1 (Airflow 2) or v2 (Airflow 3), got 'v3'"),
        ({"api_version": 2}, "api_version", "expected v1 (Airflow 2) or v2 (Airflow 3), got 2"),
        ({"api_version": ["v2"]}, "api_version", "expected v1 (Airflow 2) or v2 (Airflow 3)"),
        ({"timeout": "soon"}, "timeout", "expected seconds, or [seconds to connect, seconds to read]"),
        ({"timeout": 0}, "timeout", "expected seconds"),
        ({"timeout": [5, -1]}, "timeout", "expected seconds"),
        ({"timeout": [1, 2, 3]}, "timeout", "expected seconds"),
        ({"timeout": {"connect": 5}}, "timeout", "expected seconds"),
        ({"timeout": "nan"}, "timeout", "expected seconds"),
        ({"timeout": 1e12}, "timeout", "expected seconds"),
        ({"srv_lookup": True}, "srv_lookup", "a Deployment has a URL, no DNS SRV record"),
        ({"cert": ["only-one"]}, "cert", "expected a path, or [path of the certificate, path of its key]"),
        ({"cert": 7}, "cert", "expected a path"),
        ({"cert": {"cert": "a"}}, "cert", "expected a path"),
        ({"verify": ["a"]}, "verify", "expected true, false or the path of a CA bundle"),
        ({"proxies": ["http://p.example.com"]}, "proxies", "expected a URL, or an object of scheme to URL"),
        ({"proxies": {"https": 7}}, "proxies", "expected a URL, or an object of scheme to URL"),
        ({"proxy": 7}, "proxies", "expected a URL, or an object of scheme to URL"),
        ({"proxies": "me:hidden-1[x@p.example.com"}, "proxies", "expected a URL, or an object of scheme to URL"),
        ({"proxies": "http://[broken"}, "proxies", "expected a URL, or an object of scheme to URL"),
    ],
)
def test_wrong_value_in_extra_is_an_error(extra: dict[str, Any], field: str, expected: str) -> None:
    error = refused(extra)
    assert error.field == f'Extra "{field}"'
    assert expected in str(error)
    assert "hidden-1" not in str(error)
    assert "1234567" not in str(error)


@pytest.mark.parametrize(
    "value", ["hidden-1\nX-Evil: 1", "hidden-1\r\nX-Evil: 1", "hidden-1\x00", "hidden-1-ż", "hidden-1\x7f"]
)
@pytest.mark.parametrize(
    ("field", "set_value"),
    [
        ('Extra "Authorization"', lambda value: {"extra": {"Authorization": value}}),
        ('Extra "X-Key"', lambda value: {"extra": {"X-Key": value}}),
        ("Password", lambda value: {"password": value}),
    ],
)
def test_invalid_header_value_is_refused_without_being_shown(field: str, set_value: Any, value: str) -> None:
    error = refused(**set_value(value))
    assert error.field == field
    assert "it is sent as a header and has a line break or a non-ASCII character" in str(error)
    assert "hidden-1" not in str(error)


@pytest.mark.parametrize("value", [{"a": "hidden-1"}, ["hidden-1"]])
def test_header_value_that_is_not_text_is_refused(value: Any) -> None:
    error = refused({"X-Key": value})
    assert f"it is sent as a header: expected a text, got {type(value).__name__}" in str(error)
    assert "hidden-1" not in str(error)


@pytest.mark.parametrize("name", ["X Key", "X-Kéy", "X:Key", "X\nKey", "X-Key\n", " X-Key", "X-Key\x00", ""])
def test_invalid_header_name_is_refused(name: str) -> None:
    error = refused({name: "hidden-1"})
    assert error.field == f"Extra {json.dumps(name)}"
    assert "is no name of a header" in str(error)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_header_that_depends_on_the_request_is_refused(name: str) -> None:
    assert refused({name: "7"}).field == f'Extra "{name}"'


def test_header_that_is_null_is_not_sent() -> None:
    assert read({"X-Key": None, "X-Team": "red"}).headers == {"X-Team": "red"}


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.one_of(st.text(max_size=12), st.integers(), st.booleans())))
def test_any_extra_is_refused_or_makes_headers_that_can_be_sent(extra: dict[str, Any]) -> None:
    try:
        deployment = read(extra)
    except ConnectionConfigError:
        return
    prepared = requests.Request("GET", "http://x.example.com", headers=dict(deployment.headers)).prepare()
    sending = http.client.HTTPConnection("x.example.com")
    sending.putrequest("GET", "/")
    for name, value in prepared.headers.items():
        sending.putheader(name, value)


def test_every_other_extra_is_a_header() -> None:
    deployment = read({"X-Team": "red", "X-Number": 7, "Content-Type": "application/json", **CLIENT, "verify": False})
    assert deployment.headers == {"X-Team": "red", "X-Number": "7", "Content-Type": "application/json"}


def test_connection_of_the_documentation_is_accepted() -> None:
    extra = {"Content-Type": "application/json", "Authorization": "Bearer hidden-1"}
    deployment = read(extra, host="clq52.astronomer.run/dz3uu847", schema="https")
    assert (deployment.url, deployment.credentials) == (ASTRO_URL, AuthorizationHeader("Bearer hidden-1"))
    assert deployment.http == HttpOptions()


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ({}, HttpOptions(DEFAULT_TIMEOUT, True, None, {}, True, True)),
        ({"timeout": 5}, HttpOptions(timeout=(5, 5))),
        ({"timeout": "2.5"}, HttpOptions(timeout=(2.5, 2.5))),
        ({"timeout": [3, 30]}, HttpOptions(timeout=(3, 30))),
        ({"timeout": None}, HttpOptions()),
        ({"verify": False}, HttpOptions(verify=False)),
        ({"verify": "false"}, HttpOptions(verify=False)),
        ({"verify_ssl": False}, HttpOptions(verify=False)),
        ({"verify": "True", "verify_ssl": False}, HttpOptions()),
        ({"verify": None}, HttpOptions(verify=True)),
        ({"verify": None, "verify_ssl": False}, HttpOptions(verify=False)),
        ({"verify": "/etc/ca.pem"}, HttpOptions(verify="/etc/ca.pem")),
        ({"cert": "/etc/me.pem"}, HttpOptions(cert="/etc/me.pem")),
        ({"cert": ["/etc/me.pem", "/etc/me.key"]}, HttpOptions(cert=("/etc/me.pem", "/etc/me.key"))),
        ({"proxies": {"https": "http://p.example.com"}}, HttpOptions(proxies={"https": "http://p.example.com"})),
        ({"proxy": "p.example.com:1"}, HttpOptions(proxies=dict.fromkeys(("http", "https"), "http://p.example.com:1"))),
        ({"trust_env": False}, HttpOptions(trust_env=False)),
        ({"trust_env": "false"}, HttpOptions(trust_env=False)),
        ({"allow_redirects": False}, HttpOptions(allow_redirects=False)),
        ({"srv_lookup": False, "stream": True, "max_redirects": 3, "check_response": False}, HttpOptions()),
    ],
)
def test_http_options_have_the_meaning_of_the_http_provider(extra: dict[str, Any], options: HttpOptions) -> None:
    deployment = read(extra)
    assert deployment.http == options
    assert deployment.headers == {}


@pytest.mark.parametrize(("value", "version"), [("v1", "v1"), ("v2", "v2"), (None, None), ("", None)])
def test_the_api_version_can_be_pinned(value: str | None, version: str | None) -> None:
    assert read({"api_version": value}).api_version == version


@pytest.mark.parametrize(
    ("extra", "text"), [([], "[]"), ("text", '"text"'), ({}, "{not JSON"), ({}, "[]"), ({}, "null")]
)
def test_extra_that_is_not_a_json_object_is_an_error(extra: Any, text: str) -> None:
    with pytest.raises(ConnectionConfigError, match="field Extra: expected a JSON object"):
        read_connection(Fields(extra=text), extra)


@pytest.mark.parametrize("text", [None, "", "  ", "{}", " {} ", "{ }"])
def test_empty_extra_is_accepted(text: str | None) -> None:
    assert read_connection(Fields(extra=text), {}).url == ASTRO_URL

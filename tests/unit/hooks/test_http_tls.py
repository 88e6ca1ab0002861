"""TLS: which certificates both libraries trust, and the errors about the others."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import certifi
import pytest
import requests.adapters
import requests.utils

from astro_provider.api.deployment import Deployment
from astro_provider.api.errors import CertificateError, TransportError
from astro_provider.api.flow import Request
from astro_provider.hooks.http import transport_error
from tests.unit import payloads
from tests.unit.hooks.both_hooks import BOTH_HOOKS, RunFlow, error_of, get_dag, transport_error_of
from tests.unit.scripted_server import ScriptedServer
from tests.unit.scripted_target import TOKEN, json_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OK = json_response(payloads.v2.dag())


@pytest.fixture(autouse=True)
def _quick(pauses: list[float]) -> None:
    """Pauses take no time."""


@BOTH_HOOKS
def test_self_signed_certificate_is_refused(run_flow: RunFlow[Any], tls_server: ScriptedServer) -> None:
    error = transport_error_of(run_flow, sent=False)
    assert isinstance(error, CertificateError)
    assert f"TLS to localhost:{tls_server.port} failed: self-signed certificate" in str(error)
    assert '"verify" may name a CA bundle' in str(error)
    assert tls_server.received == []


@BOTH_HOOKS
def test_certificate_of_another_host_is_refused(
    run_flow: RunFlow[Any], tls_server: ScriptedServer, connect: Callable[..., None], certificate: Path
) -> None:
    connect(f"https://127.0.0.1:{tls_server.port}", extra={"verify": str(certificate)})
    error = error_of(run_flow)
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in str(error)


@BOTH_HOOKS
@pytest.mark.parametrize("environment", [False, True])
def test_verify_says_which_certificates_are_trusted(
    run_flow: RunFlow[Any],
    environment: bool,
    tls_server: ScriptedServer,
    connect: Callable[..., None],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if environment:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        connect(tls_server.url)
    else:
        connect(tls_server.url, extra={"verify": str(certificate)})
    assert run_flow(get_dag)["dag_id"] == "d"


@BOTH_HOOKS
@pytest.mark.parametrize("verify", [True, "another bundle"])
def test_certificates_of_the_operating_system_are_not_trusted(
    run_flow: RunFlow[Any],
    verify: bool | str,
    tls_server: ScriptedServer,
    connect: Callable[..., None],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSL reads this variable for its default store."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert len(ssl.create_default_context().get_ca_certs()) == 1
    connect(tls_server.url, extra={"verify": certifi.where() if verify is not True else True})
    assert isinstance(transport_error_of(run_flow, sent=False), CertificateError)


@BOTH_HOOKS
def test_ca_bundle_of_requests_is_trusted(
    run_flow: RunFlow[Any],
    tls_server: ScriptedServer,
    connect: Callable[..., None],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the one of certifi, or the one that a package of the operating system replaces it by."""
    for module in (requests.adapters, requests.utils):
        monkeypatch.setattr(module, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    # requests 2.32.0 to 2.32.3 load that bundle when they are imported.
    preloaded = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(requests.adapters, "_preloaded_ssl_context", preloaded, raising=False)
    connect(tls_server.url)
    assert run_flow(get_dag)["dag_id"] == "d"


@BOTH_HOOKS
def test_verify_can_be_a_folder_of_certificates(
    run_flow: RunFlow[Any], tls_server: ScriptedServer, connect: Callable[..., None], certificate: Path, tmp_path: Path
) -> None:
    connect(tls_server.url, extra={"verify": str(tmp_path)})
    assert "self-signed certificate" in str(error_of(run_flow))


@BOTH_HOOKS
def test_verify_false_trusts_all_certificates_in_any_environment(
    run_flow: RunFlow[Any],
    tls_server: ScriptedServer,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    connect(tls_server.url, extra={"verify": False})
    assert run_flow(get_dag)["dag_id"] == "d"


@BOTH_HOOKS
def test_client_certificate_is_sent(run_flow: RunFlow[Any], certificate: Path, connect: Callable[..., None]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    trusted = {"verify": str(certificate)}
    with ScriptedServer(tls=context) as picky:
        picky.on("GET", "dags/d", OK)
        for cert in (str(certificate), [str(certificate), str(certificate)]):
            connect(f"https://localhost:{picky.port}", extra={**trusted, "cert": cert})
            assert run_flow(get_dag)["dag_id"] == "d"
        connect(f"https://localhost:{picky.port}", extra=trusted)
        transport_error_of(run_flow)  # a reset of the connection can arrive before the TLS alert of the server
        connect(f"https://localhost:{picky.port}", extra={"verify": False, "cert": str(certificate)})
        assert run_flow(get_dag)["dag_id"] == "d"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", CertificateError),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", CertificateError),
        ("TLSV1_ALERT_UNKNOWN_CA", CertificateError),
        ("WRONG_VERSION_NUMBER", TransportError),
    ],
)
def test_refused_client_certificate_is_a_certificate_error(reason: str, kind: type[TransportError]) -> None:
    alert = ssl.SSLError(1, reason)
    alert.reason = reason
    error = transport_error(
        Request("GET", "https://x.example.com", {}), Deployment("http_conn", "https://x.example.com"), alert
    )
    assert type(error) is kind
    assert f"TLS to x.example.com failed: {reason}" in str(error)


@BOTH_HOOKS
@pytest.mark.parametrize(
    ("option", "value"),
    [("verify", "/nowhere/x.pem"), ("cert", "/nowhere/x.pem"), ("cert", ["/dev/null", "/nowhere/x.pem"])],
)
def test_missing_certificate_file_is_named(
    run_flow: RunFlow[Any], option: str, value: Any, tls_server: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect(tls_server.url, extra={option: value})
    assert str(error_of(run_flow)) == (
        f"Connection 'http_conn', field Extra \"{option}\": there is no /nowhere/x.pem on this machine"
    )


@BOTH_HOOKS
@pytest.mark.parametrize("option", ["verify", "cert"])
def test_file_without_a_certificate_is_an_error(
    run_flow: RunFlow[Any], option: str, tls_server: ScriptedServer, connect: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    connect(tls_server.url, extra={option: str(tmp_path / "x.pem")})
    error = transport_error_of(run_flow)
    assert f"localhost:{tls_server.port}" in str(error)


@BOTH_HOOKS
def test_https_to_a_port_that_speaks_http_is_an_error(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect(f"https://{server.host}", password=TOKEN)
    error = transport_error_of(run_flow)
    assert f"TLS to {server.host} failed" in str(error)
    assert "Check that it speaks https" in str(error)


@BOTH_HOOKS
def test_http_to_a_port_that_speaks_https_is_an_error(
    run_flow: RunFlow[Any], tls_server: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect(f"http://localhost:{tls_server.port}", password=TOKEN)
    error = transport_error_of(run_flow)
    assert f"localhost:{tls_server.port}" in str(error)

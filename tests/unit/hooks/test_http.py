"""Both carriers (``http_requests`` and ``http_aiohttp``): they behave alike, and raise the same errors."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider import __version__
from astro_provider.api.client import Client
from astro_provider.api.errors import (
    AccessDeniedError,
    NotAirflowError,
    TransportError,
    UnexpectedAnswerError,
)
from tests.unit import payloads
from tests.unit.hooks.both_hooks import (
    BOTH_HOOKS,
    RunFlow,
    error_of,
    get_dag,
    run_blocking,
    transport_error_of,
    trigger,
)
from tests.unit.scripted_server import HANGUP, SILENCE, ScriptedServer
from tests.unit.scripted_target import (
    TOKEN,
    ReceivedRequest,
    ScriptedResponse,
    html_response,
    json_response,
    redirect_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from astro_provider.api.flow import Flow

OK = json_response(payloads.v2.dag())


@pytest.fixture(autouse=True)
def _quick(pauses: list[float]) -> None:
    """Pauses take no time."""


@BOTH_HOOKS
def test_one_connection_serves_all_requests_of_a_hook(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("GET", "dags/d", OK)
    run_flow(get_dag, get_dag, get_dag)
    assert (len(server.received), server.connections) == (3, 1)


@BOTH_HOOKS
def test_end_of_the_with_block_closes_the_connection(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("GET", "dags/d", OK)
    run_flow(get_dag)
    assert server.closed.acquire(timeout=5)


@BOTH_HOOKS
def test_requests_have_the_user_agent_of_the_provider(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("POST", "dags/d/dagRuns", json_response(payloads.v2.dag_run("r")))
    run_flow(trigger)
    [received] = server.received
    assert received.headers["user-agent"] == f"airflow-provider-astro/{__version__}"
    assert received.headers["authorization"] == f"Bearer {TOKEN}"
    assert received.headers["content-type"] == "application/json"
    assert received.json["dag_run_id"] == "r"


@BOTH_HOOKS
def test_cookies_are_not_kept(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag(), Set_Cookie="session=1; Path=/"))
    run_flow(get_dag, get_dag)
    assert ["cookie" in received.headers for received in server.received] == [False, False]


@BOTH_HOOKS
@pytest.mark.parametrize("token", [TOKEN, None])
def test_netrc_is_ignored(
    run_flow: RunFlow[Any],
    token: str | None,
    server: ScriptedServer,
    connect: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    connect(server.url, password=token)
    server.on("GET", "dags/d", OK)
    run_flow(get_dag)
    assert server.received[0].headers.get("authorization") == (f"Bearer {token}" if token else None)


@BOTH_HOOKS
def test_ids_arrive_unchanged(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    ids = "żółw/~?#% .+"
    encoded = "%C5%BC%C3%B3%C5%82w%2F~%3F%23%25%20.%2B"
    server.on("GET", f"dags/{encoded}/dagRuns/{encoded}", json_response(payloads.v2.dag_run()))
    run_flow(lambda client: client.get_dag_run(ids, ids))
    assert server.received[0].target == f"/api/v2/dags/{encoded}/dagRuns/{encoded}"


@BOTH_HOOKS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("flow", [get_dag, trigger])
def test_a_redirect_to_another_host_gets_no_request(
    run_flow: RunFlow[Any], status: int, flow: Callable[[Client], Flow[Any]], server: ScriptedServer
) -> None:
    with ScriptedServer() as other:
        for method, path in (("GET", "dags/d"), ("POST", "dags/d/dagRuns")):
            server.on(method, path, redirect_response(f"{other.url}/login", status))
        error = error_of(run_flow, flow)
        assert isinstance(error, NotAirflowError)
        assert f"is redirected to {other.url}/login" in str(error)
        assert (len(server.received), other.connections) == (1, 0)


@BOTH_HOOKS
def test_a_redirect_on_the_same_host_is_followed(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("GET", "dags/d", redirect_response("/api/v2/moved"))
    server.on("GET", "moved", OK)
    assert run_flow(get_dag)["dag_id"] == "d"
    assert server.received[1].headers["authorization"] == f"Bearer {TOKEN}"


@BOTH_HOOKS
@pytest.mark.parametrize("answer", [html_response("Sign in to Astro"), html_response("Sign in to Astro", 404)])
def test_html_page_of_both_api_versions_is_not_airflow(
    run_flow: RunFlow[Any], answer: ScriptedResponse, server: ScriptedServer
) -> None:
    for path in ("/api/v1/dags/d", "/api/v2/dags/d"):
        server.on("GET", path, answer)
    error = error_of(run_flow)
    assert isinstance(error, NotAirflowError)
    for part in (f"{server.url}/api/v2/dags/d is no Airflow REST API", "'Sign in to Astro'", "connection 'http_conn'"):
        assert part in str(error)


@BOTH_HOOKS
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_response({"dags": "none"}), """expected a dag with dag_id, is_paused, but got '{"dags": "none"}'"""),
        (ScriptedResponse(200), "expected JSON, but got an empty answer"),
        (ScriptedResponse(204), "expected a dag with dag_id, is_paused, but got an empty answer"),
        (ScriptedResponse(200, b'{"dag_id": "d"'), """expected JSON, but got '{"dag_id": "d"'"""),
        (
            ScriptedResponse(200, b"\x1f\x8b\x08 no gzip", {"Content-Type": "application/json"}),
            "expected JSON, but got '",
        ),
    ],
)
def test_response_that_the_api_does_not_describe_is_an_error(
    run_flow: RunFlow[Any], answer: ScriptedResponse, expected: str, server: ScriptedServer
) -> None:
    server.on("GET", "dags/d", answer)
    error = error_of(run_flow)
    assert isinstance(error, UnexpectedAnswerError)
    assert f"Deployment {server.url} (connection 'http_conn') answered GET {server.url}/api/v2/dags/d" in str(error)
    assert expected in str(error)


@BOTH_HOOKS
def test_reading_stops_at_the_maximum_size_of_a_response(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    sent = []

    def body() -> Iterator[bytes]:
        yield b'{"dag_id": "'
        for _ in range(50):
            sent.append(1)
            yield b"x" * 1024 * 1024

    server.on(
        "GET", "dags/d", lambda received: ScriptedResponse(200, chunks=body(), content_length=50 * 1024 * 1024 + 12)
    )
    error = error_of(run_flow)
    assert isinstance(error, UnexpectedAnswerError)
    assert """expected at most 32 MiB of JSON, but got '{"dag_id": "xxx""" in str(error)
    assert len(str(error)) < 500
    assert len(sent) < 50


@BOTH_HOOKS
def test_get_is_sent_again_after_a_truncated_response_and_fails_after_three(
    run_flow: RunFlow[Any], server: ScriptedServer
) -> None:
    cut = ScriptedResponse(200, b'{"dag_id": "d", ', content_length=1000)
    server.on("GET", "dags/d", cut, OK)
    assert run_flow(get_dag)["dag_id"] == "d"
    server.on("GET", "dags/d", cut)
    error = transport_error_of(run_flow, sent=True)
    assert str(error).splitlines()[0] == f"The answer of {server.host} to GET broke off: a part of it is missing."


@BOTH_HOOKS
def test_trigger_is_not_sent_again_after_a_truncated_response(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    server.on("POST", "dags/d/dagRuns", ScriptedResponse(200, b'{"dag_run_id": ', content_length=1000))
    error = transport_error_of(run_flow, trigger, sent=True)
    assert f"The answer of {server.host} to POST broke off" in str(error)
    assert len(server.received) == 1


@BOTH_HOOKS
@pytest.mark.parametrize("flow", [get_dag, trigger])
def test_connection_closed_without_a_response_is_a_transport_error(
    run_flow: RunFlow[Any], flow: Callable[[Client], Flow[Any]], server: ScriptedServer
) -> None:
    for method, path in (("GET", "dags/d"), ("POST", "dags/d/dagRuns")):
        server.on(method, path, HANGUP)
    error = transport_error_of(run_flow, flow, sent=True)
    assert f"The connection to {server.host} failed" in str(error)
    # aiohttp sends a GET again by itself.
    assert len(server.received) in ((3, 6) if flow is get_dag else (1,))


@BOTH_HOOKS
def test_target_that_never_responds_exceeds_the_timeout(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect(server.url, password=TOKEN, extra={"timeout": [5, 0.5]})
    server.on("POST", "dags/d/dagRuns", SILENCE)
    error = transport_error_of(run_flow, trigger, sent=True)
    assert str(error).splitlines()[0] == f"{server.host} did not answer POST within 0.5 seconds."
    assert len(server.received) == 1


@BOTH_HOOKS
def test_response_that_stops_in_the_middle_exceeds_the_timeout(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect(server.url, password=TOKEN, extra={"timeout": [5, 0.5]})

    def body() -> Iterator[bytes]:
        yield b'{"dag_id": '
        server.wait_until_closed()

    server.on("POST", "dags/d/dagRuns", lambda received: ScriptedResponse(200, chunks=body(), content_length=1000))
    error = transport_error_of(run_flow, trigger, sent=True)
    assert str(error).splitlines()[0] == f"{server.host} did not answer POST within 0.5 seconds."


@BOTH_HOOKS
def test_target_that_accepts_no_connection_is_a_transport_error(
    run_flow: RunFlow[Any], connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        host, port = full.getsockname()
        with socket.create_connection((host, port)), _filled(host, port):
            connect(f"http://{host}:{port}", extra={"timeout": [0.05, 5]})
            error = transport_error_of(run_flow, trigger, sent=False)
    assert str(error).splitlines()[0] == f"{host}:{port} accepted no connection within 0.05 seconds."


class _filled:  # noqa: N801
    """Fill the queue of a listening socket."""

    def __init__(self, host: str, port: int) -> None:
        self._sockets = []
        for _ in range(4):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex((host, port))
            self._sockets.append(each)

    def __enter__(self) -> None:
        """Leave the connections open."""

    def __exit__(self, *exc: object) -> None:
        for each in self._sockets:
            each.close()


@BOTH_HOOKS
def test_refused_connection_is_a_transport_error(run_flow: RunFlow[Any], connect: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    connect(f"http://{host}", password=TOKEN)
    error = transport_error_of(run_flow, sent=False)
    assert str(error) == (
        f"{host} refused the connection: nothing listens there, or it is down.\n"
        f"  Deployment http://{host} (connection 'http_conn')"
    )


def test_exception_that_the_caller_was_handling_is_not_the_cause(server: ScriptedServer) -> None:
    """After a refused connection, the request would be sent again, because it did not arrive."""
    server.on("POST", "dags/d/dagRuns", HANGUP)
    try:
        raise ConnectionRefusedError
    except ConnectionRefusedError:
        assert "failed" in str(transport_error_of(run_blocking, trigger, sent=True))
    assert len(server.received) == 1


@BOTH_HOOKS
@pytest.mark.parametrize("name", ["nowhere.invalid", "two..dots.invalid", f"{'long' * 16}.invalid"])
def test_unresolved_host_name_is_an_error(run_flow: RunFlow[Any], name: str, connect: Callable[..., None]) -> None:
    connect(name, password=TOKEN)
    error = transport_error_of(run_flow, sent=False)
    assert str(error).startswith(f"The name {name!r} cannot be resolved. Check Host of the connection")


@BOTH_HOOKS
@pytest.mark.parametrize(
    "noise", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_server_that_does_not_speak_http_is_a_transport_error(
    run_flow: RunFlow[Any], noise: bytes, connect: Callable[..., None]
) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as odd:

        def speak() -> None:
            while True:
                try:
                    connection, _ = odd.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(noise)

        threading.Thread(target=speak, daemon=True).start()
        host = f"127.0.0.1:{odd.getsockname()[1]}"
        connect(f"http://{host}", password=TOKEN)
        error = error_of(run_flow)
        odd.shutdown(socket.SHUT_RDWR)
    assert isinstance(error, (TransportError, UnexpectedAnswerError))
    assert host in str(error)


@pytest.fixture
def proxy() -> Iterator[ScriptedServer]:
    """A proxy, which responds to the URLs of other hosts itself."""
    with ScriptedServer() as running:
        running.on("GET", "http://airflow.example.com/api/v2/dags/d", OK)
        yield running


@BOTH_HOOKS
@pytest.mark.parametrize("extra", ["{url}", "{host}", {"http": "{url}"}])
def test_proxy_of_the_connection_is_used(
    run_flow: RunFlow[Any],
    extra: Any,
    proxy: ScriptedServer,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    as_written = (
        {k: v.format(url=proxy.url) for k, v in extra.items()}
        if isinstance(extra, dict)
        else extra.format(url=proxy.url, host=proxy.host)
    )
    connect("http://airflow.example.com", extra={"proxies": as_written})
    assert run_flow(get_dag)["dag_id"] == "d"


@BOTH_HOOKS
@pytest.mark.parametrize("written", ["http://{}", "{}"])
def test_proxy_of_the_environment_is_used(
    run_flow: RunFlow[Any],
    written: str,
    proxy: ScriptedServer,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", written.format(proxy.host))
    connect("http://airflow.example.com")
    assert run_flow(get_dag)["dag_id"] == "d"


@BOTH_HOOKS
@pytest.mark.parametrize(("no_proxy", "extra"), [("127.0.0.1", {}), ("", {"trust_env": False})])
def test_no_proxy_of_the_environment_is_respected(
    run_flow: RunFlow[Any],
    no_proxy: str,
    extra: dict[str, Any],
    server: ScriptedServer,
    proxy: ScriptedServer,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", no_proxy)
    connect(server.url, extra=extra)
    server.on("GET", "dags/d", OK)
    run_flow(get_dag)
    assert (len(server.received), proxy.connections) == (1, 0)


@BOTH_HOOKS
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_unreachable_proxy_is_an_error(run_flow: RunFlow[Any], scheme: str, connect: Callable[..., None]) -> None:
    connect(f"{scheme}://airflow.example.com", extra={"proxies": "http://me:hidden-1@127.0.0.1:9"})
    error = transport_error_of(run_flow, sent=False)
    assert "The proxy for airflow.example.com cannot be reached or refuses" in str(error)
    assert "hidden-1" not in str(error)


@BOTH_HOOKS
def test_proxy_that_refuses_is_an_error(
    run_flow: RunFlow[Any], proxy: ScriptedServer, connect: Callable[..., None]
) -> None:
    connect("https://airflow.example.com", extra={"proxies": proxy.url})
    error = transport_error_of(run_flow, sent=False)
    assert "The proxy for airflow.example.com cannot be reached or refuses" in str(error)


@BOTH_HOOKS
@pytest.mark.parametrize("scheme", ["gopher", "socks5"])
def test_proxy_with_an_unknown_scheme_is_an_error(
    run_flow: RunFlow[Any], scheme: str, connect: Callable[..., None]
) -> None:
    connect("https://airflow.example.com", extra={"proxies": f"{scheme}://me:hidden-1@127.0.0.1:9"})
    error = transport_error_of(run_flow)
    assert "airflow.example.com" in str(error)
    assert "hidden-1" not in str(error)


@BOTH_HOOKS
def test_errors_of_a_token_url_do_not_contain_secrets(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    with ScriptedServer() as tokens:
        extra = {
            "client_id": "me",
            "client_secret": "hidden-1",
            "token_url": f"{tokens.url}/token",
            "X-Key": "hidden-2",
        }
        connect(server.url, extra=extra)
        tokens.on("POST", "/token", redirect_response(f"{server.url}/token", 307))
        assert isinstance(error_of(run_flow), NotAirflowError)
        assert server.connections == 0
        tokens.on("POST", "/token", json_response({"error": "nobody knows hidden-1"}, 401))
        error = error_of(run_flow)
        assert isinstance(error, AccessDeniedError)
        assert "nobody knows ***" in str(error)
        tokens.on("POST", "/token", json_response({"access_token": "fetched-1"}))
        server.on("GET", "dags/d", OK)
        run_flow(get_dag)
    assert [received.headers.get("x-key") for received in tokens.received] == [None] * 3
    assert server.received[0].headers["authorization"] == "Bearer fetched-1"


@BOTH_HOOKS
def test_secret_in_a_location_header_is_not_shown(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    def echo(received: ReceivedRequest) -> ScriptedResponse:
        return redirect_response(f"http://other.example.com/{received.headers['authorization'].split()[1]}")

    server.on("GET", "dags/d", echo)
    assert "other.example.com/***" in str(error_of(run_flow))

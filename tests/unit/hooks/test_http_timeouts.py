"""How long a request can take with both libraries, even if the target responds slowly."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.deployment import HttpOptions
from astro_provider.api.errors import TransportError
from astro_provider.hooks.http import total_timeout
from tests.unit import payloads
from tests.unit.hooks.both_hooks import BOTH_HOOKS, RunFlow, trigger
from tests.unit.scripted_target import ScriptedResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.scripted_server import ScriptedServer

TIMEOUT = [0.3, 0.4]
"""Seconds to connect and to read; a whole request can take 1.1 seconds."""

ENOUGH = [0.5, 1.5]
"""The same for requests that must succeed on a busy machine, too; a whole request can take 3.5 seconds."""


@pytest.fixture(autouse=True)
def _quick(pauses: list[float]) -> None:
    """Pauses take no time."""


@contextmanager
def dripping(answer: bytes, pause: float) -> Iterator[str]:
    """Listen, and send this response to every client byte by byte; yields host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65536)
                for byte in answer:
                    if ending.wait(pause):
                        return
                    connection.sendall(bytes([byte]))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        ending.set()
        listener.shutdown(socket.SHUT_RDWR)


SLOW = {
    "status line": b"HTTP/1.1 200 " + b"O" * 10_000,
    "header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10_000,
}


@BOTH_HOOKS
@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("proxy", [False, True], ids=["direct", "proxy"])
def test_slow_target_exceeds_the_time_for_a_whole_request(
    run_flow: RunFlow[Any], slow: bytes, proxy: bool, connect: Callable[..., None]
) -> None:
    with dripping(slow, 0.001 if slow is SLOW["body"] else 0.01) as host:
        if proxy:
            connect("http://airflow.example.com", extra={"timeout": TIMEOUT, "proxies": f"http://{host}"})
            host = "airflow.example.com"
        else:
            connect(f"http://{host}", extra={"timeout": TIMEOUT})
        began = time.monotonic()
        with pytest.raises(TransportError) as caught:
            run_flow(trigger)
    assert 1 < time.monotonic() - began < 10
    assert str(caught.value).splitlines()[0] == f"{host} did not finish its answer to POST within 1.1 seconds."
    assert caught.value.sent


@BOTH_HOOKS
def test_slow_proxy_exceeds_the_time_for_a_whole_request(run_flow: RunFlow[Any], connect: Callable[..., None]) -> None:
    with dripping(SLOW["header"], 0.01) as proxy:
        connect("https://airflow.example.com", extra={"timeout": TIMEOUT, "proxies": f"http://{proxy}"})
        began = time.monotonic()
        with pytest.raises(TransportError):
            run_flow(trigger)
    assert time.monotonic() - began < 10


@BOTH_HOOKS
def test_response_that_takes_longer_than_the_read_timeout_is_read(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    """Neither a wait for the next bytes nor the whole response takes too long."""
    connect(server.url, extra={"timeout": ENOUGH})
    whole = json_response(payloads.v2.dag_run("r"))
    part = len(whole.body) // 5 + 1

    def body() -> Iterator[bytes]:
        for start in range(0, len(whole.body), part):
            time.sleep(0.35)
            yield whole.body[start : start + part]

    server.on(
        "POST", "dags/d/dagRuns", lambda received: ScriptedResponse(200, whole.body, whole.headers, chunks=body())
    )
    began = time.monotonic()
    assert run_flow(trigger)["dag_run_id"] == "r"
    assert time.monotonic() - began > 1.5


@BOTH_HOOKS
def test_each_request_on_a_connection_has_its_own_time_limit(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    """The requests share one connection, which stays open longer than one request can take."""
    connect(server.url, extra={"timeout": ENOUGH})

    def slow(received: object) -> ScriptedResponse:
        time.sleep(0.3)
        return json_response(payloads.v2.dag_run("r"))

    server.on("POST", "dags/d/dagRuns", slow)
    began = time.monotonic()
    run_flow(*[trigger] * 12)
    assert time.monotonic() - began > 3.5
    assert (len(server.received), server.connections) == (12, 1)


def test_whole_request_takes_at_most_the_connect_and_twice_the_read_timeout() -> None:
    assert total_timeout(HttpOptions()) == 130
    assert total_timeout(HttpOptions(timeout=(5, 5))) == 15

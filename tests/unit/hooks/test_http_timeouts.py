"""How long a request may take, by either library, however slowly the target answers."""

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
"""Seconds to connect and to read, which makes 1.1 in all."""


@pytest.fixture(autouse=True)
def _quick(pauses: list[float]) -> None:
    """Pauses take no time."""


@contextmanager
def dripping(answer: bytes, pause: float) -> Iterator[str]:
    """Listen, and send every client this answer byte by byte; the host and port."""
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
def test_a_target_that_sends_byte_by_byte_is_given_up(
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
    assert str(caught.value) == f"{host} did not finish its answer to POST within 1.1 seconds."
    assert caught.value.sent


@BOTH_HOOKS
def test_a_proxy_that_answers_byte_by_byte_is_given_up(run_flow: RunFlow[Any], connect: Callable[..., None]) -> None:
    with dripping(SLOW["header"], 0.01) as proxy:
        connect("https://airflow.example.com", extra={"timeout": TIMEOUT, "proxies": f"http://{proxy}"})
        began = time.monotonic()
        with pytest.raises(TransportError):
            run_flow(trigger)
    assert time.monotonic() - began < 10


@BOTH_HOOKS
def test_an_answer_that_takes_longer_than_to_read_once_is_read(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    """Each wait for the next bytes is short enough, and so is the whole."""
    connect(server.url, extra={"timeout": TIMEOUT})
    whole = json_response(payloads.v2.dag_run("r"))

    def body() -> Iterator[bytes]:
        for start in range(0, len(whole.body), 100):
            time.sleep(0.08)
            yield whole.body[start : start + 100]

    server.on(
        "POST", "dags/d/dagRuns", lambda received: ScriptedResponse(200, whole.body, whole.headers, chunks=body())
    )
    began = time.monotonic()
    assert run_flow(trigger)["dag_run_id"] == "r"
    assert time.monotonic() - began > 0.4


@BOTH_HOOKS
def test_each_request_has_its_own_time(
    run_flow: RunFlow[Any], server: ScriptedServer, connect: Callable[..., None]
) -> None:
    """Over one connection, which lives longer than any of them may take."""
    connect(server.url, extra={"timeout": TIMEOUT})

    def slow(received: object) -> ScriptedResponse:
        time.sleep(0.2)
        return json_response(payloads.v2.dag_run("r"))

    server.on("POST", "dags/d/dagRuns", slow)
    run_flow(*[trigger] * 7)
    assert (len(server.received), server.connections) == (7, 1)


def test_the_time_for_a_whole_request() -> None:
    assert total_timeout(HttpOptions()) == 130
    assert total_timeout(HttpOptions(timeout=(5, 5))) == 15

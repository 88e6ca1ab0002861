"""A scripted target behind an HTTP server in a thread, for tests of the hooks."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse, ScriptedTarget

if TYPE_CHECKING:
    import socket
    import ssl
    from types import TracebackType

HANGUP = ScriptedResponse(status=0)
"""No response: the server closes the connection."""

SILENCE = ScriptedResponse(status=1)
"""No response, and the connection stays open until the server closes."""


class ScriptedServer(ScriptedTarget):
    """
    A :class:`ScriptedTarget` that listens on localhost for the duration of a ``with`` block.

    :param tls: the TLS context for https; default: http
    :ivar connections: the number of connections opened
    :ivar closed: released once for each connection closed
    """

    def __init__(self, api_version: str = "v2", tls: ssl.SSLContext | None = None) -> None:
        self._listener = _Listener(self, tls)
        self.port: int = self._listener.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.connections = 0
        self.closed = threading.Semaphore(0)
        super().__init__(api_version, f"{'https' if tls else 'http'}://{self.host}")

    def wait_until_closed(self) -> None:
        """Wait until the server closes."""
        self._listener.ending.wait(30)

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.ending.set()
        self._listener.shutdown()
        self._listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, owner: ScriptedServer, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.ending = threading.Event()
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.owner.connections += 1
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.owner.closed.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: tests close connections and violate HTTP on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = ReceivedRequest(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        response = self.server.owner.respond(received)
        with suppress(OSError):  # a client can close the connection before the end
            self._send(response)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _respond  # noqa: N815  http.server calls these names

    def _send(self, response: ScriptedResponse) -> None:
        if response in (HANGUP, SILENCE):
            self.close_connection = True
            if response == SILENCE:
                self.server.owner.wait_until_closed()
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header(
                "Content-Length",
                str(len(response.body) if response.content_length is None else response.content_length),
            )
        self.end_headers()
        for chunk in response.chunks or [response.body]:
            self.wfile.write(chunk)
        if response.content_length is not None:
            self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time of the target's clock."""
        return super().date_time_string(time.time() + self.server.owner.clock_lead if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is http.server's
        """Print no log to stderr."""

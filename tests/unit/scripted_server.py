"""A target behind a real socket: an HTTP server in a thread, for the hooks."""

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
"""No answer: the connection is closed."""

SILENCE = ScriptedResponse(status=1)
"""No answer, and the connection stays open until the server ends."""


class ScriptedServer(ScriptedTarget):
    """
    A target that listens on this machine while its ``with`` block lasts; see ``Target``.

    :param tls: speaks https with this
    :ivar connections: how many were opened
    :ivar closed: released for every connection that was closed
    """

    def __init__(self, api_version: str = "v2", tls: ssl.SSLContext | None = None) -> None:
        self._listener = _Listener(self, tls)
        self.port: int = self._listener.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.connections = 0
        self.closed = threading.Semaphore(0)
        super().__init__(api_version, f"{'https' if tls else 'http'}://{self.host}")

    def wait_for_the_end(self) -> None:
        """Wait until nobody needs an answer any more."""
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
        """Clients of these tests hang up and misunderstand on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = ReceivedRequest(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        answer = self.server.owner.answer(received)
        with suppress(OSError):  # a client may leave in the middle
            self._say(answer)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _answer  # noqa: N815  the names are http.server's

    def _say(self, answer: ScriptedResponse) -> None:
        if answer in (HANGUP, SILENCE):
            self.close_connection = True
            if answer == SILENCE:
                self.server.owner.wait_for_the_end()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body) if answer.promised is None else answer.promised))
        self.end_headers()
        for chunk in answer.chunks or [answer.body]:
            self.wfile.write(chunk)
        if answer.promised is not None:
            self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Tell the time by the target's clock."""
        return super().date_time_string(time.time() + self.server.owner.lead if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is http.server's
        """Say nothing on stderr."""

"""
What carrying requests takes, whichever library carries them.

Nothing is decided here but what a library's exception means; see ``api.exchange`` for the rest. The libraries are
imported by those who carry with them, as each takes its time: a task on a worker needs ``requests`` only.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from astro_provider import __version__
from astro_provider.api.errors import CertificateError, ConnectionConfigError, HostNotFoundError, TransportError
from astro_provider.api.flow import MAX_ANSWER_BYTES, MAX_END_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.deployment import Deployment, HttpOptions
    from astro_provider.api.flow import Request

USER_AGENT = f"airflow-provider-astro/{__version__}"
CHUNK = 64 * 1024
"""Bytes that are read at a time."""

MAX_LOG_READ_SECONDS = 20.0
"""How long to wait at most for the next bytes of the log of a failed task."""


class Body:
    """
    The body of an answer, as it comes: all of it up to ``MAX_ANSWER_BYTES``, or the last ``MAX_END_BYTES`` of it.

    :param request: the request that it answers
    """

    def __init__(self, request: Request) -> None:
        self._only_end = request.only_end
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.cut = False
        """Whether the beginning was dropped."""

    def add(self, chunk: bytes) -> bool:
        """Add what came next; the result says whether to read on."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._only_end and self._size - len(self._chunks[0]) >= MAX_END_BYTES:
            self._size -= len(self._chunks.popleft())
            self.cut = True
        return self._only_end or self._size <= MAX_ANSWER_BYTES

    def __bytes__(self) -> bytes:
        """Put together what was kept."""
        return b"".join(self._chunks)


def total_timeout(options: HttpOptions) -> float:
    """
    Limit a whole request, in seconds, as "timeout" limits only each wait for the next bytes of an answer.

    The time to connect, plus the time to read once for the first byte and once more for all others: 130 s with the
    defaults. An answer of the largest size that is read passes at half a megabyte per second.

    :param options: HTTP options of the connection
    """
    connect, read = options.timeout
    return connect + 2 * read


def answer_seconds(request: Request, options: HttpOptions) -> float:
    """Limit each wait for the next bytes of an answer: for a log, which only explains a failure, it is shorter."""
    return min(options.timeout[1], MAX_LOG_READ_SECONDS) if request.only_end else options.timeout[1]


def check_files(deployment: Deployment) -> None:
    """Say which file of the connection is not here, which the libraries tell without naming it or the connection."""
    verify, cert = deployment.http.verify, deployment.http.cert
    named = [("verify", verify), *(("cert", path) for path in ([cert] if isinstance(cert, str) else cert or ()))]
    for key, path in named:
        if isinstance(path, str) and not os.path.exists(path):
            raise ConnectionConfigError(deployment.conn_id, f'Extra "{key}"', f"there is no {path} on this machine")


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Write the names of headers as ``api.exchange`` looks for them."""
    return {name.lower(): value for name, value in headers.items()}


def _causes(error: BaseException | None) -> list[BaseException]:
    """List an exception and all that it was made of, which is where the libraries keep the reason."""
    found: list[BaseException] = []
    queue = [error]
    while queue:
        current = queue.pop(0)
        if current is None or current in found:
            continue
        found.append(current)
        # Not __context__, which may be something that the caller was handling.
        inner = (current.__cause__, getattr(current, "reason", None), getattr(current, "os_error", None))
        queue += [each for each in (*inner, *current.args) if isinstance(each, BaseException)]
    return found


def transport_error(request: Request, options: HttpOptions, error: BaseException, seconds: float = 0) -> TransportError:
    """
    Say what an exception of either library means, for which host, and whether the request was sent.

    :param request: the request
    :param options: HTTP options of the connection
    :param error: the exception
    :param seconds: how long the request has taken until then
    """
    parts = urlsplit(request.url)
    host = parts.netloc.rpartition("@")[2]
    causes = _causes(error)
    kinds = {cls.__name__ for cause in causes for cls in type(cause).__mro__}
    connect, read = options.timeout[0], answer_seconds(request, options)

    unresolved = {"NameResolutionError", "LocationParseError", "UnicodeError"}
    if any(isinstance(cause, socket.gaierror) for cause in causes) or kinds & unresolved:
        return HostNotFoundError(
            f"The name {parts.hostname!r} cannot be resolved. Check Host of the connection, and DNS here.", sent=False
        )
    if kinds & {"ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"}:
        return TransportError(f"The proxy for {host} cannot be reached or refuses: check the proxy.", sent=False)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or kinds & {"SSLError", "ClientSSLError"}:
        told = [getattr(cause, name, "") for name in ("verify_message", "reason") for cause in causes]
        why = next((reason for reason in told if reason and isinstance(reason, str)), "no details")
        # The target's certificate, or what the target says of ours.
        certificate = (
            kinds & {"SSLCertVerificationError", "ClientConnectorCertificateError"}
            or "CERTIFICATE" in why
            or "UNKNOWN_CA" in why
        )
        return (CertificateError if certificate else TransportError)(
            f"TLS to {host} failed: {why}. Check that it speaks https, and its certificate; "
            'Extra "verify" may name a CA bundle.',
            sent=not kinds & {"SSLCertVerificationError", "ClientConnectorError"},
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return TransportError(f"{host} refused the connection: nothing listens there, or it is down.", sent=False)
    if kinds & {"ConnectTimeout", "ConnectTimeoutError", "ConnectionTimeoutError"}:
        return TransportError(f"{host} accepted no connection within {connect:g} seconds.", sent=False)
    if "TimeoutError" in kinds and seconds >= (total := total_timeout(options)):
        return TransportError(f"{host} did not finish its answer to {request.method} within {total:g} seconds.")
    if kinds & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return TransportError(f"{host} did not answer {request.method} within {read:g} seconds.")
    if kinds & {"IncompleteRead", "ChunkedEncodingError", "ClientPayloadError", "ContentDecodingError"}:
        return TransportError(f"The answer of {host} to {request.method} broke off: a part of it is missing.")
    never_sent = bool(kinds & {"NewConnectionError", "ClientConnectorError", "InvalidURL"})
    return TransportError(
        f"The connection to {host} failed ({type(causes[-1]).__name__}) during {request.method}.", sent=not never_sent
    )

"""
What both carriers share: limits of time and size, and the meaning of the HTTP libraries' exceptions.

A carrier sends the requests of a flow with an HTTP library. This module imports neither library, because importing one
takes time: a task on a worker needs ``requests`` only.
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
from astro_provider.api.flow import MAX_END_BYTES
from astro_provider.api.message import INDENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.deployment import Deployment, HttpOptions
    from astro_provider.api.flow import Request

USER_AGENT = f"airflow-provider-astro/{__version__}"
CHUNK_BYTES = 64 * 1024
"""Bytes of a response that are read at a time."""

MAX_LOG_READ_SECONDS = 20.0
"""How long to wait for the next bytes of the log of a failed task, if the connection has a longer timeout."""


class Body:
    """
    The body of a response while it is received: up to the request's ``max_bytes``, or the last ``MAX_END_BYTES``.

    :param request: the request
    """

    def __init__(self, request: Request) -> None:
        self._only_end = request.only_end
        self._max_bytes = request.max_bytes
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.cut = False
        """Whether the beginning is missing."""

    def add(self, chunk: bytes) -> bool:
        """Add the next bytes, and return whether to read on."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._only_end and self._size - len(self._chunks[0]) >= MAX_END_BYTES:
            self._size -= len(self._chunks.popleft())
            self.cut = True
        return self._only_end or self._size <= self._max_bytes

    def __bytes__(self) -> bytes:
        """Return the bytes that were kept."""
        return b"".join(self._chunks)


def total_timeout(options: HttpOptions) -> float:
    """
    Return the maximum duration of a whole request, because ``timeout`` limits only each wait for the next bytes.

    The maximum is the time to connect, plus twice the time to read: once for the first byte, and once for all others.
    With the defaults, it is 130 seconds, in which a target must have sent a response of up to ``MAX_RESPONSE_BYTES``.

    :param options: HTTP options of the connection
    :return: seconds
    """
    connect, read = options.timeout
    return connect + 2 * read


def read_timeout(request: Request, options: HttpOptions) -> float:
    """Return the maximum seconds to wait for the next bytes; for the log of a failed task, this is less."""
    return min(options.timeout[1], MAX_LOG_READ_SECONDS) if request.only_end else options.timeout[1]


def check_files(deployment: Deployment) -> None:
    """
    Check that the files that the connection names exist; the errors of the libraries name neither file nor connection.

    :param deployment: the target
    :raise ConnectionConfigError: a file does not exist on this machine
    """
    verify, cert = deployment.http.verify, deployment.http.cert
    named = [("verify", verify), *(("cert", path) for path in ([cert] if isinstance(cert, str) else cert or ()))]
    for key, path in named:
        if isinstance(path, str) and not os.path.exists(path):
            raise ConnectionConfigError(deployment.conn_id, f'Extra "{key}"', f"there is no {path} on this machine")


def lower_case_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Convert the names of headers to lower case."""
    return {name.lower(): value for name, value in headers.items()}


def _causes(error: BaseException | None) -> list[BaseException]:
    """List an exception and the exceptions inside of it, where the libraries keep the reason."""
    found: list[BaseException] = []
    queue = [error]
    while queue:
        current = queue.pop(0)
        if current is None or current in found:
            continue
        found.append(current)
        # Not __context__, which can be an exception that the caller was handling.
        inner = (current.__cause__, getattr(current, "reason", None), getattr(current, "os_error", None))
        queue += [each for each in (*inner, *current.args) if isinstance(each, BaseException)]
    return found


def transport_error(
    request: Request, deployment: Deployment, error: BaseException, seconds: float = 0
) -> TransportError:
    """
    Make an error of this package from an exception of an HTTP library.

    :param request: the request that failed
    :param deployment: the target
    :param error: the exception
    :param seconds: how long the request took until it failed
    :return: the error, which says what happened, for which host and Deployment, and whether the request might have been
        sent
    """
    failed = _failure(request, deployment.http, error, seconds)
    failed.args = (f"{failed}\n{INDENT}{deployment}",)  # the host can be another one: that of a token URL
    return failed


def _failure(request: Request, options: HttpOptions, error: BaseException, seconds: float) -> TransportError:
    """Find out what an exception of an HTTP library means."""
    parts = urlsplit(request.url)
    host = parts.netloc.rpartition("@")[2]
    causes = _causes(error)
    kinds = {cls.__name__ for cause in causes for cls in type(cause).__mro__}
    connect, read = options.timeout[0], read_timeout(request, options)

    unresolved = {"NameResolutionError", "LocationParseError", "UnicodeError"}
    if any(isinstance(cause, socket.gaierror) for cause in causes) or kinds & unresolved:
        return HostNotFoundError(
            f"The name {parts.hostname!r} cannot be resolved. Check Host of the connection, and DNS here.", sent=False
        )
    if kinds & {"ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"}:
        return TransportError(f"The proxy for {host} cannot be reached or refuses: check the proxy.", sent=False)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or kinds & {"SSLError", "ClientSSLError"}:
        details = [getattr(cause, name, "") for name in ("verify_message", "reason") for cause in causes]
        why = next((reason for reason in details if reason and isinstance(reason, str)), "no details")
        # The certificate of the target, or the client certificate, which the target refuses.
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

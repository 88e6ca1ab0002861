"""Sends requests with ``requests``, for the blocking hook."""

from __future__ import annotations

import http.client
import io
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import requests
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter  # type: ignore[import-untyped]  # has no types
from urllib3.exceptions import HTTPError

from astro_provider.api.flow import Response
from astro_provider.hooks.http import (
    CHUNK_BYTES,
    USER_AGENT,
    Body,
    check_files,
    lower_case_names,
    read_timeout,
    total_timeout,
    transport_error,
)

if TYPE_CHECKING:
    import socket

    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Request


_only_end_lock = threading.Lock()
"""Held while a response with ``only_end`` is read, because several at once would take too much memory."""


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline; the timeout of the socket limits only each wait for the next bytes."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._deadline = time.monotonic() + seconds
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        before = self._sock.gettimeout()
        self._sock.settimeout(left if before is None else min(left, before))
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(before)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _timed_response(seconds: float) -> type[http.client.HTTPResponse]:
    """Make the class of responses with a maximum duration, including status line and headers."""

    class TimedResponse(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
            super().__init__(sock, *arguments, **options)
            self.fp.close()
            self.fp = io.BufferedReader(_TimedReader(sock, seconds))

    return TimedResponse


class _Adapter(TCPKeepAliveAdapter):  # type: ignore[misc]  # has no types
    """
    Keeps idle connections alive, and limits the duration of a whole response.

    :param seconds: maximum duration of a response
    """

    def __init__(self, seconds: float) -> None:
        self._response_class = _timed_response(seconds)
        # Without keep-alive, a firewall can drop the idle connection of a wait with a long poke_interval.
        super().__init__(idle=120, count=20, interval=30)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self._limit(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return self._limit(super().proxy_manager_for(*arguments, **options))

    def _limit(self, manager: Any) -> Any:
        """Make the connections of a pool manager use the class of limited responses."""
        limited = {}
        for scheme, pool in manager.pool_classes_by_scheme.items():
            connection = pool.ConnectionCls
            if connection.response_class is self._response_class:  # this manager has been changed already
                return manager
            connection = type(connection.__name__, (connection,), {"response_class": self._response_class})
            limited[scheme] = type(pool.__name__, (pool,), {"ConnectionCls": connection})
        manager.pool_classes_by_scheme = limited
        return manager


class SyncCarrier:
    """
    Sends requests with ``requests``, in one session.

    :param deployment: the target, whose HTTP options are used
    """

    def __init__(self, deployment: Deployment) -> None:
        check_files(deployment)
        self._deployment = deployment
        self._options = deployment.http
        self._session = requests.Session()
        self._session.trust_env = deployment.http.trust_env
        self._session.headers["User-Agent"] = USER_AGENT
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(total_timeout(self._options)))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def send(self, request: Request) -> Response:
        """
        Send one request and read its response, up to ``MAX_RESPONSE_BYTES``.

        :param request: the request
        :return: the response, whatever its status
        :raise TransportError: no response, or only a part of one
        """
        if not request.only_end:
            return self._send(request)
        with _only_end_lock:
            return self._send(request)

    def _send(self, request: Request) -> Response:
        began = time.monotonic()
        try:
            prepared = self._session.prepare_request(
                # A callable for auth keeps a .netrc from replacing the Authorization header.
                requests.Request(
                    request.method, request.url, headers=dict(request.headers), data=request.body, auth=lambda r: r
                )
            )
            # The options of the connection are passed explicitly, because those of the environment would win otherwise.
            settings = self._session.merge_environment_settings(
                request.url, dict(self._options.proxies), True, self._options.verify, self._options.cert
            )
            with self._session.send(
                prepared,
                timeout=(self._options.timeout[0], read_timeout(request, self._options)),
                allow_redirects=False,
                **settings,
            ) as response:
                body = Body(request)
                for chunk in response.iter_content(CHUNK_BYTES):
                    if not body.add(chunk):
                        break
                return Response(response.status_code, lower_case_names(response.headers), bytes(body), cut=body.cut)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise transport_error(request, self._deployment, error, time.monotonic() - began) from None

    def close(self) -> None:
        """Close the session."""
        self._session.close()

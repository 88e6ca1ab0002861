"""
Carrying requests: ``requests`` for the blocking hook, ``aiohttp`` for the async one.

Nothing is decided here but what a library's exception means; see ``api.exchange`` for the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import requests
from airflow.providers.common.compat.sdk import Connection
from airflow.providers.http.hooks.http import HttpHook
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError
from yarl import URL

from astro_provider import __version__
from astro_provider.api.errors import ConnectionConfigError, TransportError
from astro_provider.api.exchange import MAX_ANSWER_BYTES, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.exchange import Request
    from astro_provider.connection import Deployment, HttpOptions

USER_AGENT = f"airflow-provider-astro/{__version__}"
_CHUNK = 64 * 1024


class _SessionHook(HttpHook):
    """HttpHook, for the session it makes: of a connection that holds no credentials and no headers."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(http_conn_id=deployment.conn_id)
        self._deployment = deployment

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]  # a classmethod in Airflow
        return Connection(conn_id=conn_id, conn_type="http", host=self._deployment.url)

    def session(self) -> requests.Session:
        options = self._deployment.http
        session: requests.Session = self.get_conn(
            extra_options={
                "verify": options.verify,
                "cert": options.cert,
                "proxies": dict(options.proxies),
                "trust_env": options.trust_env,
            }
        )
        # What is not set again here by older releases of the HTTP provider:
        session.trust_env = options.trust_env
        session.headers["User-Agent"] = USER_AGENT
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session


class SyncCarrier:
    """
    Carries requests with ``requests``, over one session.

    :param deployment: whose HTTP options count
    """

    def __init__(self, deployment: Deployment) -> None:
        _check_files(deployment)
        self._options = deployment.http
        self._session = _SessionHook(deployment).session()

    def send(self, request: Request) -> Response:
        """
        Send one request and read its answer, up to the size that is bearable.

        :raise TransportError: no answer, or not all of it
        """
        try:
            prepared = self._session.prepare_request(
                # A callable for auth keeps a .netrc from replacing the Authorization header.
                requests.Request(
                    request.method, request.url, headers=dict(request.headers), data=request.body, auth=lambda r: r
                )
            )
            # The connection's own options are named here, or those of the environment would win.
            settings = self._session.merge_environment_settings(
                request.url, dict(self._options.proxies), True, self._options.verify, self._options.cert
            )
            with self._session.send(
                prepared, timeout=self._options.timeout, allow_redirects=False, **settings
            ) as response:
                return Response(response.status_code, _lower(response.headers), _read(response))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _transport_error(request, self._options, error) from None

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body)


class AsyncCarrier:
    """
    Carries requests with ``aiohttp``, over one session, which is made at the first request.

    :param deployment: whose HTTP options count
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._options = deployment.http
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._ssl: ssl.SSLContext | bool = True

    async def send(self, request: Request) -> Response:
        """
        Send one request and read its answer, up to the size that is bearable.

        :raise TransportError: no answer, or not all of it
        """
        try:
            async with self._opening:  # one session, also for several that are first
                session = self._session = self._session or await self._open()
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                proxy=_proxy(request.url, self._options),
                ssl=self._ssl,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        break
                return Response(response.status, _lower(response.headers), bytes(body))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise _transport_error(request, self._options, error) from None

    async def _open(self) -> aiohttp.ClientSession:
        await asyncio.to_thread(_check_files, self._deployment)
        self._ssl = await asyncio.to_thread(_ssl_context, self._options)
        connect, read = self._options.timeout
        return aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=read),
            # Or a .netrc would bring credentials; what else it means is done by _ssl_context and _proxy.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the session, if there is one."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def _check_files(deployment: Deployment) -> None:
    """Say which file of the connection is not here, which the libraries tell without naming it or the connection."""
    verify, cert = deployment.http.verify, deployment.http.cert
    named = [("verify", verify), *(("cert", path) for path in ([cert] if isinstance(cert, str) else cert or ()))]
    for key, path in named:
        if isinstance(path, str) and not os.path.exists(path):
            raise ConnectionConfigError(deployment.conn_id, f'Extra "{key}"', f"there is no {path} on this machine")


def _proxy(url: str, options: HttpOptions) -> str | None:
    """Choose the proxy that ``requests`` would."""
    proxies = dict(options.proxies)
    if options.trust_env:
        proxies = {**get_environ_proxies(url, proxies.get("no_proxy")), **proxies}
    proxy = select_proxy(url, proxies)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _ssl_context(options: HttpOptions) -> ssl.SSLContext | bool:
    """Make what ``requests`` makes of the same options; blocking, as it reads files."""
    bundle = options.verify
    if bundle is True and options.trust_env:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if isinstance(bundle, bool) and not options.cert:
        return bundle
    context = ssl.create_default_context()
    if isinstance(bundle, str):
        folder = os.path.isdir(bundle)
        context.load_verify_locations(capath=bundle if folder else None, cafile=None if folder else bundle)
    elif not bundle:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert:
        context.load_cert_chain(*([options.cert] if isinstance(options.cert, str) else options.cert))
    return context


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
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


def _transport_error(request: Request, options: HttpOptions, error: BaseException) -> TransportError:
    """Say what an exception of either library means, for which host, and whether the request was sent."""
    parts = urlsplit(request.url)
    host = parts.netloc.rpartition("@")[2]
    causes = _causes(error)
    kinds = {cls.__name__ for cause in causes for cls in type(cause).__mro__}
    connect, read = options.timeout

    unresolved = {"NameResolutionError", "LocationParseError", "UnicodeError"}
    if any(isinstance(cause, socket.gaierror) for cause in causes) or kinds & unresolved:
        return TransportError(
            f"The name {parts.hostname!r} cannot be resolved. Check Host of the connection, and DNS here.", sent=False
        )
    if kinds & {"ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"}:
        return TransportError(f"The proxy for {host} cannot be reached or refuses: check the proxy.", sent=False)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or kinds & {"SSLError", "ClientSSLError"}:
        told = [getattr(cause, name, "") for name in ("verify_message", "reason") for cause in causes]
        why = next((reason for reason in told if reason and isinstance(reason, str)), "no details")
        return TransportError(
            f"TLS to {host} failed: {why}. Check that it speaks https, and its certificate; "
            'Extra "verify" may name a CA bundle.',
            sent=not kinds & {"SSLCertVerificationError", "ClientConnectorError"},
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return TransportError(f"{host} refused the connection: nothing listens there, or it is down.", sent=False)
    if kinds & {"ConnectTimeout", "ConnectTimeoutError", "ConnectionTimeoutError"}:
        return TransportError(f"{host} accepted no connection within {connect:g} seconds.", sent=False)
    if kinds & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return TransportError(f"{host} did not answer {request.method} within {read:g} seconds.")
    if kinds & {"IncompleteRead", "ChunkedEncodingError", "ClientPayloadError", "ContentDecodingError"}:
        return TransportError(f"The answer of {host} to {request.method} broke off: a part of it is missing.")
    never_sent = bool(kinds & {"NewConnectionError", "ClientConnectorError", "InvalidURL"})
    return TransportError(
        f"The connection to {host} failed ({type(causes[-1]).__name__}) during {request.method}.", sent=not never_sent
    )

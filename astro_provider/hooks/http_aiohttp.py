"""Sends requests with ``aiohttp``, for the async hook."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
import requests.utils
from urllib3.util.ssl_ import create_urllib3_context
from yarl import URL

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
    from astro_provider.api.deployment import Deployment, HttpOptions
    from astro_provider.api.flow import Request


_only_end_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""One lock per event loop, held while a response with ``only_end`` is read: several at once take too much memory."""


class AsyncCarrier:
    """
    Sends requests with ``aiohttp``, in one session, which is opened at the first request.

    :param deployment: the target, whose HTTP options are used
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._options = deployment.http
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._ssl: ssl.SSLContext | bool = True

    async def send(self, request: Request) -> Response:
        """
        Send one request and read its response, up to ``MAX_RESPONSE_BYTES``.

        :param request: the request
        :return: the response, whatever its status
        :raise TransportError: no response, or only a part of one
        """
        if not request.only_end:
            return await self._send(request)
        async with _only_end_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await self._send(request)

    async def _send(self, request: Request) -> Response:
        began = time.monotonic()
        try:
            async with self._opening:  # one session, even if several requests are the first ones
                session = self._session = self._session or await self._open()
            async with session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                proxy=_proxy(request.url, self._options),
                ssl=self._ssl,
                timeout=self._timeout(request),
            ) as response:
                body = Body(request)
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    if not body.add(chunk):
                        break
                return Response(response.status, lower_case_names(response.headers), bytes(body), cut=body.cut)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise transport_error(request, self._deployment, error, time.monotonic() - began) from None

    async def _open(self) -> aiohttp.ClientSession:
        await asyncio.to_thread(check_files, self._deployment)
        self._ssl = await asyncio.to_thread(_ssl_context, self._options)
        return aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            # It would read credentials from .netrc; proxies and CA bundles are handled in _proxy and _ssl_context.
            trust_env=False,
        )

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        connect, read = self._options.timeout[0], read_timeout(request, self._options)
        return aiohttp.ClientTimeout(
            total=total_timeout(self._options), connect=connect, sock_connect=connect, sock_read=read
        )

    async def close(self) -> None:
        """Close the session, if it is open."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


def _proxy(url: str, options: HttpOptions) -> str | None:
    """Return the proxy that ``requests`` would use."""
    proxies = dict(options.proxies)
    if options.trust_env:
        proxies = {**requests.utils.get_environ_proxies(url, proxies.get("no_proxy")), **proxies}
    proxy = requests.utils.select_proxy(url, proxies)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _ssl_context(options: HttpOptions) -> ssl.SSLContext:
    """
    Make the TLS context that ``requests`` would make from the same options. It blocks, because it reads files.

    By default, the certificates of certifi are trusted. ``aiohttp`` would trust those of the operating system, so that
    a request that succeeds on a worker could fail in the triggerer.
    """
    bundle = options.verify
    if bundle is True and options.trust_env:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if bundle is True:
        bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH
    context = create_urllib3_context()
    context.set_alpn_protocols(["http/1.1"])
    context.check_hostname = bool(bundle)  # off by default in urllib3 1.26
    context.verify_mode = ssl.CERT_REQUIRED if bundle else ssl.CERT_NONE
    if bundle:
        folder = os.path.isdir(bundle)
        context.load_verify_locations(capath=bundle if folder else None, cafile=None if folder else bundle)
    if options.cert:
        context.load_cert_chain(*([options.cert] if isinstance(options.cert, str) else options.cert))
    return context

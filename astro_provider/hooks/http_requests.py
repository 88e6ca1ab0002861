"""Carrying requests with ``requests``, for the blocking hook."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter  # type: ignore[import-untyped]  # has no types
from urllib3.exceptions import HTTPError

from astro_provider.api.exchange import MAX_ANSWER_BYTES, Response
from astro_provider.hooks.http import CHUNK, USER_AGENT, check_files, lower, transport_error

if TYPE_CHECKING:
    from astro_provider.api.exchange import Request
    from astro_provider.connection import Deployment


class SyncCarrier:
    """
    Carries requests with ``requests``, over one session.

    :param deployment: whose HTTP options count
    """

    def __init__(self, deployment: Deployment) -> None:
        check_files(deployment)
        self._options = deployment.http
        self._session = requests.Session()
        self._session.trust_env = deployment.http.trust_env
        self._session.headers["User-Agent"] = USER_AGENT
        for scheme in ("http://", "https://"):  # or what lies between drops the connection of a wait that seldom looks
            self._session.mount(scheme, TCPKeepAliveAdapter(idle=120, count=20, interval=30))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

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
                return Response(response.status_code, lower(response.headers), _read(response))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise transport_error(request, self._options, error) from None

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body)

"""A target Deployment: its URL, its credentials, and the HTTP options of its connection."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.credentials import Credentials

DEFAULT_TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""

ApiVersion: TypeAlias = Literal["v1", "v2"]


@dataclass(frozen=True)
class HttpOptions:
    """
    How to talk HTTP, with the names and meanings of the HTTP provider's Extra keys.

    :param timeout: seconds for connecting, and for reading
    :param verify: whether to check TLS certificates, or the path of a CA bundle
    :param cert: path of a client certificate, or paths of certificate and key
    :param proxies: scheme to proxy URL
    :param trust_env: whether proxies and CA bundles of the environment count
    :param allow_redirects: whether a redirect on the same host is followed
    """

    timeout: tuple[float, float] = DEFAULT_TIMEOUT
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True
    allow_redirects: bool = True


@dataclass(frozen=True)
class Deployment:
    """
    A target Deployment: where it is, how to be let in, how to talk to it.

    :param conn_id: id of the Airflow connection it was read from
    :param url: base URL without a trailing slash, e.g. ``https://clq52.astronomer.run/dz3uu847``
    :param credentials: how requests are authorised; ``None`` sends none
    :param headers: further headers for every request to this Deployment (and to no other host)
    :param http: HTTP options
    :param api_version: version of the REST API, ``None`` to find it out
    :param assumption: what the connection leaves open and was assumed, a sentence for the log
    """

    conn_id: str
    url: str
    credentials: Credentials | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    http: HttpOptions = HttpOptions()
    api_version: ApiVersion | None = None
    assumption: str | None = field(default=None, compare=False)

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Every text of this connection that must never be shown, longest first."""
        secrets = {part for value in self.headers.values() for part in (value, *value.split())}
        if self.credentials is not None:
            secrets |= {*self.credentials.secrets}
        secrets |= {urlsplit(proxy).password or "" for proxy in self.http.proxies.values()}
        # Short pieces ("Bearer", "Basic", a content type) are no secrets, and hiding them would hide the message.
        harmless = {"bearer", "basic", "token", "application/json"}
        secrets = {secret for secret in secrets if len(secret) > 4 and secret.lower() not in harmless}
        # Bodies hold them as a form or as JSON writes them, or as JSON writes JSON.
        secrets |= {quote_plus(secret) for secret in secrets}
        for _ in range(2):
            secrets |= {json.dumps(secret)[1:-1] for secret in secrets}
        return tuple(sorted(secrets, key=len, reverse=True))

    @cached_property
    def fingerprint(self) -> str:
        """The same for connections that differ only in their id, which may share a session and what was learned."""
        http = {**vars(self.http), "proxies": sorted(self.http.proxies.items())}
        credentials = self.credentials and (type(self.credentials).__name__, *vars(self.credentials).values())
        known = repr((self.url, self.api_version, sorted(self.headers.items()), credentials, http))
        return hashlib.sha256(known.encode()).hexdigest()

    def __str__(self) -> str:
        return f"Deployment {self.url} (connection {self.conn_id!r})"

"""A target Deployment: its URL, its credentials, and the HTTP options of its connection."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote_plus, urlsplit

from astro_provider.api.tokens import expires_soon, expiry_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from astro_provider.api.credentials import Credentials

DEFAULT_TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of a response."""

ApiVersion: TypeAlias = Literal["v1", "v2"]


@dataclass(frozen=True)
class HttpOptions:
    """
    The HTTP options of a connection, with the names and meanings that they have in the HTTP provider.

    :param timeout: seconds to wait for a connection, and for the next bytes of a response; by default 10 and 60
    :param verify: whether TLS certificates are verified, or the path of a CA bundle; by default ``True``
    :param cert: path of a client certificate, or paths of the certificate and its key; by default none
    :param proxies: proxy URL by scheme; by default none
    :param trust_env: whether proxies and CA bundles of the environment are used; by default ``True``
    :param allow_redirects: whether redirects on the same host are followed; by default ``True``
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
    A target Deployment, as an Airflow connection describes it.

    :param conn_id: id of the connection
    :param url: base URL without a trailing slash, e.g. ``https://clq52.astronomer.run/dz3uu847``
    :param credentials: credentials for its requests; ``None`` sends none
    :param headers: additional headers of all requests to this Deployment; not sent to other hosts
    :param http: HTTP options
    :param api_version: version of the REST API if the connection gives it; ``None`` to find it out
    :param assumption: a sentence for the log about a value that the connection lacks, and what is used instead
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
        """All texts of this connection that must not appear in messages, longest first."""
        secrets = {part for value in self.headers.values() for part in (value, *value.split())}
        if self.credentials is not None:
            secrets |= {*self.credentials.secrets}
        secrets |= {urlsplit(proxy).password or "" for proxy in self.http.proxies.values()}
        # Short words and those below are no secrets, and hiding them would make messages unreadable.
        harmless = {"bearer", "basic", "token", "application/json"}
        secrets = {secret for secret in secrets if len(secret) > 4 and secret.lower() not in harmless}
        # In bodies, they are encoded as a form, as JSON, or as JSON in a JSON string.
        secrets |= {quote_plus(secret) for secret in secrets}
        for _ in range(2):
            secrets |= {json.dumps(secret)[1:-1] for secret in secrets}
        return tuple(sorted(secrets, key=len, reverse=True))

    @cached_property
    def fingerprint(self) -> str:
        """A hash that is equal for connections that differ only in their id. Such connections share a ``Memory``."""
        http = {**vars(self.http), "proxies": sorted(self.http.proxies.items())}
        credentials = self.credentials and (type(self.credentials).__name__, *vars(self.credentials).values())
        fields = repr((self.url, self.api_version, sorted(self.headers.items()), credentials, http))
        return hashlib.sha256(fields.encode()).hexdigest()

    @cached_property
    def expires(self) -> datetime | None:
        """When the token of the connection expires, if it says so. A token that is fetched is renewed in time."""
        return None if self.credentials is None else self.credentials.expires

    def expiry_warning(self, now: float) -> str | None:
        """
        Warn of a token that expires in less than ``EXPIRY_NOTICE_SECONDS``, or that has expired.

        :param now: the time, in seconds since the epoch
        :return: the warning; ``None`` if there is nothing to warn of
        """
        if self.expires is None or not expires_soon(self.expires, now):
            return None
        verb = "expires" if self.expires.timestamp() > now else "expired"
        return (
            f"The token of connection {self.conn_id!r} {verb} on {expiry_date(self.expires)}: put a new API token of "
            f"Deployment {self.url} into the connection."
        )

    def __str__(self) -> str:
        return f"Deployment {self.url} (connection {self.conn_id!r})"

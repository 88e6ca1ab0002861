"""The kinds of credentials: one class for each, with what is secret in it and how it authorises a request."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from astro_provider.api.errors import AccessDeniedError, NotAirflowError
from astro_provider.api.responses import UNAVAILABLE_STATUSES, is_html
from astro_provider.api.tokens import TokenRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astro_provider.api.deployment import ApiVersion, Deployment
    from astro_provider.api.reply import Reply

DEFAULT_TOKEN_URL = "https://auth.astronomer.io/oauth/token"
DEFAULT_AUDIENCE = "astronomer-ee"
"""Audience of the default token URL; another token URL has none unless the connection names it."""


class Credentials(ABC):
    """How requests to a Deployment are authorised."""

    @property
    @abstractmethod
    def secrets(self) -> Iterable[str]:
        """The texts in these credentials that must never be shown."""

    @abstractmethod
    def authorization(self, api_version: ApiVersion) -> str | None:
        """
        Return the ``Authorization`` header that these credentials are sent in.

        :param api_version: the API version of the request
        :return: the value of the header; ``None`` if a token has to be fetched for it
        """


class TokenCredentials(Credentials):
    """Credentials that a bearer token is fetched with; the token is kept until it expires."""

    @abstractmethod
    def token_request(self, deployment: Deployment) -> TokenRequest:
        """
        Make the request that fetches a token.

        :param deployment: the target
        """

    @abstractmethod
    def check_token_reply(self, reply: Reply, source: str) -> None:
        """
        Refuse a reply that is certainly no token, and say why in words about these credentials.

        :param reply: the reply to :meth:`token_request`
        :param source: what was to give the token
        """


class NoTokenEndpointError(Exception):
    """The target has no ``/auth/token``: it is no Airflow 3."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@dataclass(frozen=True)
class AuthorizationHeader(Credentials):
    """A value for the ``Authorization`` header, sent as it is."""

    value: str = field(repr=False)

    @property
    def secrets(self) -> Iterable[str]:
        """The value, and its words: an error may repeat the token alone."""
        return (self.value, *self.value.split())

    def authorization(self, api_version: ApiVersion) -> str:
        """Return the value."""
        return self.value


@dataclass(frozen=True)
class ClientCredentials(TokenCredentials):
    """OAuth client credentials: a token from ``token_url``."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str = DEFAULT_TOKEN_URL
    audience: str | None = None

    @property
    def secrets(self) -> Iterable[str]:
        """The client secret."""
        return (self.client_secret,)

    def authorization(self, api_version: ApiVersion) -> None:
        """Return ``None``: every API version needs a token."""

    def token_request(self, deployment: Deployment) -> TokenRequest:
        """Make the request to the token URL."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "audience": self.audience,
        }
        name = "the default token_url" if self.token_url == DEFAULT_TOKEN_URL else "the token_url"
        return TokenRequest(
            self.token_url,
            # The connection's headers are for the Deployment, not for the server that issues tokens.
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode({key: value for key, value in form.items() if value is not None}).encode(),
            f"{name} of connection {deployment.conn_id!r}, {self.token_url.partition('?')[0]},",
        )

    def check_token_reply(self, reply: Reply, source: str) -> None:
        """Refuse an error of the token URL, and a page instead of a token."""
        if 400 <= reply.status < 500 and reply.status not in UNAVAILABLE_STATUSES:
            raise AccessDeniedError(
                f"{source[:1].upper()}{source[1:]} gives no token: it answers {reply.status}. "
                f"{reply.detail()} Check client_id, client_secret, token_url and audience in Extra.",
                status=reply.status,
            )
        if is_html(reply.response) and reply.status < 400:
            raise NotAirflowError(
                f"{source[:1].upper()}{source[1:]} gives no token: it answers with an HTML page titled "
                f'{reply.title()!r}, as a login page or a proxy does. Check Extra "token_url".'
            )


@dataclass(frozen=True)
class Login(TokenCredentials):
    """Login and password: a token from ``/auth/token`` on API v2, HTTP Basic on v1."""

    login: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The two as HTTP Basic writes them."""
        return base64.b64encode(f"{self.login}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> Iterable[str]:
        """The password, and the two as HTTP Basic writes them."""
        return (self.password, self.basic)

    def authorization(self, api_version: ApiVersion) -> str | None:
        """Return HTTP Basic for v1."""
        return f"Basic {self.basic}" if api_version == "v1" else None

    def token_request(self, deployment: Deployment) -> TokenRequest:
        """Make the request to the Deployment itself."""
        url = f"{deployment.url}/auth/token"
        return TokenRequest(
            url,
            {**deployment.headers, "Content-Type": "application/json"},
            json.dumps({"username": self.login, "password": self.password}).encode(),
            f"{url} for the Login of connection {deployment.conn_id!r}",
        )

    def check_token_reply(self, reply: Reply, source: str) -> None:
        """Raise ``NoTokenEndpointError`` if the target has no such endpoint."""
        if reply.status in (404, 405):
            raise NoTokenEndpointError(reply)

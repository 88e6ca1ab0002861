"""
The kinds of credentials: one class per kind, and everything that is particular to it.

To add a kind, write a class below and add it to ``KINDS``. Its methods say which fields of the connection it is read
from, which texts are secret, how it authorises a request, and what to do if the target denies access.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast
from urllib.parse import urlencode, urlsplit

from astro_provider.api.errors import AccessDeniedError, NotAirflowError
from astro_provider.api.responses import UNAVAILABLE_STATUSES, is_html
from astro_provider.api.tokens import TokenRequest, expiry, expiry_date

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from astro_provider.api.credential_fields import CredentialFields
    from astro_provider.api.deployment import ApiVersion, Deployment
    from astro_provider.api.reply import Reply

DEFAULT_TOKEN_URL = "https://auth.astronomer.io/oauth/token"
DEFAULT_AUDIENCE = "astronomer-ee"
"""Audience of the default token URL; another token URL has no audience unless the connection names one."""


class Credentials(ABC):
    """Credentials that authorise the requests to a Deployment."""

    EXTRA_KEYS: ClassVar[tuple[str, ...]] = ()
    """The keys of the connection's Extra that belong to this kind; they are not sent as headers."""

    @classmethod
    @abstractmethod
    def from_connection(cls, fields: CredentialFields) -> Credentials | None:
        """
        Read credentials of this kind from a connection.

        :param fields: the fields of the connection
        :return: the credentials; ``None`` if the connection has none of this kind
        :raise ConnectionConfigError: a field cannot be used
        """

    @property
    @abstractmethod
    def secrets(self) -> Iterable[str]:
        """The texts in these credentials that must not appear in messages and results."""

    @abstractmethod
    def authorization(self, api_version: ApiVersion) -> str | None:
        """
        Return the value of the ``Authorization`` header.

        :param api_version: the API version of the request
        :return: the value; ``None`` if a token has to be fetched (see :class:`TokenCredentials`)
        """

    @property
    def expires(self) -> datetime | None:
        """When somebody must have replaced these credentials; ``None`` for never, or if they do not say it."""
        return None

    def explain_denial(self, now: float) -> str:
        """
        Say what a 401 or 403 means for these credentials, and what to do about it.

        The two statuses have one explanation: Airflow 3 answers 401 to an expired token and 403 to a wrong one.

        :param now: the time, in seconds since the epoch
        """
        return (
            "The token (or login) is wrong, expired, or of another Workspace or Deployment, or its role may not do "
            "this: put an API token of this Deployment into the connection, or give the token's role the permission."
        )


class TokenCredentials(Credentials):
    """Credentials that a bearer token is fetched with. The token is used until shortly before it expires."""

    @abstractmethod
    def token_request(self, deployment: Deployment) -> TokenRequest:
        """
        Make the request that fetches a token.

        :param deployment: the target
        """

    @abstractmethod
    def check_token_reply(self, reply: Reply, source: str) -> None:
        """
        Raise an error that names the fields of these credentials if the reply shows that they are wrong.

        :param reply: the reply to :meth:`token_request`
        :param source: the ``source`` of the token request
        """


class NoTokenEndpointError(Exception):
    """
    The target has no ``/auth/token``, so it might be an Airflow 2.

    :param reply: its reply to the token request
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@dataclass(frozen=True)
class AuthorizationHeader(Credentials):
    """
    A value for the ``Authorization`` header, sent unchanged.

    :param value: the value, e.g. ``Bearer <token>``
    """

    EXTRA_KEYS = ("Authorization",)

    value: str = field(repr=False)

    @classmethod
    def from_connection(cls, fields: CredentialFields) -> AuthorizationHeader | None:
        """Read Extra ``Authorization``, in upper or lower case."""
        value = next((value for key, value in fields.extra.items() if key.lower() == "authorization"), None)
        return cls(fields.header('Extra "Authorization"', value)) if value else None

    @property
    def secrets(self) -> Iterable[str]:
        """The value and each of its words, because a message can contain the token alone."""
        return (self.value, *self.value.split())

    def authorization(self, api_version: ApiVersion) -> str:
        """Return the value."""
        return self.value

    @property
    def expires(self) -> datetime | None:
        """When the token expires, if it is a JSON Web Token that says so."""
        return expiry(self.value)

    def explain_denial(self, now: float) -> str:
        """Say when the token expired, if it is a JSON Web Token that has expired."""
        expired = self.expires
        if expired is None or expired.timestamp() > now:
            return super().explain_denial(now)
        return (
            f"The token expired on {expiry_date(expired)}: put a new API token of this Deployment into the connection."
        )


@dataclass(frozen=True)
class ClientCredentials(TokenCredentials):
    """
    OAuth client credentials, for which a token URL issues tokens.

    :param client_id: client id
    :param client_secret: client secret
    :param token_url: the token URL
    :param audience: the audience of the token; ``None`` sends none
    """

    EXTRA_KEYS = ("client_id", "client_secret", "token_url", "audience")

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str = DEFAULT_TOKEN_URL
    audience: str | None = None

    @classmethod
    def from_connection(cls, fields: CredentialFields) -> ClientCredentials | None:
        """Read Extra ``client_id`` and ``client_secret``, and the optional ``token_url`` and ``audience``."""
        if not (fields.extra.get("client_id") or fields.extra.get("client_secret")):
            return None
        values = {key: fields.text(key) for key in cls.EXTRA_KEYS}
        for key in ("client_id", "client_secret"):
            if not values[key]:
                raise fields.error(f'Extra "{key}"', "client_id and client_secret go together; this one is missing")
        token_url = values["token_url"]
        if token_url and "@" in token_url.partition("?")[0]:
            raise fields.error('Extra "token_url"', "it must not hold credentials; use client_id and client_secret")
        if token_url and not _is_http_url(token_url):
            raise fields.error('Extra "token_url"', f"expected an http or https URL, got {token_url!r}")
        return cls(
            client_id=cast("str", values["client_id"]),
            client_secret=cast("str", values["client_secret"]),
            token_url=token_url or DEFAULT_TOKEN_URL,
            audience=values["audience"] or (None if token_url else DEFAULT_AUDIENCE),
        )

    @property
    def secrets(self) -> Iterable[str]:
        """The client secret."""
        return (self.client_secret,)

    def authorization(self, api_version: ApiVersion) -> None:
        """Return ``None``, because both API versions need a token."""

    def token_request(self, deployment: Deployment) -> TokenRequest:
        """Make the request to the token URL (OAuth 2.0, grant type ``client_credentials``)."""
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
        """Raise an error if the token URL refuses the credentials, or if it sends a page."""
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
    """
    A user name and a password: exchanged for a token on API v2, sent as HTTP Basic on API v1.

    :param login: user name
    :param password: password
    """

    login: str
    password: str = field(repr=False)

    @classmethod
    def from_connection(cls, fields: CredentialFields) -> Login | AuthorizationHeader | None:
        """Read the fields Login and Password; a Password without a Login is an API token, sent as a bearer token."""
        if fields.login:
            return cls(fields.login, fields.password or "")
        if fields.password:
            token = fields.header("Password", fields.password)
            return AuthorizationHeader(token if token.lower().startswith("bearer ") else f"Bearer {token}")
        return None

    @property
    def basic(self) -> str:
        """User name and password as encoded for HTTP Basic."""
        return base64.b64encode(f"{self.login}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> Iterable[str]:
        """The password, and the encoded form for HTTP Basic."""
        return (self.password, self.basic)

    def authorization(self, api_version: ApiVersion) -> str | None:
        """Return HTTP Basic for v1, and ``None`` for v2."""
        return f"Basic {self.basic}" if api_version == "v1" else None

    def token_request(self, deployment: Deployment) -> TokenRequest:
        """Make the request to the target itself (``POST /auth/token``)."""
        url = f"{deployment.url}/auth/token"
        return TokenRequest(
            url,
            {**deployment.headers, "Content-Type": "application/json"},
            json.dumps({"username": self.login, "password": self.password}).encode(),
            f"{url} for the Login of connection {deployment.conn_id!r}",
        )

    def check_token_reply(self, reply: Reply, source: str) -> None:
        """Raise ``NoTokenEndpointError`` if the target has no ``/auth/token``."""
        if reply.status in (404, 405):
            raise NoTokenEndpointError(reply)


KINDS: tuple[type[Credentials], ...] = (AuthorizationHeader, ClientCredentials, Login)
"""The kinds of credentials; if a connection has several, the first one in this order is used."""

EXTRA_KEYS = frozenset(key for kind in KINDS for key in kind.EXTRA_KEYS)
"""The keys of the connection's Extra that belong to credentials."""


def read_credentials(fields: CredentialFields) -> Credentials | None:
    """
    Read the credentials of a connection.

    :param fields: the fields of the connection
    :return: the credentials; ``None`` if the connection has none
    :raise ConnectionConfigError: a field cannot be used
    """
    return next(filter(None, (kind.from_connection(fields) for kind in KINDS)), None)


def _is_http_url(value: str) -> bool:
    try:
        urlsplit(value)
    except ValueError:
        return False
    return value.lower().startswith(("http://", "https://"))

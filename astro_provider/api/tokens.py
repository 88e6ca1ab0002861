"""Tokens: how they are read, how long they are used, and how the flows of a process share one token request."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from astro_provider.api.errors import AstroError
from astro_provider.api.parsing import Unexpected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from astro_provider.api.types import JSON

MAX_SLACK_SECONDS = 60.0
"""
Seconds before its expiry at which a token is replaced, so that no request is sent too late.

A token that lives for less than twice this time is replaced after half its lifetime.
"""

MAX_LIFE_SECONDS = 1e9
"""A token with a longer lifetime is used until the target refuses it."""

EXPIRY_NOTICE_SECONDS = 7 * 86_400.0
"""How long before a token of the connection expires there is a warning."""

MAX_FETCH_SECONDS = 60.0
"""How long a flow waits for the token that another flow fetches before it fetches one itself."""

FETCH_CHECK_SECONDS = 0.1
"""Interval between two checks whether another flow has fetched the token."""


@dataclass(frozen=True)
class TokenRequest:
    """
    The POST request that fetches a token.

    :param url: absolute URL
    :param headers: request headers
    :param body: request body
    :param source: where the token comes from, for messages. It names the field of the connection, because Airflow masks
        the value of a ``token_url`` in logs
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    source: str


@contextmanager
def naming_source(source: str) -> Iterator[None]:
    """Add to the errors that are raised in this block that they are about a token, and from which source."""
    try:
        yield
    except AstroError as error:
        error.args = (f"There is no token from {source.rstrip(',')}. {error}",)
        raise


def _is_sendable(token: str) -> bool:
    return bool(token.strip()) and token.isascii() and token.isprintable()


def read_token(raw: JSON) -> tuple[str, float]:
    """
    Read the response to a token request.

    :return: the token, and the number of seconds for which it is used
    :raise Unexpected: the response has no token, or the token cannot be sent in a header
    """
    token = raw.get("access_token") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(token, str) or not _is_sendable(token):
        raise Unexpected("a token: an object with access_token")
    life = raw.get("expires_in")
    seconds = float(life) if isinstance(life, (int, float)) and life < MAX_LIFE_SECONDS else float("inf")
    return token.strip(), seconds - min(MAX_SLACK_SECONDS, seconds / 2)


class Fetch:
    """
    One token request, whose result is shared by all flows that need a token at that time.

    The flow that sends the request does so in a ``with`` block of this object.

    :param began: when it began, in seconds since the epoch
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._over = False
        self.token: str | None = None
        self.error: Exception | None = None

    def is_over(self, now: float) -> bool:
        """Whether flows should stop waiting for it: it has ended, or it has taken longer than ``MAX_FETCH_SECONDS``."""
        return self._over or not 0 <= now - self._began < MAX_FETCH_SECONDS

    def __enter__(self) -> Fetch:
        """Return the fetch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the error. If the flow is closed early, there is no result, and the next flow sends a request."""
        self.error = error if isinstance(error, Exception) else None
        self._over = True


class Fetches:
    """Lets one flow at a time fetch a token, across all threads and event loops of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Fetch | None = None

    def join(self, now: float) -> tuple[Fetch, bool]:
        """
        Return the current fetch, or begin one.

        :param now: the time, in seconds since the epoch
        :return: the fetch, and whether the caller has to send the request
        """
        with self._lock:
            if self._current is not None and not self._current.is_over(now):
                return self._current, False
            self._current = Fetch(now)
            return self._current, True


def expiry(authorization: str) -> datetime | None:
    """
    Return when a JSON Web Token expires.

    The signature is not checked, so the date is only good for messages.

    :param authorization: value of an ``Authorization`` header
    :return: the date, in UTC; ``None`` if the value is not a JSON Web Token, or the token does not expire
    """
    parts = (authorization.split() or [""])[-1].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(f"{parts[1]}=="))
        at = claims.get("exp") if isinstance(claims, dict) else None
        if not isinstance(at, (int, float)) or isinstance(at, bool):
            return None
        return datetime.fromtimestamp(at, timezone.utc)
    except (ValueError, OverflowError, OSError, RecursionError):
        return None


def expiry_date(expires: datetime) -> str:
    """Write the date on which a token expires, for a message."""
    return f"{expires:%Y-%m-%d at %H:%M:%S} UTC"


def expires_soon(expires: datetime, now: float) -> bool:
    """
    Check whether a token should be replaced.

    :param expires: when it expires
    :param now: the time, in seconds since the epoch
    """
    return expires.timestamp() - now < EXPIRY_NOTICE_SECONDS

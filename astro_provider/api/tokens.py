"""How tokens are read, how long they are used, and how the flows of a process share one fetch."""

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
"""A token is given up that long before it expires, or at half its lifetime, so that it does not expire on the way."""

MAX_LIFE_SECONDS = 1e9
"""A token that lives longer is used until it is refused."""

MAX_FETCH_SECONDS = 60.0
"""For how long a flow waits for another one's fetch before it fetches a token itself."""

FETCH_CHECK_SECONDS = 0.1
"""Seconds between two checks whether another flow's fetch is over."""


@dataclass(frozen=True)
class TokenRequest:
    """
    How a token is fetched: with a POST.

    :param source: what gives the token, for messages. It names the field, as Airflow masks the value of a
        ``token_url`` in logs.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    source: str


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Say in the errors raised in this block that they are about a token, and which field it comes from."""
    try:
        yield
    except AstroError as error:
        error.args = (f"There is no token from {source.rstrip(',')}. {error}",)
        raise


def _is_sendable(token: str) -> bool:
    return bool(token.strip()) and token.isascii() and token.isprintable()


def read_token(raw: JSON) -> tuple[str, float]:
    """
    Read the answer to a token request.

    :return: the token, and for how many seconds to use it
    """
    token = raw.get("access_token") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(token, str) or not _is_sendable(token):
        raise Unexpected("a token: an object with access_token")
    life = raw.get("expires_in")
    seconds = float(life) if isinstance(life, (int, float)) and life < MAX_LIFE_SECONDS else float("inf")
    return token.strip(), seconds - min(MAX_SLACK_SECONDS, seconds / 2)


class Fetch:
    """
    One fetch of a token, for everybody who needs one meanwhile; a ``with`` block while it lasts.

    :param began: when, in seconds since the epoch
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._over = False
        self.token: str | None = None
        self.error: Exception | None = None

    def is_over(self, now: float) -> bool:
        """Say whether nobody should wait for it: it has ended, or whoever makes it seems to be gone."""
        return self._over or not 0 <= now - self._began < MAX_FETCH_SECONDS

    def __enter__(self) -> Fetch:
        """Return the fetch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note how it ended; a flow that is closed in between has no result, and the next one fetches."""
        self.error = error if isinstance(error, Exception) else None
        self._over = True


class Fetches:
    """Lets one flow at a time fetch a token, on whichever threads and event loops the flows run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Fetch | None = None

    def join(self, now: float) -> tuple[Fetch, bool]:
        """
        Return the fetch that is under way, or begin one.

        :param now: seconds since the epoch
        :return: the fetch, and whether the caller has to make it
        """
        with self._lock:
            if self._current is not None and not self._current.is_over(now):
                return self._current, False
            self._current = Fetch(now)
            return self._current, True


def expiry(authorization: str) -> datetime | None:
    """
    Read when a JSON Web Token expires, without checking who made it.

    :param authorization: the value of an Authorization header
    :return: a date in UTC; ``None`` where the header holds no such token, or one that does not expire
    """
    payload = (authorization.split() or [""])[-1].split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode(f"{payload[0]}==")) if payload else None
        return datetime.fromtimestamp(claims["exp"], timezone.utc) if isinstance(claims, dict) else None
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None

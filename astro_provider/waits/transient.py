"""Which errors of a target a wait tolerates, and for how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    CertificateError,
    ConnectionUnreadableError,
    HostNotFoundError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REFUSED_SECONDS = 600.0
"""How long a wait tolerates refusals once the target has answered: tokens are rotated while tasks wait."""

MAX_REFUSED_AT_FIRST_SECONDS = 60.0
"""How long a wait tolerates refusals before the target has ever answered: the connection is probably wrong."""

OUTDATED = (AccessDeniedError, NotAirflowError, HostNotFoundError, CertificateError)
"""Errors that may mean that the connection has changed since it was read: a new token, another URL."""


def is_refusal(error: AstroError) -> bool:
    """
    Say whether an error seldom passes without somebody changing the connection or the target.

    :param error: an error of a request, or of reading the connection
    :return: ``True`` for a wrong token, host name, certificate or URL, a connection that cannot be read, and a 4xx
        that no check expects
    """
    if isinstance(error, (TargetUnavailableError, NotFoundError)):
        return False
    return isinstance(
        error, (TargetError, NotAirflowError, HostNotFoundError, CertificateError, ConnectionUnreadableError)
    )


class Tolerance:
    """
    Decides which errors a wait tolerates.

    * Transient errors (no answer, 408, 421, 425, 429, 5xx, an answer that cannot be read): as long as the wait lasts.
    * Refusals (see :func:`is_refusal`): for ``MAX_REFUSED_SECONDS`` since the first one, or for
      ``MAX_REFUSED_AT_FIRST_SECONDS`` if the target has never answered.
    * ``NotFoundError``: once, if the target has answered before. A proxy can answer 404 while the target restarts, so
      only a second one confirms that something was deleted.
    * Anything else, such as a wrong field of the connection: never.

    :param clock: returns the time in seconds since the epoch
    :param has_answered: whether the target is known to have answered before
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, has_answered: bool = False) -> None:
        self._clock = clock
        self._has_answered = has_answered
        # Not since the last answer: that is long ago for a wait with a long poke_interval.
        self._refused_since: float | None = None
        self._was_not_found = False
        self.is_tolerating = False

    def note_answer(self) -> None:
        """Note that the target has answered."""
        self._has_answered = True
        self._refused_since = None
        self._was_not_found = False
        self.is_tolerating = False

    def tolerates(self, error: AstroError, on_change: Callable[[AstroError], None]) -> bool:
        """
        Say whether to go on waiting after this error.

        :param error: the error
        :param on_change: called with it if it is the first one that is tolerated since the target has last answered
        """
        tolerated = self._is_tolerable(error)
        if tolerated and not self.is_tolerating:
            self.is_tolerating = True
            on_change(error)
        return tolerated

    def _is_tolerable(self, error: AstroError) -> bool:
        if isinstance(error, NotFoundError):
            is_confirmed, self._was_not_found = self._was_not_found, True
            return self._has_answered and not is_confirmed
        if is_refusal(error):
            now = self._clock()
            if self._refused_since is None:
                self._refused_since = now
            limit = MAX_REFUSED_SECONDS if self._has_answered else MAX_REFUSED_AT_FIRST_SECONDS
            return now - self._refused_since < limit
        return isinstance(error, (TransportError, TargetUnavailableError, UnexpectedAnswerError))

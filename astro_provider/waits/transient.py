"""The errors that a wait tolerates, and for how long."""

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
"""Seconds for which a wait tolerates refusals after the target has answered once: tokens are rotated during waits."""

MAX_REFUSED_AT_FIRST_SECONDS = 60.0
"""Seconds for which a wait tolerates refusals before the first answer: the connection is probably wrong."""

OUTDATED = (AccessDeniedError, NotAirflowError, HostNotFoundError, CertificateError)
"""Errors that can mean that the connection has changed since it was read, for example that it has a new token."""


def is_refusal(error: AstroError) -> bool:
    """
    Decide whether an error is a refusal, which rarely passes unless the connection or the target is changed.

    :param error: an error of a request, or of reading the connection
    :return: ``True`` for a wrong token, host name, certificate or URL, for a connection that cannot be read, and for a
        4xx response other than those of an outage and 404
    """
    if isinstance(error, (TargetUnavailableError, NotFoundError)):
        return False
    return isinstance(
        error, (TargetError, NotAirflowError, HostNotFoundError, CertificateError, ConnectionUnreadableError)
    )


class Tolerance:
    """
    Decides which errors one wait tolerates.

    * Transient errors (no response, 408, 421, 425, 429, 5xx, a response that cannot be parsed): as long as the wait
      lasts.
    * Refusals (see :func:`is_refusal`): for ``MAX_REFUSED_SECONDS`` after the first one, or for
      ``MAX_REFUSED_AT_FIRST_SECONDS`` if the target has never answered.
    * ``NotFoundError``: once, if the target has answered before. A proxy can answer 404 while the target restarts, so
      only a second 404 confirms that something was deleted.
    * Any other error, such as a wrong field of the connection: never.

    :param clock: returns the time in seconds since the epoch
    :param has_answered: whether the target is known to have answered before
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, has_answered: bool = False) -> None:
        self._clock = clock
        self._has_answered = has_answered
        # The time of the first refusal; that of the last answer can be long ago if poke_interval is long.
        self._refused_since: float | None = None
        self._was_not_found = False
        self.is_tolerating = False

    def note_answer(self) -> bool:
        """
        Note that the target has answered.

        :return: whether an error was tolerated since it last answered
        """
        was_tolerating = self.is_tolerating
        self._has_answered = True
        self._refused_since = None
        self._was_not_found = False
        self.is_tolerating = False
        return was_tolerating

    def tolerates(self, error: AstroError, on_first: Callable[[AstroError], None]) -> bool:
        """
        Decide whether the wait continues after an error.

        :param error: the error
        :param on_first: called with the error if it is the first one that is tolerated since the target last answered
        :return: whether the wait continues
        """
        tolerated = self._is_tolerable(error)
        if tolerated and not self.is_tolerating:
            self.is_tolerating = True
            on_first(error)
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

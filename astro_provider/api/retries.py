"""The retry layer: which requests are sent again, how often and when."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Pause
from astro_provider.api.responses import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.flow import Flow, Request, Response

RETRY_PAUSES = (1.0, 3.0)
"""Seconds before each of the two times that a request is sent again."""

MAX_RESEND_SECONDS = 100.0
"""
Seconds after which a request is not sent again.

Otherwise, a target that sends its responses too slowly would take several times the maximum duration of one request
(``hooks.http.total_timeout``).
"""

MAX_RESEND_LOG_SECONDS = 10.0
"""The same for the log of a failed task, which is needed only for a message."""

_TRANSIENT_STATUSES = (408, 421, 425, 429, 502, 503, 504)


class Resends:
    """
    Counts how often the request of one call can still be sent again, across redirects.

    :param request: the first request of the call
    :param clock: returns the time, in seconds since the epoch
    :ivar might_be_handled: whether the target might have handled an earlier request, because its response was lost or
        was an error such as 502
    """

    def __init__(self, request: Request, clock: Callable[[], float]) -> None:
        until = clock() + (MAX_RESEND_LOG_SECONDS if request.only_end else MAX_RESEND_SECONDS)
        self._pauses = takewhile(lambda _: clock() < until, RETRY_PAUSES)
        self.might_be_handled = False

    def pause(self) -> float | None:
        """Return the seconds to pause before the request is sent again; ``None`` if it must not be sent again."""
        return next(self._pauses, None)


def send_with_retries(request: Request, resends: Resends) -> Flow[Response]:
    """
    Send a request; after a transient error, pause and send it again if that is safe.

    :param request: the request
    :param resends: counts how often it can still be sent again
    :return: the response, whatever its status
    :raise TransportError: no response
    """
    while True:
        try:
            response = yield request
            assert response is not None  # a hook resumes a flow with None only after steps without a response
        except TransportError as error:
            if (error.sent and not request.idempotent) or (pause := resends.pause()) is None:
                raise
            resends.might_be_handled |= error.sent
        else:
            if not _can_resend(request, response) or (pause := resends.pause()) is None:
                return response
            pause = retry_after(response) or pause
            resends.might_be_handled |= response.status != 429
        yield Pause(pause)


def _can_resend(request: Request, response: Response) -> bool:
    # A target that responds with 429 has not handled the request. With another transient status, it might have: a proxy
    # responds with 503, for example, if the server behind it accepts the request and is then stopped.
    return response.status in (_TRANSIENT_STATUSES if request.idempotent else (429,))

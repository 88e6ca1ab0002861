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
"""Seconds before a request that may be sent again is sent again."""

MAX_RESEND_SECONDS = 100.0
"""Seconds after which a request is not sent again: a target that sends its answer too slowly would be given up only
after several times the limit for a whole request."""

MAX_RESEND_LOG_SECONDS = 10.0
"""The same for the log of a failed task, which only explains a failure."""

_TRANSIENT_STATUSES = (408, 421, 425, 429, 502, 503, 504)


class Resends:
    """
    How often one call may still be sent again, through all redirects that it follows.

    :param request: the first request of the call
    :param clock: seconds since the epoch
    :ivar may_be_handled: whether the target may have handled a request whose answer was lost
    """

    def __init__(self, request: Request, clock: Callable[[], float]) -> None:
        until = clock() + (MAX_RESEND_LOG_SECONDS if request.only_end else MAX_RESEND_SECONDS)
        self._pauses = takewhile(lambda _: clock() < until, RETRY_PAUSES)
        self.may_be_handled = False

    def pause(self) -> float | None:
        """Use up one of them: seconds to pause before it, ``None`` if there are no more."""
        return next(self._pauses, None)


def send_with_retries(request: Request, resends: Resends) -> Flow[Response]:
    """
    Send a request, and again after a pause where that is safe and may help.

    :param request: the request
    :param resends: how often it may still be sent again
    :return: the answer, whatever its status
    :raise TransportError: no answer
    """
    while True:
        try:
            response = yield request
            assert response is not None  # only a request is answered with a response
        except TransportError as error:
            if (error.sent and not request.idempotent) or (pause := resends.pause()) is None:
                raise
            resends.may_be_handled |= error.sent
        else:
            if not _may_resend(request, response) or (pause := resends.pause()) is None:
                return response
            pause = retry_after(response) or pause
            resends.may_be_handled |= response.status != 429
        yield Pause(pause)


def _may_resend(request: Request, response: Response) -> bool:
    # After 429 the server has not handled the request. After the others it may have: a proxy answers 503, too,
    # when the server behind it has accepted a request and then goes away.
    return response.status in (_TRANSIENT_STATUSES if request.idempotent else (429,))

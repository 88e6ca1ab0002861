"""The error layer: a reply gives the result of a call, or the error that says what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from astro_provider.api.error_body import access_denied, beginning, page_title, reasons
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConflictError,
    InvalidRequestError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
    UnexpectedAnswerError,
)
from astro_provider.api.flow import MAX_ANSWER_BYTES
from astro_provider.api.parsing import Unexpected, parse_json
from astro_provider.api.responses import UNAVAILABLE_STATUSES, is_html, is_json_object
from astro_provider.api.sanitize import may_hold, plain, secrets_in_data, without_secrets
from astro_provider.api.tokens import read_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.call import Call
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Request, Response
    from astro_provider.api.types import JSON

T = TypeVar("T")

MAX_DETAIL = 2000
"""How many characters of the target's own reasons an error shows."""

_ERRORS: dict[int, tuple[type[TargetError], str]] = {
    400: (InvalidRequestError, "does not accept {about}:"),
    404: (NotFoundError, "has no {about}."),
    405: (TargetError, "has no such endpoint for {about}: check Host of the connection, and the method."),
    409: (ConflictError, "has a conflict about {about}."),
    422: (InvalidRequestError, "does not accept {about}:"),
}
"""What a status means, and what is said of it; ``{about}`` is what the call was about."""


def clean(text: str, secrets: Sequence[str]) -> str:
    """Take every credential out of a text: a target may send back what it was sent."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def without_query(url: str) -> str:
    """Show a URL without its query string, which is long and may hold what is nobody's business."""
    return url.partition("?")[0]


@dataclass(frozen=True)
class Reply:
    """
    A request and the response to it.

    :param deployment: the target
    :param fetched_secrets: credentials that are not in its connection
    :param request: what was sent, after redirects
    :param response: what came back
    """

    deployment: Deployment
    fetched_secrets: tuple[str, ...]
    request: Request
    response: Response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    def read(self, call: Call[T], now: float) -> T:
        """
        Return the result of the call.

        :param call: the call that this is the reply to
        :param now: seconds since the epoch
        :raise AstroError: it has none; see ``errors``
        """
        response = self.response
        if len(response.body) > MAX_ANSWER_BYTES:
            raise self.unexpected(f"at most {MAX_ANSWER_BYTES // 1024**2} MiB of JSON")
        if not 200 <= response.status < 300:
            raise self._error(call.about, now)
        empty = response.status == 204 or (not response.body and self.request.method == "DELETE")
        try:
            if response.cut and call.read_end is not None:
                return call.read_end(self._cleaned().decode())
            return call.read(None if empty else self._parsed(call))
        except Unexpected as unexpected:
            raise self.unexpected(str(unexpected)) from None
        except (ValueError, RecursionError):
            if is_html(response):
                raise self.not_airflow() from None
            raise self.unexpected("JSON") from None

    def _parsed(self, call: Call[T]) -> JSON:
        """Parse an answer, and take credentials out of it: what is returned may end in an XCom."""
        raw = parse_json(self.response.body)
        if call.read is read_token:
            return raw
        secrets = secrets_in_data(self.deployment, self.fetched_secrets)
        return without_secrets(raw, secrets) if may_hold(self.response.body, secrets) else raw

    def _error(self, about: str, now: float) -> AstroError:
        status = self.status
        detail = self.detail()
        where = f"{self.request.method} {without_query(self.request.url)}"
        said = f" It says: {detail.rstrip('.')}." if detail else ""
        if status in (401, 403):
            return AccessDeniedError(
                f"{self.deployment} refused {where} with {status}.{said} "
                + access_denied(self.deployment.credentials, now),
                status=status,
                detail=detail,
            )
        if status in (404, 405) and not is_json_object(self.response):
            return self.not_airflow()
        kind, text = _ERRORS.get(status, (TargetError, f"answered {where} with {status}."))
        if status in UNAVAILABLE_STATUSES or status >= 500:
            kind, text = TargetUnavailableError, f"cannot answer now: {where} got {status}."
        text = f"{self.deployment} {text.replace('{about}', about)}"
        error = kind(f"{text} {detail}" if kind is InvalidRequestError else text + said, status=status, detail=detail)
        if isinstance(error, ConflictError):
            error.resent = self.response.resent
        return error

    def detail(self) -> str:
        """Return the target's own reasons, or the title of its page."""
        body = self._cleaned()
        # Again, for what JSON wrote otherwise.
        return self._clean(plain(page_title(body) if is_html(self.response) else reasons(body)))[:MAX_DETAIL]

    def title(self) -> str:
        """Return the title of an HTML page."""
        return page_title(self._cleaned())

    def not_airflow(self) -> NotAirflowError:
        """Make the error for an answer that no Airflow gives."""
        title = self.title()
        page = "an HTML page" if is_html(self.response) else beginning(self._cleaned())
        return NotAirflowError(
            f"{without_query(self.request.url)} is no Airflow REST API: it answered {self.status} with {page}"
            f"{f' titled {title!r}' if title else ''}. Check Host of connection {self.deployment.conn_id!r} "
            "(the Deployment URL, without anything behind it), and that the token is of this Deployment: "
            "a login page or a proxy answers like this."
        )

    def unexpected(self, expected: str) -> UnexpectedAnswerError:
        """Make the error for an answer that is not what was expected."""
        came = beginning(self._cleaned())
        return UnexpectedAnswerError(
            f"{self.deployment} answered {self.request.method} {without_query(self.request.url)} with {self.status}, "
            f"expected {expected}, but got {came}"
        )

    def redirect_refused(self, url: str) -> NotAirflowError:
        """Make the error for a redirect that is not followed."""
        try:
            there = urlsplit(url)
            shown = f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}"
        except ValueError:  # it is no URL
            shown = without_query(url).rpartition("@")[2]
        return NotAirflowError(
            self._clean(
                f"{self.deployment} did not answer: {self.request.method} {without_query(self.request.url)} is "
                f"redirected to {plain(shown)}. "
                "A redirect to a login page means that the token is missing or wrong; "
                "otherwise put the URL that it points to into the connection's Host."
            )
        )

    def _clean(self, text: str) -> str:
        return clean(text, (*self.deployment.secrets, *self.fetched_secrets))

    def _cleaned(self) -> bytes:
        """Clean the body before a part of it is shown, as a part of a credential would not be recognised."""
        return self._clean(self.response.body.decode("utf-8", "replace")).encode()

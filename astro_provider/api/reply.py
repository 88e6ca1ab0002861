"""A reply: a request and its response, from which the result of a call or an error is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.error_body import page_title, reasons
from astro_provider.api.error_messages import not_airflow, status_error, unexpected
from astro_provider.api.errors import TooLargeAnswerError
from astro_provider.api.parsing import Unexpected, parse_json
from astro_provider.api.responses import is_html, is_missing_endpoint
from astro_provider.api.sanitize import hide_secrets, might_contain, plain, secrets_in_data, without_secrets

if TYPE_CHECKING:
    from astro_provider.api.call import Call
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Request, Response
    from astro_provider.api.types import JSON

T = TypeVar("T")

MAX_DETAIL_CHARACTERS = 2000
"""Characters of the target's own reasons that an error shows."""


@dataclass(frozen=True)
class Reply:
    """
    A request and the response to it.

    :param deployment: the target
    :param fetched_secrets: credentials that are not in its connection, such as a fetched token
    :param request: the request that was sent, after redirects
    :param response: the response
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
        :param now: the time, in seconds since the epoch
        :raise AstroError: the response is an error, or not what the API describes
        """
        response = self.response
        if len(response.body) > call.max_bytes:
            raise unexpected(self, f"at most {call.max_bytes // 1024**2} MiB of JSON", TooLargeAnswerError)
        # A path that does not exist is a mistake even if the user expects that the resource does not exist.
        is_allowed = response.status in call.allowed_statuses and not is_missing_endpoint(response)
        if not (is_allowed or 200 <= response.status < 300):
            raise status_error(self, call.about, now)
        empty = response.status == 204 or (not response.body and (is_allowed or self.request.method == "DELETE"))
        try:
            if response.cut and call.read_end is not None:
                return call.read_end(self.body_without_secrets().decode())
            result = call.read(None if empty else self._parsed(call))
        except Unexpected as error:
            raise unexpected(self, str(error)) from None
        except (ValueError, RecursionError):
            if is_html(response):
                raise not_airflow(self) from None
            raise unexpected(self, "JSON") from None
        if call.note_status is not None:
            call.note_status(response.status)
        return result

    def _parsed(self, call: Call[T]) -> JSON:
        """Parse the body, and replace credentials in it, because a result can become an XCom."""
        raw = parse_json(self.response.body)
        if call.returns_credentials:
            return raw
        secrets = secrets_in_data(self.deployment, self.fetched_secrets)
        return without_secrets(raw, secrets) if might_contain(self.response.body, secrets) else raw

    def detail(self) -> str:
        """Return the target's own reasons, or the title of its page."""
        body = self.body_without_secrets()
        text = plain(page_title(body) if is_html(self.response) else reasons(body))
        # Secrets are hidden once more, because parsing the JSON can have revealed others.
        return self.hide_secrets(text)[:MAX_DETAIL_CHARACTERS]

    def title(self) -> str:
        """Return the title of an HTML page."""
        return page_title(self.body_without_secrets())

    def hide_secrets(self, text: str) -> str:
        """Replace every credential in a text."""
        return hide_secrets(text, (*self.deployment.secrets, *self.fetched_secrets))

    def body_without_secrets(self) -> bytes:
        """Return the body without credentials. Callers shorten it afterwards, so that no credential is cut in two."""
        return self.hide_secrets(self.response.body.decode("utf-8", "replace")).encode()

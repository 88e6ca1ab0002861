"""
How a question becomes an answer: one flow that yields requests and is sent responses.

Finding the API generation, authorising, renewing tokens, retrying, redirects and reading errors are decided here,
once, for the blocking and the async hook, which only carry requests and wait out pauses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from astro_provider.api import calls
from astro_provider.api.answers import (
    is_html,
    is_json_object,
    is_other_generation,
    is_removed_api,
    is_token_refused,
    is_unknown_route,
    retry_after,
)
from astro_provider.api.calls import GENERATIONS, Call, Generation
from astro_provider.api.credentials import ClientCredentials, Login, TokenCredentials
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConflictError,
    ConnectionConfigError,
    InvalidRequestError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.explain import access_denied, beginning, page_title, reasons, similar_ids
from astro_provider.api.reading import Unexpected, parse_json
from astro_provider.api.sanitize import may_hold, plain, secrets_in_data, without_secrets
from astro_provider.api.tokens import FETCH_CHECK_SECONDS, Fetches, naming, read_token

if TYPE_CHECKING:
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.types import JSON

T = TypeVar("T")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""More than any sane answer, less than what would hurt a worker or a triggerer."""

MAX_END_BYTES = 4 * 1024 * 1024
"""How much is kept of an answer of which only the end is read: a log of 31 MiB takes 235 MiB of memory as a whole."""

RETRY_PAUSES = (1.0, 3.0)
"""Seconds before a request that may be sent again is sent again."""

MAX_RESEND_SECONDS = 100.0
"""Seconds after which a request is not sent again: a target that sends its answer too slowly would be given up only
after several times the limit for a whole request."""

_ERRORS: dict[int, tuple[type[TargetError], str]] = {
    400: (InvalidRequestError, "does not accept {about}:"),
    404: (NotFoundError, "has no {about}."),
    405: (TargetError, "has no such endpoint for {about}: check Host of the connection, and the method."),
    409: (ConflictError, "has a conflict about {about}."),
    422: (InvalidRequestError, "does not accept {about}:"),
}
"""What a status means, and what is said of it; ``{about}`` is what the call was about."""

_PASSING_STATUSES = (408, 421, 425, 429, 502, 503, 504)
_UNAVAILABLE_STATUSES = (408, 421, 425, 429)
"""Statuses below 500 that a proxy answers with for reasons that pass: timeout, misdirected, too early, too many."""

_MOST_REDIRECTS = 3
_MOST_DETAIL = 2000


@dataclass(frozen=True)
class Request:
    """
    A request to carry.

    :param headers: all of them, credentials included, so they are not logged
    :param idempotent: whether it can be sent again although the target may have handled it already
    :param only_end: whether no more than the last ``MAX_END_BYTES`` of the answer are kept; one such request at a time
        is carried in a process
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    only_end: bool = False


@dataclass(frozen=True)
class Response:
    """
    What came back.

    :param headers: names in lower case
    :param body: at most ``MAX_ANSWER_BYTES`` and a little more long, or ``MAX_END_BYTES`` where only the end is kept
    :param cut: whether the body is only the end of the answer
    :param resent: whether the target may have handled the same request before, and its answer was lost
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False
    resent: bool = False


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds, then go on."""

    seconds: float


@dataclass(frozen=True)
class ReloadConnection:
    """Read the Airflow connection again, give what it says to the client (``Client.use``), then go on."""


Step: TypeAlias = Request | Pause | ReloadConnection
"""What a flow asks the hook to do."""

Flow: TypeAlias = Generator[Step, "Response | None", T]
"""Yields steps, is sent the response to a request and ``None`` after any other step, returns a ``T``."""


@dataclass
class Memory:
    """What was learned of a Deployment; shared by everything in a process that asks the same one."""

    generation: Generation | None = None
    token: str | None = field(default=None, repr=False)
    token_expires: float = float("inf")
    """When to give the token up, in seconds since the epoch."""
    fetches: Fetches = field(default_factory=Fetches, repr=False)
    clock_lead: float = 0.0
    """Seconds by which the target's clock is ahead of ours, as its answers' Date told last."""
    filters_groups: bool | None = None
    """Whether it lists the task instances of one task group only; ``None`` until it is known."""


@dataclass(frozen=True)
class _Attempt(Generic[T]):
    """
    A call to one API version and what came of it.

    :param other_generation: whether the answer shows that the target has the other version
    :param lacks_tokens: whether the answer is that of a target without ``/auth/token``
    """

    call: Call[T]
    request: Request
    response: Response
    other_generation: bool
    lacks_tokens: bool = False


class _NoTokenEndpointError(Exception):
    """The target has no ``/auth/token``: it is no Airflow 3."""

    def __init__(self, request: Request, response: Response) -> None:
        super().__init__()
        self.request = request
        self.response = response


class Exchange:
    """
    Asks one Deployment.

    :param deployment: the target
    :param memory: what is known of it, and what is learned
    :param clock: seconds since the epoch, for the life of tokens
    """

    def __init__(self, deployment: Deployment, memory: Memory, clock: Callable[[], float] = time.time) -> None:
        self.deployment = deployment
        self.memory = memory
        self._clock = clock
        self._former_secrets: tuple[str, ...] = ()

    def ask(self, question: Callable[[Generation], Call[T]]) -> Flow[T]:
        """
        Ask a question.

        :param question: makes the call for a generation of the REST API
        :return: the answer
        :raise AstroError: whatever went wrong, see ``errors``
        """
        try:
            return (yield from self._ask(question))
        except NotFoundError as error:
            call = question(self._assumed())
            if call.dag_id is None:
                raise
            raise (yield from self._with_similar_dags(error, call.dag_id)) from None

    def find(self, question: Callable[[Generation], Call[T]]) -> Flow[T | None]:
        """Ask a question whose answer may be that there is no such thing: ``None``."""
        try:
            return (yield from self._ask(question))
        except NotFoundError:
            return None

    def generation(self) -> Flow[Generation]:
        """Find out the API generation, asking the target only when it is not known yet."""
        if self.deployment.api_version is None and self.memory.generation is None:
            yield from self._ask(calls.version)
        return self._assumed()

    def _assumed(self) -> Generation:
        if self.deployment.api_version is not None:
            return GENERATIONS[self.deployment.api_version]
        return self.memory.generation or GENERATIONS["v2"]

    def _ask(self, question: Callable[[Generation], Call[T]]) -> Flow[T]:
        """Ask the assumed generation, and the other one where the answer shows that the assumption was wrong."""
        generation = self._assumed()
        attempt = yield from self._attempt(question(generation), generation)
        if attempt.other_generation:
            other = GENERATIONS["v1" if generation.NAME == "v2" else "v2"]
            if self.deployment.api_version is not None:
                yield from self._check_api_version(attempt.response, other)
            elif attempt.response.status != 405 or (yield from self._answers(other)):
                second = yield from self._attempt(question(other), other)
                # Where neither is right, v2's answer says more: v1's is only that it has been removed.
                if not second.other_generation or other.NAME == "v2":
                    attempt, generation = second, other
        if attempt.lacks_tokens:
            raise self._no_tokens(attempt)
        answer = self._read(attempt.call, attempt.request, attempt.response)
        self.memory.generation = generation
        return answer

    def _check_api_version(self, response: Response, other: Generation) -> Flow[None]:
        """Refuse an api_version of the connection that the target does not have, where it has the other one."""
        if is_removed_api(response) or (yield from self._answers(other)):
            raise ConnectionConfigError(
                self.deployment.conn_id,
                'Extra "api_version"',
                f"it says {self.deployment.api_version}, but {self.deployment.url} has REST API {other.NAME} "
                f"(Airflow {'2' if other.NAME == 'v1' else '3'}). Remove it, or change it to {other.NAME}.",
            )

    def _no_tokens(self, attempt: _Attempt[T]) -> AstroError:
        """Make the error for a login at an Airflow 3 without ``/auth/token``; other answers are no Airflow's."""
        if is_unknown_route(attempt.response):
            return ConnectionConfigError(
                self.deployment.conn_id,
                "Login",
                f"{_shown(attempt.request.url)} answers {attempt.response.status}: this Deployment gives no tokens "
                "for a login. Leave Login empty, and put an API token into Password.",
            )
        return self._not_airflow(attempt.request, attempt.response)

    def _answers(self, generation: Generation) -> Flow[bool]:
        """Ask whether the target has this API version, where the answer of the other one leaves that open."""
        call = calls.version(generation)
        attempt = yield from self._attempt(call, generation)
        if attempt.lacks_tokens and is_unknown_route(attempt.response):
            raise self._no_tokens(attempt)
        try:
            self._read(call, attempt.request, attempt.response)
        except (AccessDeniedError, TargetUnavailableError):
            raise
        except (TargetError, NotAirflowError, UnexpectedAnswerError):
            return False
        return True

    def _attempt(self, call: Call[T], generation: Generation) -> Flow[_Attempt[T]]:
        try:
            request, response = yield from self._authorised(call, generation)
        except _NoTokenEndpointError as missing:
            return _Attempt(call, missing.request, missing.response, other_generation=True, lacks_tokens=True)
        if (date := response.headers.get("date")) is not None:
            with suppress(ValueError):
                self.memory.clock_lead = parsedate_to_datetime(date).timestamp() - self._clock()
        return _Attempt(call, request, response, other_generation=is_other_generation(response))

    def _authorised(self, call: Call[T], generation: Generation) -> Flow[tuple[Request, Response]]:
        authorization = yield from self._authorization(generation)
        request = self._request(call, generation, authorization)
        response = yield from self._send(request)
        fetched = isinstance(self.deployment.credentials, TokenCredentials) and authorization is not None
        if fetched and str(authorization).startswith("Bearer ") and is_token_refused(response):
            if authorization == f"Bearer {self.memory.token}":  # else somebody has fetched another meanwhile
                self.memory.token = None
            request = self._request(call, generation, (yield from self._authorization(generation)))
            response = yield from self._send(request)
        return request, response

    def _authorization(self, generation: Generation) -> Flow[str | None]:
        credentials = self.deployment.credentials
        if credentials is None:
            return None
        authorization = credentials.authorization(generation.NAME)
        if authorization is None and isinstance(credentials, TokenCredentials):
            return f"Bearer {(yield from self._token(credentials))}"
        return authorization

    def _token(self, credentials: TokenCredentials) -> Flow[str]:
        """Return a token; of all flows of this process that need one at the same time, one fetches it."""
        memory = self.memory
        while not memory.token or memory.token_expires <= self._clock():
            fetch, is_ours = memory.fetches.join(self._clock())
            if is_ours:
                with fetch:
                    fetch.token = memory.token = yield from self._fetch_token(credentials, memory)
            while not fetch.is_over(self._clock()):
                yield Pause(FETCH_CHECK_SECONDS)
            if fetch.error is not None:
                raise fetch.error
            if fetch.token is not None:  # however soon it expires
                return fetch.token
        return memory.token

    def _fetch_token(self, credentials: TokenCredentials, memory: Memory) -> Flow[str]:
        fetching = credentials.token_request(self.deployment)
        headers = {**fetching.headers, "Accept": "application/json"}
        request = Request("POST", fetching.url, headers, fetching.body, idempotent=True)
        with naming(fetching.source):
            response = yield from self._send(request)
        if isinstance(credentials, Login) and response.status in (404, 405):
            raise _NoTokenEndpointError(request, response)
        if isinstance(credentials, ClientCredentials):
            self._check_token_answer(fetching.source, response)
        with naming(fetching.source):
            token, seconds = self._read(Call("POST", fetching.url, read_token, "token request"), request, response)
        memory.token_expires = self._clock() + seconds
        return token

    def _check_token_answer(self, source: str, response: Response) -> None:
        """Refuse an answer of a token URL that cannot be one, in words about that URL."""
        if 400 <= response.status < 500 and response.status not in _UNAVAILABLE_STATUSES:
            raise AccessDeniedError(
                f"{source[:1].upper()}{source[1:]} gives no token: it answers {response.status}. "
                f"{self._detail(response)} Check client_id, client_secret, token_url and audience in Extra.",
                status=response.status,
            )
        if is_html(response) and response.status < 400:
            raise NotAirflowError(
                f"{source[:1].upper()}{source[1:]} gives no token: it answers with an HTML page titled "
                f'{page_title(self._cleaned(response))!r}, as a login page or a proxy does. Check Extra "token_url".'
            )

    def _request(self, call: Call[T], generation: Generation, authorization: str | None) -> Request:
        query = urlencode({k: _query_value(v) for k, v in call.params.items() if v is not None}, doseq=True)
        url = f"{self.deployment.url}/api/{generation.NAME}/{call.path}"
        if query:
            url += f"{'&' if '?' in call.path else '?'}{query}"
        ours = {"accept", "content-type", *(name.lower() for name in call.headers)}
        headers = {k: v for k, v in self.deployment.headers.items() if k.lower() not in ours}
        headers |= {"Accept": "application/json"}
        body = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            body = (call.body if isinstance(call.body, str) else json.dumps(call.body)).encode()
        headers |= call.headers
        if authorization is not None:
            headers["Authorization"] = authorization
        idempotent = call.method == "GET" or call.idempotent
        return Request(call.method, url, headers, body, idempotent=idempotent, only_end=call.read_end is not None)

    def _send(self, request: Request) -> Flow[Response]:
        """Send, again after a pause where that is safe and may help, and on to where a redirect points."""
        redirects = 0
        resent = False
        resend_until = self._clock() + MAX_RESEND_SECONDS
        pauses = takewhile(lambda _: self._clock() < resend_until, RETRY_PAUSES)
        while True:
            pause = None
            try:
                response = yield request
                assert response is not None  # only a request is answered with a response
            except TransportError as error:
                if (error.sent and not request.idempotent) or (pause := next(pauses, None)) is None:
                    raise
                resent |= error.sent
            else:
                location = response.headers.get("location")
                if 300 < response.status < 400 and location:
                    request = self._redirected(request, response.status, location, redirects)
                    redirects += 1
                    continue
                if not self._may_resend(request, response) or (pause := next(pauses, None)) is None:
                    return replace(response, resent=resent)
                pause = retry_after(response) or pause
                resent |= response.status != 429
            yield Pause(pause)

    @staticmethod
    def _may_resend(request: Request, response: Response) -> bool:
        # After 429 the server has not handled the request. After the others it may have: a proxy answers 503, too,
        # when the server behind it has accepted a request and then goes away.
        return response.status in (_PASSING_STATUSES if request.idempotent else (429,))

    def _redirected(self, request: Request, status: int, location: str, redirects: int) -> Request:
        """Follow a redirect within the Deployment's own host only: credentials must go to no other."""
        url = urljoin(request.url, location)
        here, there = urlsplit(request.url), urlsplit(url)
        same_host = here.hostname == there.hostname and (
            (here.scheme, here.port) == (there.scheme, there.port)
            or (here.scheme, there.scheme, here.port, there.port) == ("http", "https", None, None)
        )
        followable = request.method == "GET" or status in (307, 308)
        if same_host and followable and redirects < _MOST_REDIRECTS and self.deployment.http.allow_redirects:
            return replace(request, url=url)
        shown = f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}"
        raise NotAirflowError(
            self._clean(
                f"{self.deployment} did not answer: {request.method} {_shown(request.url)} is redirected to "
                f"{plain(shown)}. "
                "A redirect to a login page means that the token is missing or wrong; "
                "otherwise put the URL that it points to into the connection's Host."
            )
        )

    def _read(self, call: Call[T], request: Request, response: Response) -> T:
        if len(response.body) > MAX_ANSWER_BYTES:
            raise self._unexpected(request, response, f"at most {MAX_ANSWER_BYTES // 1024**2} MiB of JSON")
        if not 200 <= response.status < 300:
            raise self._error(call, request, response)
        empty = response.status == 204 or (not response.body and request.method == "DELETE")
        try:
            if response.cut and call.read_end is not None:
                return call.read_end(self._cleaned(response).decode())
            return call.read(None if empty else self._parsed(call, response.body))
        except Unexpected as unexpected:
            raise self._unexpected(request, response, str(unexpected)) from None
        except (ValueError, RecursionError):
            if is_html(response):
                raise self._not_airflow(request, response) from None
            raise self._unexpected(request, response, "JSON") from None

    def _parsed(self, call: Call[T], body: bytes) -> JSON:
        """Parse an answer, and take credentials out of it: what is returned may end in an XCom."""
        raw = parse_json(body)
        if call.read is read_token:
            return raw
        secrets = secrets_in_data(self.deployment, self._fetched_secrets())
        return without_secrets(raw, secrets) if may_hold(body, secrets) else raw

    def _error(self, call: Call[T], request: Request, response: Response) -> AstroError:
        status = response.status
        detail = self._detail(response)
        where = f"{request.method} {_shown(request.url)}"
        said = f" It says: {detail.rstrip('.')}." if detail else ""
        if status in (401, 403):
            return AccessDeniedError(
                f"{self.deployment} refused {where} with {status}.{said} "
                + access_denied(self.deployment.credentials, self._clock()),
                status=status,
                detail=detail,
            )
        if status in (404, 405) and not is_json_object(response):
            return self._not_airflow(request, response)
        kind, text = _ERRORS.get(status, (TargetError, f"answered {where} with {status}."))
        if status in _UNAVAILABLE_STATUSES or status >= 500:
            kind, text = TargetUnavailableError, f"cannot answer now: {where} got {status}."
        text = f"{self.deployment} {text.replace('{about}', call.about)}"
        error = kind(f"{text} {detail}" if kind is InvalidRequestError else text + said, status=status, detail=detail)
        if isinstance(error, ConflictError):
            error.resent = response.resent
        return error

    def _detail(self, response: Response) -> str:
        body = self._cleaned(response)
        # Again, for what JSON wrote otherwise.
        return self._clean(plain(page_title(body) if is_html(response) else reasons(body)))[:_MOST_DETAIL]

    def _not_airflow(self, request: Request, response: Response) -> NotAirflowError:
        title = page_title(self._cleaned(response))
        page = "an HTML page" if is_html(response) else beginning(self._cleaned(response))
        return NotAirflowError(
            f"{_shown(request.url)} is no Airflow REST API: it answered {response.status} with {page}"
            f"{f' titled {title!r}' if title else ''}. Check Host of connection {self.deployment.conn_id!r} "
            "(the Deployment URL, without anything behind it), and that the token is of this Deployment: "
            "a login page or a proxy answers like this."
        )

    def _unexpected(self, request: Request, response: Response, expected: str) -> UnexpectedAnswerError:
        came = beginning(self._cleaned(response))
        return UnexpectedAnswerError(
            f"{self.deployment} answered {request.method} {_shown(request.url)} with {response.status}, "
            f"expected {expected}, but got {came}"
        )

    def _with_similar_dags(self, error: NotFoundError, dag_id: str) -> Flow[NotFoundError]:
        """Name the dags with similar ids, where the 404 is about the dag; finding none never hides the error."""
        try:
            matches, _ = yield from self._ask(
                lambda api: calls.list_dags(api, {"limit": calls.PAGE_SIZE, "dag_id_pattern": dag_id})
            )
            if any(dag["dag_id"] == dag_id for dag in matches):
                return error
            dags, _ = yield from self._ask(lambda api: calls.list_dags(api, {"limit": calls.PAGE_SIZE}))
        except AstroError:
            return error
        similar = similar_ids(dag_id, [dag["dag_id"] for dag in (*matches, *dags)])
        text = f"{self.deployment} has no dag {dag_id!r}, or the token may not see it."
        if similar:
            text += f" It has {', '.join(repr(name) for name in similar)}."
        return NotFoundError(text, status=error.status, detail=error.detail, similar=similar)

    def _clean(self, text: str) -> str:
        """Take every credential out of a text: a target may send back what it was sent."""
        for secret in (*self.deployment.secrets, *self._fetched_secrets()):
            text = text.replace(secret, "***")
        return text

    def _fetched_secrets(self) -> tuple[str, ...]:
        """List the credentials that are not in the connection as it is now."""
        return (*self._former_secrets, *filter(None, [self.memory.token]))

    def _cleaned(self, response: Response) -> bytes:
        """Clean a body before a part of it is shown, as a part of a credential would not be recognised."""
        return self._clean(response.body.decode("utf-8", "replace")).encode()


def _query_value(value: JSON) -> JSON:
    if isinstance(value, bool):
        return str(value).lower()
    return [_query_value(item) for item in value] if isinstance(value, list) else value


def _shown(url: str) -> str:
    """Show a URL without its query string, which is long and may hold what is nobody's business."""
    return url.partition("?")[0]

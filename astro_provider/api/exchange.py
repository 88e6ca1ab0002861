"""
The version layer: calls the API version that a target has, and finds out which one that is.

Every call passes through the same layers, one inside the other: API version (here), authorisation and redirects
(``sender``, with the rules of ``redirects``), retries (``retries``). Then the result or the error is made from the
reply (``reply``).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar

from astro_provider.api import calls
from astro_provider.api.api_versions import API_VERSIONS, RestApi, other
from astro_provider.api.credentials import NoTokenEndpointError
from astro_provider.api.error_messages import not_airflow, similar_ids
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConnectionConfigError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
    UnexpectedAnswerError,
)
from astro_provider.api.responses import is_other_api_version, is_removed_api, is_unknown_route
from astro_provider.api.sender import Sender
from astro_provider.api.urls import without_query

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.call import Call
    from astro_provider.api.flow import Flow
    from astro_provider.api.reply import Reply

P = ParamSpec("P")
T = TypeVar("T")

MAX_CLOCK_LEAD_SECONDS = 100 * 365 * 86_400.0
"""A ``Date`` header that differs by more from the local time is ignored; dates derived from it could not be valid."""


@dataclass(frozen=True)
class _Attempt(Generic[T]):
    """
    A call to one API version, and the reply to it.

    :param call: the call
    :param reply: the reply
    :param other_api_version: whether the reply shows that the target has the other version
    :param lacks_tokens: whether the reply is that of a target without ``/auth/token``
    """

    call: Call[T]
    reply: Reply
    other_api_version: bool
    lacks_tokens: bool = False


class Exchange(Sender):
    """Calls the endpoints of one Deployment; see ``Sender`` for the parameters."""

    def call(self, endpoint: Callable[Concatenate[RestApi, P], Call[T]], *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        """
        Call an endpoint.

        :param endpoint: function that makes the call for an API version, e.g. ``calls.get_dag``
        :param args: arguments of ``endpoint`` after the API version
        :return: the result
        :raise AstroError: the call failed, see ``errors``
        """
        try:
            return (yield from self._call(endpoint, *args, **kwargs))
        except NotFoundError as error:
            # This call is not sent. It only shows which dag the 404 might be about.
            dag_id = endpoint(self._assumed(), *args, **kwargs).dag_id
            if dag_id is None:
                raise
            raise (yield from self._with_similar_dags(error, dag_id)) from None

    def find(
        self, endpoint: Callable[Concatenate[RestApi, P], Call[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Flow[T | None]:
        """Call an endpoint like :meth:`call`; the result is ``None`` if the target responds with 404."""
        try:
            return (yield from self._call(endpoint, *args, **kwargs))
        except NotFoundError:
            return None

    def api_version(self) -> Flow[RestApi]:
        """Return the API version; sends ``GET version`` if it is not known yet."""
        if self.deployment.api_version is None and self.memory.api_version is None:
            yield from self._call(calls.version)
        return self._assumed()

    def _assumed(self) -> RestApi:
        if self.deployment.api_version is not None:
            return API_VERSIONS[self.deployment.api_version]
        return self.memory.api_version or API_VERSIONS["v2"]

    def _call(self, endpoint: Callable[Concatenate[RestApi, P], Call[T]], *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        """Call the assumed API version, and the other one if the reply shows that the assumption was wrong."""
        api = self._assumed()
        attempt = yield from self._attempt(endpoint(api, *args, **kwargs), api)
        if attempt.other_api_version:
            if self.deployment.api_version is not None:
                yield from self._check_api_version(attempt.reply, other(api))
            # A 405 can also mean that this API version has the endpoint, but not with this method. The other version is
            # then called only if ``GET version`` shows that the target has it.
            elif attempt.reply.status != 405 or (yield from self._has_api_version(other(api))):
                second = yield from self._attempt(endpoint(other(api), *args, **kwargs), other(api))
                # If both are wrong, the reply of v2 is more useful: that of v1 only says that v1 has been removed.
                if not second.other_api_version or other(api).NAME == "v2":
                    attempt, api = second, other(api)
        if attempt.lacks_tokens:
            raise self._no_tokens(attempt.reply)
        result = attempt.reply.read(attempt.call, self.clock())
        self.memory.api_version = api
        return result

    def _check_api_version(self, reply: Reply, other_api: RestApi) -> Flow[None]:
        """Raise an error if the target has another API version than the connection says."""
        if is_removed_api(reply.response) or (yield from self._has_api_version(other_api)):
            raise ConnectionConfigError(
                self.deployment.conn_id,
                'Extra "api_version"',
                f"it says {self.deployment.api_version}, but {self.deployment.url} has REST API {other_api.NAME} "
                f"(Airflow {'2' if other_api.NAME == 'v1' else '3'}). Remove it, or change it to {other_api.NAME}.",
            )

    def _no_tokens(self, reply: Reply) -> AstroError:
        """Make the error for a target without ``/auth/token``: an Airflow 3 without tokens, or another server."""
        if is_unknown_route(reply.response):
            return ConnectionConfigError(
                self.deployment.conn_id,
                "Login",
                f"{without_query(reply.request.url)} answers {reply.status}: this Deployment gives no tokens "
                "for a login. Leave Login empty, and put an API token into Password.",
            )
        return not_airflow(reply)

    def _has_api_version(self, api: RestApi) -> Flow[bool]:
        """Find out whether the target has this API version, after an ambiguous reply of the other one."""
        call = calls.version(api)
        attempt = yield from self._attempt(call, api)
        if attempt.lacks_tokens and is_unknown_route(attempt.reply.response):
            raise self._no_tokens(attempt.reply)
        try:
            attempt.reply.read(call, self.clock())
        except (AccessDeniedError, TargetUnavailableError):
            raise
        except (TargetError, NotAirflowError, UnexpectedAnswerError):
            return False
        return True

    def _attempt(self, call: Call[T], api: RestApi) -> Flow[_Attempt[T]]:
        try:
            reply = yield from self._send_authorised(call, api)
        except NoTokenEndpointError as missing:
            return _Attempt(call, missing.reply, other_api_version=True, lacks_tokens=True)
        if (date := reply.response.headers.get("date")) is not None:
            with suppress(ValueError, OverflowError):
                lead = parsedate_to_datetime(date).timestamp() - self.clock()
                if abs(lead) <= MAX_CLOCK_LEAD_SECONDS:
                    self.memory.clock_lead = lead
        return _Attempt(call, reply, other_api_version=is_other_api_version(reply.response))

    def _with_similar_dags(self, error: NotFoundError, dag_id: str) -> Flow[NotFoundError]:
        """Name dags with similar ids if a 404 is about the dag; otherwise, return the error unchanged."""
        try:
            page = {"limit": calls.PAGE_SIZE}
            matches, _ = yield from self._call(calls.list_dags, page, {"dag_id_pattern": dag_id})
            if any(dag["dag_id"] == dag_id for dag in matches):
                return error
            dags, _ = yield from self._call(calls.list_dags, page, {})
        except AstroError:
            return error
        similar = similar_ids(dag_id, [dag["dag_id"] for dag in (*matches, *dags)])
        text = f"{self.deployment} has no dag {dag_id!r}, or the token may not see it."
        if similar:
            text += f" It has {', '.join(repr(name) for name in similar)}."
        return NotFoundError(text, status=error.status, detail=error.detail, similar=similar)

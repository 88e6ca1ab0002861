"""
The wording of errors about a reply: what happened, where, and what to do.

The messages of other errors are in ``credentials`` (what to do after a 401 or 403), ``connection`` (a field of the
connection), ``hooks.http`` (no response) and ``failed_run`` (a failed run).
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from astro_provider.api.error_body import beginning
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
from astro_provider.api.message import INDENT
from astro_provider.api.responses import UNAVAILABLE_STATUSES, is_html, is_json_object, is_missing_endpoint
from astro_provider.api.sanitize import plain
from astro_provider.api.urls import without_query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astro_provider.api.reply import Reply

_ERRORS: dict[int, tuple[type[TargetError], str]] = {
    400: (InvalidRequestError, "does not accept {about}:"),
    404: (NotFoundError, "has no {about}."),
    405: (TargetError, "has no such endpoint for {about}: check Host of the connection, and the method."),
    409: (ConflictError, "has a conflict about {about}."),
    422: (InvalidRequestError, "does not accept {about}:"),
}
"""Class and message of the error for an HTTP status; ``{about}`` is what the call is about."""


def status_error(reply: Reply, about: str, now: float) -> AstroError:
    """
    Make the error for a reply whose HTTP status is not 2xx.

    :param reply: the reply
    :param about: what the call is about
    :param now: the time, in seconds since the epoch
    """
    status, deployment = reply.status, reply.deployment
    detail = reply.detail()
    where = f"{reply.request.method} {without_query(reply.request.url)}"
    if status in (401, 403):
        advice = (
            deployment.credentials.explain_denial(now)
            if deployment.credentials
            else "The connection has no credentials: give it an API token."
        )
        cause = f"Refused with {status}{f': {detail}' if detail else ''}"
        return AccessDeniedError(
            f"{cause}\n{INDENT}{where} in {deployment}\n{INDENT}{advice}", status=status, detail=detail
        )
    reason = f" It says: {detail.rstrip('.')}." if detail else ""
    if status in (404, 405) and not is_json_object(reply.response):
        return not_airflow(reply)
    kind, text = _ERRORS.get(status, (TargetError, f"answered {where} with {status}."))
    if status in UNAVAILABLE_STATUSES or status >= 500:
        kind, text = TargetUnavailableError, f"cannot answer now: {where} got {status}."
    if status == 404 and is_missing_endpoint(reply.response):
        text = f"has no such endpoint: {where}."
    text = f"{deployment} {text.replace('{about}', about)}"
    error = kind(f"{text} {detail}" if kind is InvalidRequestError else text + reason, status=status, detail=detail)
    if isinstance(error, ConflictError):
        error.resent = reply.response.resent
    return error


def not_airflow(reply: Reply) -> NotAirflowError:
    """Make the error for a reply that no Airflow sends."""
    title = reply.title()
    page = "an HTML page" if is_html(reply.response) else beginning(reply.body_without_secrets())
    return NotAirflowError(
        f"{without_query(reply.request.url)} is no Airflow REST API: it answered {reply.status} with {page}"
        f"{f' titled {title!r}' if title else ''}. Check Host of connection {reply.deployment.conn_id!r} "
        "(the Deployment URL, without anything behind it), and that the token is of this Deployment: "
        "a login page or a proxy answers like this, and Airflow's UI where an endpoint does not exist."
    )


def unexpected(
    reply: Reply, expected: str, kind: type[UnexpectedAnswerError] = UnexpectedAnswerError
) -> UnexpectedAnswerError:
    """
    Make the error for a reply of another form than the API describes.

    :param reply: the reply
    :param expected: what was expected
    :param kind: class of the error
    """
    return kind(
        f"{reply.deployment} answered {reply.request.method} {without_query(reply.request.url)} with {reply.status}, "
        f"expected {expected}, but got {beginning(reply.body_without_secrets())}"
    )


def redirect_refused(reply: Reply, url: str) -> NotAirflowError:
    """
    Make the error for a redirect that is not followed.

    :param reply: the reply
    :param url: the URL that it redirects to
    """
    try:
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:  # it is not a URL
        shown = without_query(url).rpartition("@")[2]
    return NotAirflowError(
        reply.hide_secrets(
            f"{reply.deployment} did not answer: {reply.request.method} {without_query(reply.request.url)} is "
            f"redirected to {plain(shown)}. "
            "A redirect to a login page means that the token is missing or wrong; "
            "otherwise put the URL that it points to into the connection's Host."
        )
    )


def similar_ids(wanted: str, ids: Iterable[str]) -> list[str]:
    """Find up to five ids that are similar to the wanted one, the most similar first."""
    unique = {name.lower(): name for name in ids if name != wanted}
    found = difflib.get_close_matches(wanted.lower(), unique, n=5, cutoff=0.6)
    return [unique[name] for name in found]

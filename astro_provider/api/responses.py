"""What a response shows about its sender: the API version, an HTML page, a refused token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.parsing import parse_json

if TYPE_CHECKING:
    from astro_provider.api.flow import Response
    from astro_provider.api.types import JSON

MAX_RETRY_AFTER_SECONDS = 30.0
"""The longest pause that a ``Retry-After`` header can request."""

UNAVAILABLE_STATUSES = (408, 421, 425, 429)
"""Transient statuses below 500: request timeout, misdirected request, too early, too many requests."""

_NO_ROUTE = {"detail": "Not Found"}
_NO_METHOD = {"detail": "Method Not Allowed"}


def is_token_refused(response: Response) -> bool:
    """Whether a new token might help: Airflow 3 sends 401 for an expired token, 403 for one signed with an old key."""
    return response.status == 401 or (response.status == 403 and b"Invalid JWT token" in response.body)


def is_html(response: Response) -> bool:
    """Whether a response is an HTML page."""
    return "html" in response.headers.get("content-type", "") or response.body[:200].lstrip().lower().startswith(
        (b"<!doctype html", b"<html")
    )


def is_json_object(response: Response) -> bool:
    """Whether the body of a response is a JSON object."""
    return isinstance(json_of(response), dict)


def is_other_api_version(response: Response) -> bool:
    """
    Whether a response shows that the target has the other API version.

    Airflow 2 responds to paths of v2 with 404 and an HTML page. Airflow 3 responds to paths of v1 with 404 and a JSON
    body that says so if the method is GET, and with 405 otherwise. The body of this 405 has only a ``detail``; that of
    Airflow 2 has a ``title`` as well.
    """
    if response.status == 404 and is_html(response):
        return True
    if response.status not in (404, 405):
        return False
    return json_of(response) == _NO_METHOD if response.status == 405 else is_removed_api(response)


def is_unknown_route(response: Response) -> bool:
    """Whether a response to a path that does not exist comes from Airflow 3 itself, and not from a proxy."""
    return json_of(response) in (_NO_ROUTE, _NO_METHOD)


def is_missing_endpoint(response: Response) -> bool:
    """
    Whether Airflow itself responds that a path, or its method, does not exist, and not that a resource does not.

    Measured: 2.11.2, whose responses about resources have another ``type``, and 3.3.2, which responds so to other
    methods than GET.
    """
    raw = json_of(response)
    if isinstance(raw, dict) and raw.get("type") == "about:blank":
        return raw.get("title") in ("Not Found", "Method Not Allowed")
    return raw == _NO_METHOD


def is_removed_api(response: Response) -> bool:
    """Whether a response is that of Airflow 3 to a GET request for a path of v1."""
    raw = json_of(response)
    return isinstance(raw, dict) and str(raw.get("error")).startswith("/api/v1 has been removed")


def json_of(response: Response) -> JSON:
    """Return the parsed body of a response; ``None`` if it is not JSON."""
    try:
        return parse_json(response.body)
    except (ValueError, RecursionError):
        return None


def retry_after(response: Response) -> float | None:
    """Return the seconds of the ``Retry-After`` header, at most 30; ``None`` if there is no number."""
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), MAX_RETRY_AFTER_SECONDS) if seconds.isascii() and seconds.isdigit() else None

"""What an answer shows of who gave it: which API version, an HTML page, a refused token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.parsing import parse_json

if TYPE_CHECKING:
    from astro_provider.api.flow import Response
    from astro_provider.api.types import JSON

MAX_RETRY_AFTER_SECONDS = 30.0

UNAVAILABLE_STATUSES = (408, 421, 425, 429)
"""Statuses below 500 that a proxy answers with for reasons that pass: timeout, misdirected, too early, too many."""

_NO_ROUTE = {"detail": "Not Found"}
_NO_METHOD = {"detail": "Method Not Allowed"}


def is_token_refused(response: Response) -> bool:
    """Whether another token may help: Airflow 3 answers 401 to an expired one, 403 to one signed with an old key."""
    return response.status == 401 or (response.status == 403 and b"Invalid JWT token" in response.body)


def is_html(response: Response) -> bool:
    """Say whether an answer is an HTML page."""
    return "html" in response.headers.get("content-type", "") or response.body[:200].lstrip().lower().startswith(
        (b"<!doctype html", b"<html")
    )


def is_json_object(response: Response) -> bool:
    """Say whether the body of an answer is a JSON object."""
    return isinstance(json_of(response), dict)


def is_other_api_version(response: Response) -> bool:
    """
    Say whether an answer shows that the target has the other API version.

    Airflow 2 answers v2 paths with an HTML 404. Airflow 3 answers v1 paths with a JSON 404 that says so where the
    method is GET, and with 405 otherwise; its 405 has only a detail, Airflow 2's has a title as well.
    """
    if response.status == 404 and is_html(response):
        return True
    if response.status not in (404, 405):
        return False
    return json_of(response) == _NO_METHOD if response.status == 405 else is_removed_api(response)


def is_unknown_route(response: Response) -> bool:
    """Say whether this is how Airflow 3 itself answers a path that it does not have, and no proxy before it."""
    return json_of(response) in (_NO_ROUTE, _NO_METHOD)


def is_removed_api(response: Response) -> bool:
    """Say whether this is how Airflow 3 answers GET requests for v1 paths."""
    raw = json_of(response)
    return isinstance(raw, dict) and str(raw.get("error")).startswith("/api/v1 has been removed")


def json_of(response: Response) -> JSON:
    """Return the body of an answer as JSON; ``None`` where it is none."""
    try:
        return parse_json(response.body)
    except (ValueError, RecursionError):
        return None


def retry_after(response: Response) -> float | None:
    """Say after how many seconds the target wants the request again; ``None`` where it does not say."""
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), MAX_RETRY_AFTER_SECONDS) if seconds.isascii() and seconds.isdigit() else None

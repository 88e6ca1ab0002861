"""What errors say: reasons taken from answers, titles of pages, similar ids, and what to do."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from astro_provider.api.credentials import AuthorizationHeader
from astro_provider.api.tokens import expiry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astro_provider.api.credentials import Credentials
    from astro_provider.api.types import JSON

_BEGINNING = 200
_MAX_PAGE_BYTES = 100_000
_TITLE = re.compile(rb"<title\b[^<>]*>", re.IGNORECASE)
_HEADING = re.compile(rb"<h1\b[^<>]*>", re.IGNORECASE)


def beginning(body: bytes) -> str:
    """Show the first few characters of an answer, or that it is empty."""
    text = body[: _BEGINNING * 4].decode("utf-8", "replace").strip()
    if not text:
        return "an empty answer"
    return repr(text[:_BEGINNING] + ("…" if len(text) > _BEGINNING or len(body) > _BEGINNING * 4 else ""))


def page_title(body: bytes) -> str:
    """Get the title of an HTML page, or its first heading; empty where it has neither."""
    page = body[:_MAX_PAGE_BYTES]
    for opening, closing in ((_TITLE, b"</title"), (_HEADING, b"</h1")):
        # One search for each tag: a page that opens many and closes none would cost a second per 40 KB otherwise.
        if (start := opening.search(page)) and (end := page.lower().find(closing, start.end())) >= 0:
            return " ".join(page[start.end() : end].decode("utf-8", "replace").split())[:_BEGINNING]
    return ""


def reasons(body: bytes) -> str:
    """Take the target's own reasons out of an error, v1's or v2's form, a field a clause."""
    try:
        raw: JSON = json.loads(body)
    except (ValueError, RecursionError):
        return beginning(body) if body.strip() else ""
    if not isinstance(raw, dict):
        return beginning(body)
    detail = raw.get("detail") or raw.get("error") or raw.get("title") or raw.get("message")
    if isinstance(detail, list):
        text = "; ".join(_field_reason(item) for item in detail)
    elif isinstance(detail, dict):
        text = "; ".join(str(value) for key, value in detail.items() if key in ("reason", "message", "detail")) or (
            json.dumps(detail)
        )
    else:
        text = str(detail or "")
    return text


def _field_reason(item: JSON) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    path = ".".join(str(part) for part in where if part != "body") if isinstance(where, list) else ""
    return f"{path}: {item.get('msg')}" if path else str(item.get("msg"))


def access_denied(credentials: Credentials | None, now: float) -> str:
    """
    Say what a 401 or 403 means and what to do about it.

    The two are not told apart: Airflow 3 answers 401 to an expired token and 403 to a wrong one.

    :param credentials: those of the connection
    :param now: seconds since the epoch
    """
    if credentials is None:
        return "The connection has no credentials: give it an API token."
    expired = expiry(credentials.value) if isinstance(credentials, AuthorizationHeader) else None
    if expired is not None and expired.timestamp() <= now:
        return (
            f"The token expired on {expired:%Y-%m-%d at %H:%M:%S} UTC: put a new API token of this Deployment into the "
            "connection."
        )
    return (
        "The token (or login) is wrong, expired, or of another Workspace or Deployment, or its role may not do this: "
        "put an API token of this Deployment into the connection, or give the token's role the permission."
    )


def similar_ids(wanted: str, ids: Iterable[str]) -> list[str]:
    """Find up to five ids that are similar to the wanted one, the most similar first."""
    unique = {name.lower(): name for name in ids if name != wanted}
    found = difflib.get_close_matches(wanted.lower(), unique, n=5, cutoff=0.6)
    return [unique[name] for name in found]

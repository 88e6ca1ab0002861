"""What the body of an error response says: the target's reasons, the title of a page, or its first characters."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_provider.api.types import JSON

_MAX_SHOWN_CHARACTERS = 200
_MAX_PAGE_BYTES = 100_000
_TITLE = re.compile(rb"<title\b[^<>]*>", re.IGNORECASE)
_HEADING = re.compile(rb"<h1\b[^<>]*>", re.IGNORECASE)


def beginning(body: bytes) -> str:
    """Return the first characters of a body as a Python literal; ``an empty answer`` if it is empty."""
    start = body[: _MAX_SHOWN_CHARACTERS * 4]  # a character has up to 4 bytes
    text = start.decode("utf-8", "replace").strip()
    if not text:
        return "an empty answer"
    is_all = len(text) <= _MAX_SHOWN_CHARACTERS and len(start) == len(body)
    return repr(text[:_MAX_SHOWN_CHARACTERS] + ("" if is_all else "…"))


def page_title(body: bytes) -> str:
    """Return the title of an HTML page, or its first heading; empty if it has neither."""
    page = body[:_MAX_PAGE_BYTES]
    for opening, closing in ((_TITLE, b"</title"), (_HEADING, b"</h1")):
        # Two searches per tag, not one pattern for both: on a page that opens many tags and closes none, such a
        # pattern would take a second per 40 KB.
        if (start := opening.search(page)) and (end := page.lower().find(closing, start.end())) >= 0:
            return " ".join(page[start.end() : end].decode("utf-8", "replace").split())[:_MAX_SHOWN_CHARACTERS]
    return ""


def reasons(body: bytes) -> str:
    """
    Extract the target's reasons from an error response of API v1 or v2.

    :param body: the body of the response
    :return: the reasons, one clause per field; the beginning of a body that is not a JSON object; empty if there are
        none
    """
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

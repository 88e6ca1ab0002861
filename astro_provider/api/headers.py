"""Which HTTP headers can be sent. The HTTP libraries would refuse the others with the value in their message."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_EACH_REQUEST = ("content-length", "transfer-encoding")


def header_text(value: object) -> str:
    """Write the value of a header as it is sent: as text, without blanks around it."""
    return str(value).strip()


def header_problem(name: str, value: object) -> str | None:
    """
    Say why a header cannot be sent, without showing its value.

    :param name: its name
    :param value: its value; what is no text is sent as text
    :return: the reason; ``None`` where it can be sent
    """
    if not _NAME.fullmatch(name):
        return "it is sent as a header, but is no name of a header"
    if name.lower() in _OF_EACH_REQUEST:
        return "it is sent as a header, but this one depends on each request; leave it out"
    if isinstance(value, (dict, list)):
        return f"it is sent as a header: expected a text, got {type(value).__name__}"
    text = header_text(value)
    if not text.isprintable() or not text.isascii():
        return "it is sent as a header and has a line break or a non-ASCII character"
    return None

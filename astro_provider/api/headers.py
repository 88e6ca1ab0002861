"""
Which HTTP headers can be sent.

They are checked here because the errors of the HTTP libraries contain the value of a header, which can be a secret.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SET_PER_REQUEST = ("content-length", "transfer-encoding")


def header_text(value: object) -> str:
    """Return the value of a header as it is sent: as text, without blanks around it."""
    return str(value).strip()


def header_problem(name: str, value: object) -> str | None:
    """
    Return why a header cannot be sent.

    :param name: name of the header
    :param value: value of the header; a number is sent as text
    :return: the reason, which does not contain the value; ``None`` if the header can be sent
    """
    if not _NAME.fullmatch(name):
        return "it is sent as a header, but is no name of a header"
    if name.lower() in _SET_PER_REQUEST:
        return "it is sent as a header, but this one depends on each request; leave it out"
    if isinstance(value, (dict, list)):
        return f"it is sent as a header: expected a text, got {type(value).__name__}"
    text = header_text(value)
    if not text.isprintable() or not text.isascii():
        return "it is sent as a header and has a line break or a non-ASCII character"
    return None

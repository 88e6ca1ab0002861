"""Rendered templates: which values count as empty."""

from __future__ import annotations


def is_empty(value: object) -> bool:
    """Whether a value is ``None``, or a rendered template without a value: blank text or ``"None"``."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))

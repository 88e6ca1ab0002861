"""What counts as not given."""

from __future__ import annotations


def is_empty(value: object) -> bool:
    """Say whether a value is ``None``, or what a template makes of nothing: blank text or ``"None"``."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))

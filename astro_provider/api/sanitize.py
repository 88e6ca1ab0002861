"""
Sanitizes what a target sends, for logs, errors and results.

A text for a log has no forged lines, no terminal escapes and no credentials; a result has no credentials.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.deployment import Deployment
    from astro_provider.api.types import JSON

CONTINUATION = "    "
"""Indentation of all lines of a text but the first one, so that none looks like a line of the log itself."""

MIN_SECRET_IN_DATA = 8
"""Length of the shortest credential that is replaced in results. A shorter one, e.g. ``admin``, can be a usual word."""

MIN_SECRET_IN_IDS = 16
"""Length of the shortest credential that is replaced in ids and states. They might contain a shorter one by chance."""

_ID_FIELDS = frozenset({"dag_id", "dag_run_id", "run_id", "task_id", "state", "run_type", "name", "dag_display_name"})
_TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_SECRET_HEADER = re.compile(r"auth|cookie|credential|key|password|secret|session|token", re.IGNORECASE)


def plain(text: str) -> str:
    """
    Make a text of a target safe to print.

    :param text: the text
    :return: the text without terminal escapes. Its lines are indented except for the first, and other characters that
        cannot be printed are replaced by Python escapes
    """
    if text.isprintable():
        return text
    lines = [_printable(line).rstrip() for line in _TERMINAL_ESCAPE.sub("", text).splitlines()]
    return f"\n{CONTINUATION}".join(line for line in lines if line)


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(
        each if each.isprintable() else " " if each.isspace() else each.encode("unicode_escape").decode()
        for each in line
    )


def hide_secrets(text: str, secrets: Sequence[str]) -> str:
    """
    Replace every credential in a text by ``***``, because a target can send back what it was sent.

    :param text: the text
    :param secrets: the credentials
    """
    # The longest one first, because one credential can contain another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets_in_data(deployment: Deployment, fetched: Sequence[str] = ()) -> list[str]:
    """
    Return the secrets that are replaced in results: credentials, and headers whose name indicates a credential.

    Other headers of the connection are replaced in messages only, because their values (a team, a language) can be
    part of the data.

    :param deployment: the target
    :param fetched: credentials that are not in its connection
    :return: texts of ``MIN_SECRET_IN_DATA`` characters or more, longest first
    """
    headers = {name: value for name, value in deployment.headers.items() if _SECRET_HEADER.search(name)}
    secrets = {*replace(deployment, headers=headers).secrets, *fetched}
    return sorted((secret for secret in secrets if len(secret) >= MIN_SECRET_IN_DATA), key=len, reverse=True)


def might_contain(body: bytes, secrets: Sequence[str]) -> bool:
    """Whether a JSON text might contain one of the secrets, unchanged or with escapes; a quick check before parsing."""
    return b"\\u" in body or b"\\/" in body or any(secret.encode() in body for secret in secrets)


def without_secrets(raw: JSON, secrets: Sequence[str], field: str = "") -> JSON:
    """
    Replace the secrets in parsed JSON, keys included.

    :param raw: parsed JSON
    :param secrets: the secrets, longest first
    :param field: the key whose value ``raw`` is
    :return: a copy with ``***`` in place of each secret
    """
    if isinstance(raw, str):
        minimum = MIN_SECRET_IN_IDS if field in _ID_FIELDS else 0
        for secret in secrets:
            if len(secret) >= minimum:
                raw = raw.replace(secret, "***")
        return raw
    if isinstance(raw, list):
        return [without_secrets(item, secrets, field) for item in raw]
    if isinstance(raw, dict):
        return {
            str(without_secrets(key, secrets)) if key not in _ID_FIELDS else key: without_secrets(item, secrets, key)
            for key, item in raw.items()
        }
    return raw

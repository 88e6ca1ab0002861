"""What a path of the REST API names, in words, such as ``variable 'x'`` or ``dag run 'r' of dag 'd'``."""

from __future__ import annotations

from urllib.parse import unquote

_COLLECTIONS = {
    "assets": "asset",
    "backfills": "backfill",
    "connections": "connection",
    "dagRuns": "dag run",
    "dagSources": "source of dag",
    "dagVersions": "version",
    "dags": "dag",
    "datasets": "dataset",
    "eventLogs": "event log",
    "importErrors": "import error",
    "pools": "pool",
    "roles": "role",
    "taskInstances": "task instance",
    "tasks": "task",
    "users": "user",
    "variables": "variable",
    "xcomEntries": "XCom",
}
"""The collections whose next segment is an id, and the word for what the id names."""

_NO_IDS = {"~", "aliases", "events", "list", "test"}
"""Segments after the name of a collection that are no ids."""


def resource_name(path: str) -> str | None:
    """
    Name the resource that a path leads to, or that the last part of it is about.

    :param path: percent-encoded path relative to ``/api/vN/``
    :return: the words; ``None`` if the path contains no id of a known collection
    """
    segments = path.partition("?")[0].strip("/").split("/")
    names: list[str] = []
    while len(segments) > 1:
        collection, name, *segments = segments
        if collection not in _COLLECTIONS or name in _NO_IDS:
            break
        names.insert(0, f"{_COLLECTIONS[collection]} {unquote(name)!r}")
    return " of ".join(names) or None

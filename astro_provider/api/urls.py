"""Paths of endpoints and links: ids are percent-encoded here, and nowhere else."""

from __future__ import annotations

from urllib.parse import quote

from astro_provider.api.errors import RequestNotPossible


def encoded(text: str) -> str:
    """Percent-encode a text, slashes included, for a path or a query."""
    return quote(text, safe="")


def segment(value: str) -> str:
    """
    Percent-encode an id for one segment of a path.

    :param value: the id of a dag, run, task or XCom
    :raise RequestNotPossible: the id is empty or a dot segment, which HTTP libraries and servers resolve even if they
        are percent-encoded
    """
    if value in ("", ".", ".."):
        raise RequestNotPossible(f"an id of {value!r} cannot be part of a URL")
    return encoded(value)


def dag_path(dag_id: str) -> str:
    """Return the path of a dag, relative to ``/api/vN/``; ``~`` stands for all dags."""
    return f"dags/{segment(dag_id)}"


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a dag run, relative to ``/api/vN/``; ``~`` stands for all runs."""
    return f"{dag_path(dag_id)}/dagRuns/{segment(run_id)}"


def task_instance_path(dag_id: str, run_id: str, task_id: str) -> str:
    """Return the path of a task instance, relative to ``/api/vN/``."""
    return f"{run_path(dag_id, run_id)}/taskInstances/{segment(task_id)}"


def without_query(url: str) -> str:
    """Remove the query string of a URL for a message: it is long and can hold private values."""
    return url.partition("?")[0]

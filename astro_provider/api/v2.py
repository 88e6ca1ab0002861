"""REST API v2 (Airflow 3): what it names things, and how its answers become ours."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from astro_provider.api.reading import mapping, readable
from astro_provider.api.types import DagRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, LogEntry, TaskInstance

NAME: ApiVersion = "v2"
_BETWEEN_ENTRIES = re.compile(r"\}\s*,\s*(?=\{)")
_DECODER = json.JSONDecoder()
XCOM_PARAMS: dict[str, JSON] = {}


def trigger_body(fields: dict[str, JSON]) -> dict[str, JSON]:
    """Body of a trigger: the key ``logical_date`` is required, null means none."""
    given = {key: value for key, value in fields.items() if value is not None}
    return {"logical_date": None, **given}


def run_filters(filters: dict[str, JSON]) -> dict[str, JSON]:
    """Query parameters for a list of dag runs."""
    return filters


def finished_runs_body(dag_ids: list[str], states: list[str], ended_after: str, due_after: str) -> dict[str, JSON]:
    """Body of a list of runs of several dags that ended after a time; ``run_after`` is indexed, ``end_date`` is not."""
    return {"dag_ids": [*dag_ids], "states": [*states], "end_date_gte": ended_after, "run_after_gte": due_after}


def clear_run(dag_path: str, run_path: str, run_id: str, *, only_failed: bool) -> tuple[str, dict[str, JSON]]:
    """Path and body that clear a run: all of its tasks, or the failed ones."""
    return f"{run_path}/clear", {"dry_run": False, "only_failed": only_failed}


def task_keys(instances: Sequence[TaskInstance]) -> list[JSON]:
    """How a request to clear tasks names them: by task id, and map index of a mapped task."""
    return [
        instance["task_id"] if instance["map_index"] < 0 else [instance["task_id"], instance["map_index"]]
        for instance in instances
    ]


def group_filter(group_id: str | None) -> dict[str, JSON]:
    """Query parameters that list the task instances of a group (Airflow 3.1.8+; older ones list all of the run)."""
    return {"task_group_id": group_id}


def dag_run(raw: JSON) -> DagRun:
    """Read a dag run."""
    run = readable(mapping(raw, "a dag run", dag_id=str, dag_run_id=str, state=str))
    absent = dict.fromkeys(DagRun.__annotations__)
    return cast("DagRun", {**absent, **run})


def task_instance(raw: JSON) -> TaskInstance:
    """Read a task instance."""
    instance = readable(
        mapping(raw, "a task instance", dag_id=str, dag_run_id=str, task_id=str, map_index=int, try_number=int)
    )
    return cast("TaskInstance", {**dict.fromkeys(("state", "start_date", "end_date")), **instance})


def log_entries(raw: JSON) -> list[LogEntry]:
    """Read a task log: structured entries, or lines of text where the log store keeps text."""
    content = mapping(raw, "a task log", content=list)["content"]
    assert isinstance(content, list)  # mapping() saw to it; this tells the type checker
    return [_log_entry(entry) for entry in content]


def end_of_log(text: str) -> list[LogEntry]:
    """Read the end of a task log: the entries that are whole, of the JSON of many."""
    entries: list[LogEntry] = []
    boundary = _BETWEEN_ENTRIES.search(text)
    while boundary is not None:
        position = boundary.end()
        # What looks like an entry may be a frame of a traceback, or be written inside of a text.
        with suppress(ValueError, RecursionError):
            raw, position = _DECODER.raw_decode(text, position)
            if isinstance(raw, dict) and isinstance(raw.get("event"), str):
                entries.append(_log_entry(raw))
            position -= 1  # the bracket that ends an entry begins what is between it and the next one
        boundary = _BETWEEN_ENTRIES.search(text, position)
    return entries


def _log_entry(raw: JSON) -> LogEntry:
    if isinstance(raw, str):
        return {"event": raw, "timestamp": None, "level": None, "error": None}
    entry = mapping(raw, "a log entry", event=str)
    text = {key: value if isinstance(value := entry.get(key), str) else None for key in ("timestamp", "level")}
    return {
        "event": cast("str", entry["event"]),
        "timestamp": text["timestamp"],
        "level": text["level"],
        "error": _exception(entry.get("error_detail")),
    }


def _exception(detail: JSON) -> str | None:
    """Take class and message of the exception that was raised last (the first of a chain)."""
    if not isinstance(detail, list) or not detail or not isinstance(detail[0], dict):
        return None
    return f"{detail[0].get('exc_type')}: {detail[0].get('exc_value')}"


def run_url(deployment_url: str, dag_id: str, run_id: str) -> str:
    """Where the UI shows a dag run."""
    return f"{deployment_url}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

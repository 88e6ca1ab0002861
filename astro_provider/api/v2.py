"""REST API v2 (Airflow 3): the names it uses, and how its responses are read."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from astro_provider.api.parsing import NotJSONError, mapping, with_valid_fields
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.api.types import DagRun
from astro_provider.api.urls import encoded, run_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, JSONInput, LogEntry, TaskInstance

NAME: ApiVersion = "v2"

XCOM_PARAMS: dict[str, JSONInput] = {}
"""Query parameters of an XCom."""

FINISHED_RUNS: dict[str, JSONInput] = {"states": FINISHED_DAG_RUN_STATES}
"""Filter that a list of finished runs has in addition to the filter by end date."""

WITH_STALE_DAGS: dict[str, JSONInput] = {"exclude_stale": False}
"""Filter of a list of dags that includes those whose file does not exist any more."""

FILTERS_BY_GROUP = True
"""Whether a list of task instances has a filter by task group: Airflow 3.1.8 and later; earlier ones ignore it."""

_BETWEEN_ENTRIES = re.compile(r"\}\s*,\s*(?=\{)")
_DECODER = json.JSONDecoder()


def trigger_body(fields: Mapping[str, JSONInput], *, now: str | None = None) -> dict[str, JSONInput]:
    """
    Make the body of a request that triggers a dag run.

    Fields that are ``None`` are left out, except ``logical_date``: the key is required, and null means none.

    :param fields: the fields
    :param now: the current time, if it is the logical date
    """
    given = {key: value for key, value in fields.items() if value is not None}
    return {"logical_date": now, **given}


def run_filters(filters: Mapping[str, JSONInput]) -> dict[str, JSONInput]:
    """Return the filters of a list of runs unchanged."""
    return {**filters}


def clear_run(dag_id: str, run_id: str, *, only_failed: bool) -> tuple[str, dict[str, JSONInput]]:
    """Return path and body of a request that clears all tasks of a run, or only the failed ones."""
    return f"{run_path(dag_id, run_id)}/clear", {"dry_run": False, "only_failed": only_failed}


def task_keys(instances: Sequence[TaskInstance]) -> list[JSONInput]:
    """Name task instances in a request that clears them: by task id, and by map index if the task is mapped."""
    return [
        instance["task_id"] if instance["map_index"] < 0 else [instance["task_id"], instance["map_index"]]
        for instance in instances
    ]


def group_filter(group_id: str | None) -> dict[str, JSONInput]:
    """Return the query parameters that list only the task instances of a group; see ``FILTERS_BY_GROUP``."""
    return {"task_group_id": group_id}


def dag_run(raw: JSON) -> DagRun:
    """Read a dag run."""
    run = with_valid_fields(mapping(raw, "a dag run", dag_id=str, dag_run_id=str, state=str))
    absent = dict.fromkeys(DagRun.__annotations__)
    return cast("DagRun", {**absent, **run})


def task_instance(raw: JSON) -> TaskInstance:
    """Read a task instance."""
    instance = with_valid_fields(
        mapping(raw, "a task instance", dag_id=str, dag_run_id=str, task_id=str, map_index=int, try_number=int)
    )
    return cast("TaskInstance", {**dict.fromkeys(("state", "start_date", "end_date")), **instance})


def xcom_value(value: JSON) -> JSON:
    """
    Return the value of an XCom as JSON. A tuple becomes a list.

    Measured: 3.3.2 represents a value that JSON does not have as a dict with ``__classname__`` and ``__data__``.

    :param value: the value as the target represents it
    :raise NotJSONError: the value is, or contains, one that JSON does not have
    """
    if isinstance(value, list):
        return [xcom_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if (name := value.get("__classname__")) is None:
        return {key: xcom_value(item) for key, item in value.items()}
    if name == "builtins.tuple":
        return xcom_value(value.get("__data__"))
    raise NotJSONError(str(name))


def log_entries(raw: JSON) -> list[LogEntry]:
    """Read a task log, which is structured entries, or lines of text if the log store keeps text."""
    content = mapping(raw, "a task log", content=list)["content"]
    assert isinstance(content, list)  # mapping() checks it; this is for the type checker
    return [_log_entry(entry) for entry in content]


def end_of_log(text: str) -> list[LogEntry]:
    """
    Read the last part of a task log.

    :param text: the end of the response: JSON whose beginning is missing
    :return: the entries that are complete
    """
    entries: list[LogEntry] = []
    boundary = _BETWEEN_ENTRIES.search(text)
    while boundary is not None:
        position = boundary.end()
        # Braces also separate the frames of a traceback, and can be part of a message.
        with suppress(ValueError, RecursionError):
            raw, position = _DECODER.raw_decode(text, position)
            if isinstance(raw, dict) and isinstance(raw.get("event"), str):
                entries.append(_log_entry(raw))
            position -= 1  # the next boundary begins with the brace that ends this entry
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
    """Return class and message of the exception that was raised last, which is the first of the chain."""
    if not isinstance(detail, list) or not detail or not isinstance(detail[0], dict):
        return None
    return f"{detail[0].get('exc_type')}: {detail[0].get('exc_value')}"


def run_url(deployment_url: str, dag_id: str, run_id: str) -> str:
    """Return the URL of a dag run in the target's UI."""
    return f"{deployment_url}/dags/{encoded(dag_id)}/runs/{encoded(run_id)}"

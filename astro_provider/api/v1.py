"""REST API v1 (Airflow 2): what it names things, and how its answers become ours."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.reading import mapping, readable
from astro_provider.api.types import DagRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, LogEntry, TaskInstance

NAME: ApiVersion = "v1"
# v1 answers with text unless told otherwise (Airflow 2.10+).
XCOM_PARAMS: dict[str, JSON] = {"stringify": False}

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_MEANT = {"n": "\n", "r": "\r", "t": "\t"}
_V2_ONLY = ("run_after", "partition_key")


def trigger_body(fields: dict[str, JSON]) -> dict[str, JSON]:
    """Body of a trigger: an unset field is left out, as null is refused."""
    given: dict[str, JSON] = {key: value for key, value in fields.items() if value is not None}
    for name in _V2_ONLY:
        if name in given:
            raise RequestNotPossible(f"{name} needs Airflow 3 in the target; this one runs Airflow 2 (REST API v1)")
    return given


def run_filters(filters: dict[str, JSON]) -> dict[str, JSON]:
    """Query parameters for a list of dag runs; ``execution_date`` stands for ``logical_date`` and ``run_after``."""
    renamed = {_v1_name(key): value for key, value in filters.items()}
    order = renamed.get("order_by")
    if isinstance(order, str):
        renamed["order_by"] = order[: -len(order.lstrip("-"))] + _v1_name(order.lstrip("-"))
    return renamed


def _v1_name(name: str) -> str:
    return name.replace("logical_date", "execution_date").replace("run_after", "execution_date")


def finished_runs_body(dag_ids: list[str], states: list[str], ended_after: str, due_after: str) -> dict[str, JSON]:
    """
    Body of a list of runs of several dags that ended after a time.

    Without the states, which Airflow 2.1 and 2.2 refuse: what has not finished has no end date either.
    """
    return {"dag_ids": [*dag_ids], "end_date_gte": ended_after, "execution_date_gte": due_after}


def clear_run(dag_path: str, run_path: str, run_id: str, *, only_failed: bool) -> tuple[str, dict[str, JSON]]:
    """Path and body that clear a run: all of its tasks, or the failed ones."""
    if not only_failed:
        return f"{run_path}/clear", {"dry_run": False}
    return f"{dag_path}/clearTaskInstances", {
        "dry_run": False,
        "dag_run_id": run_id,
        "only_failed": True,
        "reset_dag_runs": True,
    }


def task_keys(instances: Sequence[TaskInstance]) -> list[JSON]:
    """How a request to clear tasks names them: by task id, which means all instances of a mapped task."""
    return [*dict.fromkeys(instance["task_id"] for instance in instances)]


def group_filter(group_id: str | None) -> dict[str, JSON]:
    """v1 has no filter by group."""
    return {}


def dag_run(raw: JSON) -> DagRun:
    """Read a dag run; ``execution_date`` becomes ``logical_date``."""
    run = readable(mapping(raw, "a dag run", dag_id=str, dag_run_id=str, state=str))
    execution_date = run.pop("execution_date", None)
    run.pop("external_trigger", None)
    absent = dict.fromkeys(DagRun.__annotations__)
    return cast("DagRun", {**absent, "logical_date": execution_date, **run})


def task_instance(raw: JSON) -> TaskInstance:
    """Read a task instance; ``execution_date`` becomes ``logical_date``."""
    instance = readable(
        mapping(raw, "a task instance", dag_id=str, dag_run_id=str, task_id=str, map_index=int, try_number=int)
    )
    absent = dict.fromkeys(("state", "start_date", "end_date"))
    return cast("TaskInstance", {**absent, "logical_date": instance.pop("execution_date", None), **instance})


def log_entries(raw: JSON) -> list[LogEntry]:
    """Read a task log: text, or the written form of a list of (host, text) pairs."""
    content = cast("str", mapping(raw, "a task log", content=str)["content"])
    try:
        text = "\n".join(str(part[1]) for part in ast.literal_eval(content))
    except (ValueError, SyntaxError, TypeError, LookupError, MemoryError, RecursionError):
        text = content
    return _lines(text)


def end_of_log(text: str) -> list[LogEntry]:
    """Read the end of a task log: of the JSON of a text, which may be the written form of a list of pairs."""
    content = re.sub(r'"\s*,\s*"continuation_token"[^\\]*$', "", text)
    # Whole lines only, and no half of an escape. A newline is written \\n in a text, \\\\n in the form of a list.
    content = content.partition("\\n")[2]
    for _ in range(2):
        content = _ESCAPE.sub(_unescaped, content)
    return _lines(content.removesuffix("')]"))


def _unescaped(found: re.Match[str]) -> str:
    escaped = found[1]
    return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _MEANT.get(escaped, escaped)


def _lines(text: str) -> list[LogEntry]:
    return [{"event": line, "timestamp": None, "level": None, "error": None} for line in text.splitlines()]


def run_url(deployment_url: str, dag_id: str, run_id: str) -> str:
    """Where the UI shows a dag run."""
    return f"{deployment_url}/dags/{quote(dag_id, safe='')}/grid?dag_run_id={quote(run_id, safe='')}"

"""REST API v1 (Airflow 2): the names it uses, and how its responses are read."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, cast

from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.parsing import NotJSONError, mapping, parse_json, with_valid_fields
from astro_provider.api.types import DagRun
from astro_provider.api.urls import dag_path, encoded, run_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, JSONInput, LogEntry, TaskInstance

NAME: ApiVersion = "v1"

XCOM_PARAMS: dict[str, JSONInput] = {"stringify": False}
"""Query parameters of an XCom: v1 of Airflow 2.10 and later returns its value as text by default."""

FINISHED_RUNS: dict[str, JSONInput] = {}
"""
Filter that a list of finished runs has in addition to the filter by end date.

The end date is enough, because only finished runs have one. A filter by state is refused by Airflow 2.1 and 2.2.
"""

WITH_STALE_DAGS: dict[str, JSONInput] = {"only_active": False}
"""Filter of a list of dags that includes those whose file does not exist any more."""

FILTERS_BY_GROUP = False
"""Whether a list of task instances has a filter by task group (in some versions of Airflow at least)."""

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t"}
_STRINGIFIED_OBJECT = re.compile(r"([\w.]+)@version=\d+\(.*\)", re.DOTALL)
_V2_ONLY = ("run_after", "partition_key")


def trigger_body(fields: Mapping[str, JSONInput], *, now: str | None = None) -> dict[str, JSONInput]:
    """
    Make the body of a request that triggers a dag run.

    Fields that are ``None`` are left out, because v1 refuses null.

    :param fields: the fields with their names in API v2
    :param now: the current time, if it is the logical date. It is left out, because v1 takes its own current time
    :raise RequestNotPossible: a field that only API v2 has
    """
    given: dict[str, JSONInput] = {key: value for key, value in fields.items() if value is not None}
    for name in _V2_ONLY:
        if name in given:
            raise _needs_v2(name)
    return given


def run_filters(filters: Mapping[str, JSONInput]) -> dict[str, JSONInput]:
    """
    Rename the filters of a list of runs: v1 has ``execution_date`` for ``logical_date`` and ``run_after``.

    :raise RequestNotPossible: a filter by partition, which only Airflow 3.2 and later have
    """
    if "partition_key_pattern" in filters:
        raise _needs_v2("partition_key")
    renamed = {_v1_name(key): value for key, value in filters.items()}
    order = renamed.get("order_by")
    if isinstance(order, str):
        renamed["order_by"] = order[: -len(order.lstrip("-"))] + _v1_name(order.lstrip("-"))
    return renamed


def _needs_v2(name: str) -> RequestNotPossible:
    return RequestNotPossible(f"{name} needs Airflow 3 in the target; this one runs Airflow 2 (REST API v1)")


def _v1_name(name: str) -> str:
    return name.replace("logical_date", "execution_date").replace("run_after", "execution_date")


def clear_run(dag_id: str, run_id: str, *, only_failed: bool) -> tuple[str, dict[str, JSONInput]]:
    """Return path and body of a request that clears all tasks of a run, or only the failed ones."""
    if not only_failed:
        return f"{run_path(dag_id, run_id)}/clear", {"dry_run": False}
    return f"{dag_path(dag_id)}/clearTaskInstances", {
        "dry_run": False,
        "dag_run_id": run_id,
        "only_failed": True,
        "reset_dag_runs": True,
    }


def task_keys(instances: Sequence[TaskInstance]) -> list[JSONInput]:
    """Name task instances in a request that clears them: by task id, which means all instances of a mapped task."""
    return [*dict.fromkeys(instance["task_id"] for instance in instances)]


def group_filter(group_id: str | None) -> dict[str, JSONInput]:
    """Return no query parameters, because v1 has no filter by task group."""
    return {}


def dag_run(raw: JSON) -> DagRun:
    """Read a dag run; ``execution_date`` becomes ``logical_date``, and keys that only v2 has are null."""
    run = with_valid_fields(mapping(raw, "a dag run", dag_id=str, dag_run_id=str, state=str))
    execution_date = run.pop("execution_date", None)
    run.pop("external_trigger", None)
    absent = dict.fromkeys(DagRun.__annotations__)
    return cast("DagRun", {**absent, "logical_date": execution_date, **run})


def task_instance(raw: JSON) -> TaskInstance:
    """Read a task instance; ``execution_date`` becomes ``logical_date``."""
    instance = with_valid_fields(
        mapping(raw, "a task instance", dag_id=str, dag_run_id=str, task_id=str, map_index=int, try_number=int)
    )
    absent = dict.fromkeys(("state", "start_date", "end_date"))
    return cast("TaskInstance", {**absent, "logical_date": instance.pop("execution_date", None), **instance})


def xcom_value(value: JSON) -> JSON:
    """
    Return the value of an XCom as JSON.

    Measured: 2.11.2 replaces a value that JSON does not have by text: ``datetime.datetime@version=2(..)`` for a
    datetime, ``(1,2)`` for a tuple or set. With ``[core] enable_xcom_pickling``, it replaces every value by its
    ``str``. Text of the last two kinds is recognised only if it is the whole value, because it can also be data.

    :param value: the value as the target represents it
    :raise NotJSONError: the value is, or contains, one that JSON does not have
    """
    if isinstance(value, str):
        if value.startswith("(") and value.endswith(")"):
            raise NotJSONError("tuple or set")
        if _is_python_text(value):
            raise NotJSONError("Python text, as with [core] enable_xcom_pickling")
    _check_objects(value)
    return value


def _is_python_text(text: str) -> bool:
    """Decide whether a text is the ``str`` of a dict or list, and not JSON."""
    if not text.startswith(("{", "[")):
        return False
    try:
        parse_json(text.encode())
    except (ValueError, RecursionError):
        try:
            return isinstance(ast.literal_eval(text), (dict, list, set))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return False
    return False


def _check_objects(value: JSON) -> None:
    if isinstance(value, str) and (found := _STRINGIFIED_OBJECT.fullmatch(value)):
        raise NotJSONError(found[1])
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_objects(item)


def log_entries(raw: JSON) -> list[LogEntry]:
    """Read a task log, which is text, or the ``repr`` of a list of (host, text) pairs."""
    content = cast("str", mapping(raw, "a task log", content=str)["content"])
    try:
        text = "\n".join(str(part[1]) for part in ast.literal_eval(content))
    except (ValueError, SyntaxError, TypeError, LookupError, MemoryError, RecursionError):
        text = content
    return _lines(text)


def end_of_log(text: str) -> list[LogEntry]:
    """
    Read the last part of a task log.

    :param text: the end of the response: JSON that holds a string, which is text or the ``repr`` of a list of pairs
    :return: its lines, without the first one, which is incomplete
    """
    content = re.sub(r'"\s*,\s*"continuation_token"[^\\]*$', "", text)
    # Cut at a line break, so that no escape is cut in half. JSON has \\n for it, and \\\\n inside of a repr.
    content = content.partition("\\n")[2]
    for _ in range(2):
        content = _ESCAPE.sub(_unescaped, content)
    return _lines(content.removesuffix("')]"))


def _unescaped(found: re.Match[str]) -> str:
    escaped = found[1]
    return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _ESCAPED_CHARACTERS.get(escaped, escaped)


def _lines(text: str) -> list[LogEntry]:
    return [{"event": line, "timestamp": None, "level": None, "error": None} for line in text.splitlines()]


def run_url(deployment_url: str, dag_id: str, run_id: str) -> str:
    """Return the URL of a dag run in the target's UI."""
    return f"{deployment_url}/dags/{encoded(dag_id)}/grid?dag_run_id={encoded(run_id)}"

"""The description of a failed run: its failed tasks and their errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import AstroError
from astro_provider.api.flow import Pause
from astro_provider.api.sanitize import plain

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, LogEntry, TaskInstance

MAX_FAILED_TASKS = 5
"""Failed tasks that a description names; each takes a request for its log."""

MAX_REASON_CHARACTERS = 500
"""Characters of an error that are shown."""

MAX_LOG_SECONDS = 10.0
"""If reading a log fails after this time, no other log is requested for ``NO_LOGS_SECONDS``."""

NO_LOGS_SECONDS = 300.0
"""How long no logs are requested from a Deployment that did not send one in time."""

MAX_READING_SECONDS = 60.0
"""How long a flow waits for another flow that reads a log, before it assumes that the other flow is gone."""

LOG_CHECK_SECONDS = 0.1
"""Interval between two checks whether another flow is still reading a log of the same Deployment."""

_RAISED = re.compile(r"^[\w.]*(Error|Exception|Exit|Interrupt|Warning|Timeout|Failed|Fail)\b(:.*)?$")
_ERROR_LEVELS = ("error", "critical")


def describe_failure(client: Client, run: DagRun, *, tasks: list[TaskInstance] | None = None) -> Flow[str]:
    """
    Describe what failed in a dag run: its failed tasks, and the last error in the log of each.

    The flow raises no ``AstroError``. If a list or a log cannot be read, the text says so.

    :param client: the target
    :param run: the dag run
    :param tasks: the failed task instances; ``None`` to get them from the target
    :return: several lines of text
    """
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    if tasks is None:
        try:
            instances = yield from client.list_task_instances(dag_id, run_id, state=["failed"])
        except AstroError as error:
            return f"Its failed tasks could not be read: {error}"
        tasks = [instance for instance in instances if instance["state"] == "failed"]
        if not tasks:
            return "None of its tasks failed: it was marked so, or ran into its dagrun_timeout."
    lines = []
    for instance in sorted(tasks, key=lambda task: task["end_date"] or "~")[:MAX_FAILED_TASKS]:
        lines.append(f"  {_named(instance)}: {(yield from _reason(client, instance))}")
    if len(tasks) > MAX_FAILED_TASKS:
        lines.append(f"  and {len(tasks) - MAX_FAILED_TASKS} more")
    return "\n".join(["Failed tasks:", *lines])


def _named(instance: TaskInstance) -> str:
    mapped = f"[{instance['map_index']}]" if instance["map_index"] >= 0 else ""
    return f"{plain(instance['task_id'])}{mapped} (try {instance['try_number']})"


def _reason(client: Client, instance: TaskInstance) -> Flow[str]:
    """
    Find the last error in the log of a failed task, of which only the end is read.

    One log of a Deployment is read at a time, and none for a while after a log was not received in time. A log store
    that hangs would otherwise delay the outcome of every failed run by minutes, and the checks of all other waits.
    """
    if instance["state"] != "failed":
        return str(instance["state"])
    memory = client.memory
    while memory.log_began is not None and 0 <= client.clock() - memory.log_began < MAX_READING_SECONDS:
        yield Pause(LOG_CHECK_SECONDS)
    began = client.clock()
    if 0 < memory.no_logs_until - began <= NO_LOGS_SECONDS:
        return "(its log was not requested, as the last request for a log took too long)"
    memory.log_began = began
    try:
        log = yield from client.call(
            calls.get_end_of_task_log,
            instance["dag_id"],
            instance["dag_run_id"],
            instance["task_id"],
            instance["try_number"],
            instance["map_index"],
        )
    except AstroError as error:
        if client.clock() - began >= MAX_LOG_SECONDS:
            memory.no_logs_until = client.clock() + NO_LOGS_SECONDS
        return f"(its log could not be read: {type(error).__name__})"
    finally:
        memory.log_began = None
    return client.hide_secrets(last_error(log) or "(its log names no error)")[:MAX_REASON_CHARACTERS]


def last_error(entries: list[LogEntry]) -> str | None:
    """
    Find the last error in the log of a failed task.

    :param entries: the log of its last try
    :return: the last of these: class and message of an exception, a line logged as an error, or a line that looks like
        a raised exception; ``None`` if there is none
    """
    found = None
    for entry in entries:
        line = plain(entry["event"]).strip()
        if entry["error"]:
            found = plain(entry["error"])
        elif (entry["level"] or "").lower() in _ERROR_LEVELS or _RAISED.match(line):
            found = line
    return found

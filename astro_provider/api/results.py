"""The result of a finished dag run: what one or several of its tasks returned."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_provider.api.errors import ResultError, TooLargeAnswerError
from astro_provider.api.message import outcome_message
from astro_provider.api.paging import read_start
from astro_provider.api.parsing import NotJSONError
from astro_provider.api.sanitize import plain
from astro_provider.api.xcom_calls import list_xcoms
from astro_provider.api.xcoms import TaskXComs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON, DagRun

MAX_RESULT_BYTES = 1024 * 1024
"""Size of the largest result, as JSON: Airflow stores it in its metadata database."""

MAX_RESULT_RESPONSE_BYTES = 8 * 1024 * 1024
"""
Size of the largest response with a value of a result.

Measured: 2.11.2 indents its JSON, which makes a list of small numbers twice as large, and nested ones larger.
"""

MAX_LISTED_XCOMS = 1000
"""XComs that are listed to find the tasks which have one, if the task that is asked for has none."""

MAX_NAMED_TASKS = 10
"""Tasks with an XCom that an error names."""

_MODULE_PREFIX = re.compile(r"^unusual_prefix_[0-9a-f]{40}_")
"""What Airflow puts in front of the name of a DAG file to make it the name of a module."""


@dataclass(frozen=True)
class ResultRequest:
    """
    Which XComs of a dag run are its result.

    :param task_id: the task whose XCom is the result, or several tasks: then the result is a dict by task id
    :param key: key of the XComs
    """

    task_id: str | Sequence[str]
    key: str


def read_result(client: Client, run: DagRun, request: ResultRequest) -> Flow[JSON]:
    """
    Read the result of a dag run.

    :param client: the target
    :param run: the run
    :param request: the XComs that are the result
    :return: the value of the task, a list of values if it is mapped; for several tasks, a dict of these by task id
    :raise ResultError: there is no result, it is too large, or it is not JSON
    :raise AstroError: another error of the target; ``retryable`` if a retry might help
    """
    reading = _Reading(client, run, request.key)
    if isinstance(request.task_id, str):
        return (yield from reading.read(request.task_id))
    values: dict[str, JSON] = {}
    for task_id in request.task_id:
        values[task_id] = yield from reading.read(task_id)
    return values


class _Reading:
    """Reads the values of a result, and counts their size."""

    def __init__(self, client: Client, run: DagRun, key: str) -> None:
        self._client = client
        self._run = run
        self._key = key
        self._size = 0

    def read(self, task_id: str) -> Flow[JSON]:
        """Read the value of a task; see :func:`read_result`."""
        client, run = self._client, self._run
        xcoms = TaskXComs(
            client, run["dag_id"], run["dag_run_id"], task_id, self._key, max_bytes=MAX_RESULT_RESPONSE_BYTES
        )

        def accept(value: JSON) -> JSON:
            if xcoms.is_text:
                raise self._error(task_id, "Airflow before 2.10 gives it only as text. Update the target to use it")
            try:
                as_json = client.xcom_as_json(value)
                self._size += len(json.dumps(as_json))
            except NotJSONError as error:
                raise self._not_json(task_id, str(error)) from None
            except RecursionError:
                raise self._not_json(task_id, "nested too deeply") from None
            if self._size > MAX_RESULT_BYTES:
                raise self._too_large(task_id)
            return as_json

        try:
            found = yield from xcoms.find(accept)
        except TooLargeAnswerError:
            raise self._too_large(task_id) from None
        if found is None:
            raise (yield from self._missing(task_id))
        return found.value

    def _not_json(self, task_id: str, kind: str) -> ResultError:
        kind = plain(_MODULE_PREFIX.sub("", kind))
        return self._error(
            task_id, f"it is not JSON, but {kind}. Let the task return what JSON has: text, numbers, lists"
        )

    def _too_large(self, task_id: str) -> ResultError:
        return self._error(
            task_id,
            f"it is larger than {MAX_RESULT_BYTES // 1024**2} MiB as JSON, and an XCom is stored in the metadata "
            "database. Let the task write it to an object store, and return its path",
        )

    def _missing(self, task_id: str) -> Flow[ResultError]:
        """Make the error for a task that pushed no XCom; it names those that did."""
        client, run = self._client, self._run
        pages = client.pages(list_xcoms, run["dag_id"], run["dag_run_id"], "~", self._key)
        entries = yield from read_start(pages, MAX_LISTED_XCOMS)
        tasks = sorted({plain(entry["task_id"]) for entry in entries})
        named = ", ".join(map(repr, tasks[:MAX_NAMED_TASKS]))
        if len(tasks) > MAX_NAMED_TASKS:
            named += f" and {len(tasks) - MAX_NAMED_TASKS} more"
        others = f"Tasks of the run that have one: {named}" if tasks else "No task of the run has one"
        return self._error(
            task_id, f"it does not exist: the task returned None, was skipped, or is not in the run. {others}"
        )

    def _error(self, task_id: str, problem: str) -> ResultError:
        dag_id, run_id = self._run["dag_id"], self._run["dag_run_id"]
        details = f"XCom {self._key!r} of task {task_id!r}: {problem}."
        where, url = self._client.deployment, self._client.run_url(dag_id, run_id)
        return ResultError(outcome_message("No result", dag_id, where=where, details=details, run_id=run_id, url=url))

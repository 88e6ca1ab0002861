"""A fake Airflow that stores dags, runs and tasks, and responds as Airflow 2 or Airflow 3 does."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.unit.scripted_server import ScriptedServer
from tests.unit.scripted_target import ScriptedResponse, ScriptedTarget, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.unit.scripted_target import ReceivedRequest

_ALLOWED_RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]+$")
_UNIQUE_CONSTRAINT_ERROR = {
    "reason": "Unique constraint violation",
    "statement": "hidden",
    "orig_error": "hidden",
    "message": "Serious error when handling your request.",
}
"""The detail of Airflow 3's response if a run with the same run id or logical date exists."""


class FakeAirflow(ScriptedTarget):
    """
    Responds from its stored dags, runs and tasks to requests that have no script (see :meth:`ScriptedTarget.on`).

    :ivar dags: for each dag id, whether the dag is paused
    :ivar new_run_states: the states of a new or cleared run, one for each request; the last one stays
    :ivar page_limit: the greatest number of items on a page
    :ivar groups: the task ids of each task group
    :ivar mapped_tasks: the tasks that are mapped although they have no task instance with a map index
    :ivar cleared: run id and ``only_failed`` of each cleared run
    :ivar cleared_tasks: run id, tasks and ``reset_dag_runs`` of each request that cleared some tasks
    """

    def __init__(self, api_version: str = "v2", *arguments: Any, **options: Any) -> None:
        super().__init__(api_version, *arguments, **options)
        self.dags: dict[str, bool] = {"d": False}
        self.stale_dags: set[str] = set()
        self.new_run_states: list[str] = ["queued", "running", "success"]
        self.page_limit = 100
        self.groups: dict[str, list[str]] = {}
        self.cleared: list[tuple[str, bool]] = []
        self.cleared_tasks: list[tuple[str, list[Any], bool]] = []
        self._runs: dict[tuple[str, str], dict[str, Any]] = {}
        self._next_states: dict[tuple[str, str], list[str]] = {}
        self._tasks: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self._logs: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._xcoms: dict[tuple[str, int, str], Any] = {}
        self.mapped_tasks: set[str] = set()

    # Set up and checked by tests.

    def has_run(self, run_id: str, *states: str, dag_id: str = "d", **fields: Any) -> None:
        """Store a run that has these states, one for each request."""
        if self.api_version == "v1" and "logical_date" in fields:
            fields["execution_date"] = fields["logical_date"]
        self._runs[dag_id, run_id] = self.payloads.dag_run(run_id, states[0], dag_id=dag_id, **fields)
        self._next_states[dag_id, run_id] = list(states)

    def has_task(
        self,
        task_id: str,
        state: str | None,
        *,
        run_id: str,
        dag_id: str = "d",
        log: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Store a task instance of a run; ``log`` is the log of its try."""
        instance = self.payloads.task_instance(task_id, state, dag_id=dag_id, dag_run_id=run_id, **fields)
        self._tasks[dag_id, run_id].append(instance)
        if log is not None:
            self._logs[task_id, instance["map_index"], instance["try_number"]] = log

    def has_xcom(self, task_id: str, value: Any, *, key: str = "return_value", map_index: int = -1) -> None:
        """Store an XCom, which all runs share."""
        self._xcoms[task_id, map_index, key] = value

    def end_run(self, run_id: str, state: str = "success", dag_id: str = "d") -> None:
        """End a run now."""
        self._set_state(self._runs[dag_id, run_id], state)
        self._next_states[dag_id, run_id] = [state]

    def end_task(self, task_id: str, state: str = "success", *, run_id: str, dag_id: str = "d") -> None:
        """End a task instance now."""
        for task in self._tasks[dag_id, run_id]:
            if task["task_id"] == task_id:
                task.update(state=state, end_date=self.now())

    def now(self) -> str:
        """Return the time of the target's clock."""
        return (datetime.now(timezone.utc) + timedelta(seconds=self.clock_lead)).isoformat()

    def delete_tasks(self, run_id: str) -> None:
        """Delete the task instances of a run."""
        self._tasks.pop(("d", run_id), None)

    def delete_run(self, run_id: str) -> None:
        """Delete a run."""
        del self._runs["d", run_id]

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs of all dags, by run id."""
        return {run_id: run for (_, run_id), run in self._runs.items()}

    def trigger_bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests to create a run."""
        return [
            received.json
            for received in self.received
            if received.method == "POST" and received.path.endswith("/dagRuns")
        ]

    # Responses.

    def _default_response(self, received: ReceivedRequest) -> ScriptedResponse:
        return self.stored_response(received)

    def stored_response(self, received: ReceivedRequest) -> ScriptedResponse:
        """Return the response that follows from the stored state, even if the endpoint has a script."""
        if received.path == "/auth/token" and received.method == "POST" and self.api_version == "v2":
            return json_response({"access_token": "token-of-a-login"}, 201)
        api = f"/api/{self.api_version}/"
        if not received.path.startswith(api):
            return super()._default_response(received)
        for pattern, handler in self._HANDLERS.items():
            method, _, path = pattern.partition(" ")
            found = re.fullmatch(path, received.path.removeprefix(api))
            if found and method == received.method:
                return handler(self, received, *map(unquote, found.groups()))
        return super()._default_response(received)

    def _missing(self, what: str) -> ScriptedResponse:
        return json_response(self.payloads.error(404, f"{what} was not found"), 404)

    def _version(self, received: ReceivedRequest) -> ScriptedResponse:
        return json_response(self.payloads.version())

    def _page(self, received: ReceivedRequest, key: str, items: list[dict[str, Any]]) -> ScriptedResponse:
        limit = min(int(received.query.get("limit", ["50"])[0]), self.page_limit)
        offset = int(received.query.get("offset", ["0"])[0])
        return json_response(self.payloads.collection(key, *items[offset : offset + limit], total=len(items)))

    def _list_dags(self, received: ReceivedRequest) -> ScriptedResponse:
        part = received.query.get("dag_id_pattern", [""])[0]
        states = {each.lower() == "true" for each in received.query.get("paused", ["true", "false"])}
        lists_stale = "false" in map(
            str.lower, received.query.get("exclude_stale", received.query.get("only_active", []))
        )
        stale = set() if lists_stale else self.stale_dags
        dags = [(d, p) for d, p in sorted(self.dags.items()) if part in d and p in states and d not in stale]
        return self._page(received, "dags", [self.payloads.dag(d, is_paused=p) for d, p in dags])

    def _list_pools(self, received: ReceivedRequest) -> ScriptedResponse:
        return self._page(received, "pools", [self.payloads.pool(name) for name in ("default_pool", "narrow")])

    def _dag(self, received: ReceivedRequest, dag_id: str) -> ScriptedResponse:
        if dag_id not in self.dags:
            return self._missing(f"Dag {dag_id!r}")
        if received.method == "PATCH":
            self.dags[dag_id] = received.json["is_paused"]
        return json_response(self.payloads.dag(dag_id, is_paused=self.dags[dag_id]))

    def _task(self, received: ReceivedRequest, dag_id: str, task_id: str) -> ScriptedResponse:
        known = {task["task_id"] for tasks in self._tasks.values() for task in tasks}
        return json_response(self.payloads.task(task_id)) if task_id in known else self._missing(f"Task {task_id!r}")

    def _trigger(self, received: ReceivedRequest, dag_id: str) -> ScriptedResponse:
        if dag_id not in self.dags:
            return self._missing(f"Dag {dag_id!r}")
        return (self._trigger_v1 if self.api_version == "v1" else self._trigger_v2)(dag_id, **received.json)

    def _trigger_v1(self, dag_id: str, dag_run_id: str | None = None, **fields: Any) -> ScriptedResponse:
        if unknown := {"run_after", "partition_key"} & set(fields):
            return json_response(self.payloads.error(400, f"{{'{unknown.pop()}': ['Unknown field.']}}"), 400)
        date = fields.pop("logical_date", self.now())
        run_id = dag_run_id or f"manual__{date}"
        for run in self._runs_of(dag_id):
            if _are_equal(run["execution_date"], date):
                return self._conflict(
                    f"DAGRun with DAG ID: '{dag_id}' and DAGRun logical date: '{date}' already exists"
                )
        if (dag_id, run_id) in self._runs:
            return self._conflict(f"DAGRun with DAG ID: '{dag_id}' and DAGRun ID: '{run_id}' already exists")
        return self._new(dag_id, run_id, logical_date=date, execution_date=date, **fields)

    def _trigger_v2(self, dag_id: str, dag_run_id: str | None = None, **fields: Any) -> ScriptedResponse:
        if "logical_date" not in fields:
            missing = {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": fields}
            return json_response({"detail": [missing]}, 422)
        run_id = dag_run_id or "manual__2026-01-31T06:00:00+00:00_aBcDeFgH"
        if not _ALLOWED_RUN_ID.match(run_id):
            return json_response(
                self.payloads.error(400, f"The run_id provided '{run_id}' does not match the pattern"), 400
            )
        same_date = any(_are_equal(run["logical_date"], fields["logical_date"]) for run in self._runs_of(dag_id))
        if (dag_id, run_id) in self._runs or same_date:
            return self._conflict(_UNIQUE_CONSTRAINT_ERROR)
        fields.setdefault("run_after", "2026-01-31T06:00:00Z")
        return self._new(dag_id, run_id, **fields)

    def _conflict(self, detail: Any) -> ScriptedResponse:
        return json_response(self.payloads.error(409, detail), 409)

    def _new(self, dag_id: str, run_id: str, **fields: Any) -> ScriptedResponse:
        run = self.payloads.dag_run(
            run_id, "queued", **{**fields, "dag_id": dag_id, "start_date": None, "end_date": None}
        )
        self._runs[dag_id, run_id] = run
        self._queue(run)
        self._next_states[dag_id, run_id] = list(self.new_run_states)
        return json_response(run)

    def _runs_of(self, dag_id: str) -> list[dict[str, Any]]:
        return [run for (dag, _), run in self._runs.items() if dag_id in (dag, "~")]

    def _list_runs(self, received: ReceivedRequest, dag_id: str) -> ScriptedResponse:
        if dag_id not in (*self.dags, "~") and self.api_version == "v2":
            return self._missing(f"Dag {dag_id!r}")
        date = "execution_date" if self.api_version == "v1" else "logical_date"
        runs = self._runs_of(dag_id)
        for bound in ("gte", "lte"):
            if limit := received.query.get(f"{date}_{bound}"):
                runs = [run for run in runs if run[date] and _within(run[date], bound, limit[0])]
        for bound in ("gte", "lte"):
            if limit := received.query.get(f"run_after_{bound}"):
                runs = [run for run in runs if _within(run["run_after"], bound, limit[0])]
        if states := received.query.get("state"):
            runs = [run for run in runs if run["state"] in states]
        if pattern := received.query.get("partition_key_pattern"):
            runs = [run for run in runs if pattern[0].lower() in (run["partition_key"] or "").lower()]
        if limit := received.query.get("end_date_gte"):
            runs = [run for run in runs if run["end_date"] and _within(run["end_date"], "gte", limit[0])]
            return self._page(received, "dag_runs", runs)
        order = received.query.get("order_by", ["dag_run_id"])[0]
        runs.sort(key=lambda run: run[order.lstrip("-")] or "", reverse=order.startswith("-"))
        for run in runs:
            self._advance(run["dag_id"], run["dag_run_id"])
        return self._page(received, "dag_runs", runs)

    def _list_finished_runs(self, received: ReceivedRequest) -> ScriptedResponse:
        due = "execution_date" if self.api_version == "v1" else "run_after"
        runs = self._finished(received.json, received.json.get("states"), self._runs.values())
        for name in {due, "execution_date" if self.api_version == "v1" else "logical_date"}:
            for bound in ("gte", "lte"):
                if limit := received.json.get(f"{name}_{bound}"):
                    runs = [run for run in runs if run[name] and _within(run[name], bound, limit)]
        return self._page_of_body(received, "dag_runs", runs)

    def _list_finished_tasks(self, received: ReceivedRequest) -> ScriptedResponse:
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        for key, name in (("dag_run_ids", "dag_run_id"), ("task_ids", "task_id")):
            if (ids := received.json.get(key)) is not None:
                tasks = [task for task in tasks if task[name] in ids]
        return self._page_of_body(
            received, "task_instances", self._finished(received.json, received.json.get("state"), tasks)
        )

    def _finished(
        self, body: dict[str, Any], states: list[str] | None, items: Iterable[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        since = body.get("end_date_gte")
        of_dags = [item for item in items if item["dag_id"] in body["dag_ids"]]
        in_states = [item for item in of_dags if states is None or item["state"] in states]
        if since is None:
            return in_states
        ended = [item for item in in_states if item["end_date"] and _within(item["end_date"], "gte", since)]
        return sorted(ended, key=lambda item: _parse_date(item["end_date"]))

    def _page_of_body(self, received: ReceivedRequest, key: str, items: list[dict[str, Any]]) -> ScriptedResponse:
        offset, limit = received.json["page_offset"], min(received.json["page_limit"], self.page_limit)
        return json_response(self.payloads.collection(key, *items[offset : offset + limit], total=len(items)))

    def _advance(self, dag_id: str, run_id: str) -> None:
        """Move a run to its next state. A run of a paused dag stays queued."""
        run, states = self._runs[dag_id, run_id], self._next_states[dag_id, run_id]
        if not self.dags.get(dag_id):
            self._set_state(run, states.pop(0) if len(states) > 1 else states[0])

    def _set_state(self, run: dict[str, Any], state: str) -> None:
        if state in ("success", "failed") and run["state"] != state:
            run["end_date"] = self.now()
        if state != "queued" and run["start_date"] is None:
            run["start_date"] = self.now()
        run["state"] = state

    def _run(self, received: ReceivedRequest, dag_id: str, run_id: str) -> ScriptedResponse:
        if (dag_id, run_id) not in self._runs:
            return self._missing(f"Dag run {run_id!r}")
        if received.method == "PATCH":
            self._set_state(self._runs[dag_id, run_id], received.json["state"])
            self._next_states[dag_id, run_id] = [received.json["state"]]
        else:
            self._advance(dag_id, run_id)
        return json_response(self._runs[dag_id, run_id])

    def _clear_run(self, received: ReceivedRequest, dag_id: str, run_id: str) -> ScriptedResponse:
        if (dag_id, run_id) not in self._runs:
            return self._missing(f"Dag run {run_id!r}")
        self._clear(dag_id, run_id, only_failed=received.json.get("only_failed", False))
        return json_response(self._runs[dag_id, run_id])

    def _clear_tasks(self, received: ReceivedRequest, dag_id: str) -> ScriptedResponse:
        run_id = received.json["dag_run_id"]
        if (dag_id, run_id) not in self._runs:
            return self._missing(f"Dag run {run_id!r}")
        if (keys := received.json.get("task_ids")) is not None:
            self._clear_named_tasks(dag_id, run_id, keys, reset_dag_runs=received.json["reset_dag_runs"])
        else:
            self._clear(dag_id, run_id, only_failed=received.json["only_failed"])
        tasks = self._tasks[dag_id, run_id]
        if self.api_version == "v2":
            return json_response(self.payloads.collection("task_instances", *tasks))
        named = ("task_id", "dag_id", "dag_run_id", "execution_date")
        return json_response({"task_instances": [{k: task[k] for k in named} for task in tasks]})

    def _clear(self, dag_id: str, run_id: str, *, only_failed: bool) -> None:
        self.cleared.append((run_id, only_failed))
        self._queue(self._runs[dag_id, run_id])
        self._next_states[dag_id, run_id] = list(self.new_run_states)

    def _clear_named_tasks(self, dag_id: str, run_id: str, keys: list[Any], *, reset_dag_runs: bool) -> None:
        self.cleared_tasks.append((run_id, keys, reset_dag_runs))
        for task in self._tasks[dag_id, run_id]:
            if task["task_id"] in keys or [task["task_id"], task["map_index"]] in keys:
                task["state"] = None
        if reset_dag_runs:
            self._queue(self._runs[dag_id, run_id])
            self._next_states[dag_id, run_id] = list(self.new_run_states)

    def _queue(self, run: dict[str, Any]) -> None:
        """Queue a run: both Airflows delete its dates, and Airflow 3 sets ``queued_at``."""
        run.update(state="queued", start_date=None, end_date=None)
        if self.api_version == "v2":
            run["queued_at"] = self.now()

    def _list_tasks(self, received: ReceivedRequest, dag_id: str, run_id: str) -> ScriptedResponse:
        is_there = dag_id in self.dags if run_id == "~" else (dag_id, run_id) in self._runs
        if not is_there and self.api_version == "v2":  # Airflow 2 returns an empty list
            return self._missing(f"Dag run {run_id!r}")
        of_all_runs = [task for (dag, _), tasks in self._tasks.items() for task in tasks if dag == dag_id]
        tasks = of_all_runs if run_id == "~" else self._tasks[dag_id, run_id]
        if limit := received.query.get("end_date_gte"):
            tasks = [task for task in tasks if task["end_date"] and _within(task["end_date"], "gte", limit[0])]
        if states := received.query.get("state"):
            tasks = [task for task in tasks if task["state"] in states]
        if group := received.query.get("task_group_id"):
            if group[0] not in self.groups:
                detail = {"reason": "not_found", "message": f"Task group {group[0]} not found"}
                return json_response(self.payloads.error(404, detail), 404)  # type: ignore[arg-type]
            tasks = [task for task in tasks if task["task_id"] in self.groups[group[0]]]
        return self._page(received, "task_instances", tasks)

    def _task_instance(
        self, received: ReceivedRequest, dag_id: str, run_id: str, task_id: str, map_index: str = "-1"
    ) -> ScriptedResponse:
        for task in self._tasks[dag_id, run_id]:
            if (task["task_id"], task["map_index"]) == (task_id, int(map_index)):
                return json_response(task)
        return self._missing(f"Task instance {task_id!r}")

    def _log(
        self, received: ReceivedRequest, dag_id: str, run_id: str, task_id: str, try_number: str
    ) -> ScriptedResponse:
        map_index = int(received.query["map_index"][0])
        log = self._logs.get((task_id, map_index, int(try_number)))
        return json_response(log) if log else self._missing("Task instance")

    def _xcom(self, received: ReceivedRequest, dag_id: str, run_id: str, task_id: str, key: str) -> ScriptedResponse:
        map_index = int(received.query.get("map_index", ["-1"])[0])
        if (task_id, map_index, key) not in self._xcoms:
            return self._missing(f"XCom {key!r}")
        value = self._xcoms[task_id, map_index, key]
        return json_response(self.payloads.xcom(value, task_id=task_id, map_index=map_index, key=key))

    def _list_xcoms(self, received: ReceivedRequest, dag_id: str, run_id: str, task_id: str) -> ScriptedResponse:
        (key,) = received.query["xcom_key"]
        found = [(task, index) for task, index, each in sorted(self._xcoms) if each == key and task_id in (task, "~")]
        entries = [self.payloads.xcom_entry(task_id=task, map_index=index, key=key) for task, index in found]
        return self._page(received, "xcom_entries", entries)

    def _list_mapped(self, received: ReceivedRequest, dag_id: str, run_id: str, task_id: str) -> ScriptedResponse:
        mapped = [task for task in self._tasks[dag_id, run_id] if task["task_id"] == task_id and task["map_index"] >= 0]
        if not mapped and task_id not in self.mapped_tasks:
            return self._missing(f"Mapped task {task_id!r}")
        return self._page(received, "task_instances", mapped)

    _HANDLERS: dict[str, Callable[..., ScriptedResponse]] = {
        "GET version": _version,
        "GET dags": _list_dags,
        "GET pools": _list_pools,
        "GET dags/([^/]+)": _dag,
        "PATCH dags/([^/]+)": _dag,
        "GET dags/([^/]+)/tasks/([^/]+)": _task,
        "POST dags/~/dagRuns/list": _list_finished_runs,
        "POST dags/~/dagRuns/~/taskInstances/list": _list_finished_tasks,
        "POST dags/([^/]+)/dagRuns": _trigger,
        "GET dags/([^/]+)/dagRuns": _list_runs,
        "POST dags/([^/]+)/clearTaskInstances": _clear_tasks,
        "GET dags/([^/]+)/dagRuns/([^/]+)": _run,
        "PATCH dags/([^/]+)/dagRuns/([^/]+)": _run,
        "POST dags/([^/]+)/dagRuns/([^/]+)/clear": _clear_run,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances": _list_tasks,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)": _task_instance,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/([0-9]+)": _task_instance,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/logs/([0-9]+)": _log,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/xcomEntries/([^/]+)": _xcom,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/xcomEntries": _list_xcoms,
        "GET dags/([^/]+)/dagRuns/([^/]+)/taskInstances/([^/]+)/listMapped": _list_mapped,
    }


class FakeAirflowServer(FakeAirflow, ScriptedServer):
    """A fake Airflow behind an HTTP server."""


def _parse_date(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _are_equal(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and _parse_date(one) == _parse_date(other)


def _within(text: str, bound: str, limit: str) -> bool:
    return _parse_date(text) >= _parse_date(limit) if bound == "gte" else _parse_date(text) <= _parse_date(limit)

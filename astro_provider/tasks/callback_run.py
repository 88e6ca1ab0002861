"""The run that a callback triggers: its conf with the facts of what happened, its run id and its note."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import OWN_API_VERSION
from astro_provider.api import calls
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import ConflictError
from astro_provider.api.message import outcome_message
from astro_provider.api.template_values import is_empty
from astro_provider.run_id import remote_run_id
from astro_provider.tasks.caller_note import caller_note, given_note, trigger_with_note, ui_url
from astro_provider.tasks.planned_run import this_deployment
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.run_conf import parsed_conf

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow

FACTS_KEY = "triggered_by"
"""The key of the conf that has the facts, unless the conf of the user has it."""

MAX_EXCEPTION_CHARACTERS = 1000
"""Characters of the text of an exception in the facts."""

_DIGEST_CHARACTERS = 8


@dataclass(frozen=True)
class CallbackRun:
    """
    The run that a callback triggers.

    :param dag_id: the dag in the target
    :param run_id: its run id, which is the same if the callback runs again
    :param conf: its conf
    :param note: the note of the user; ``None`` for the default note, ``""`` for none
    :param default_note: names what the callback is for
    """

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    note: str | None
    default_note: str

    def trigger(self, client: Client) -> Flow[str]:
        """
        Trigger the run, unless an earlier call of the callback has.

        :param client: the target
        :return: what happened, for the log
        :raise AstroError: the run was not triggered
        """
        try:
            yield from trigger_with_note(
                client,
                self.dag_id,
                note=self.note,
                default=self.default_note,
                run_id=self.run_id,
                conf=self.conf,
                idempotent=True,
            )
        except ConflictError:
            if (yield from client.find(calls.get_dag_run, self.dag_id, self.run_id)) is None:
                raise
            outcome, facts = "Already triggered", ", by an earlier call of this callback,"
        else:
            outcome, facts = "Triggered", ""
        url = client.run_url(self.dag_id, self.run_id)  # after the request, which finds out the API version
        return outcome_message(outcome, self.dag_id, facts, where=client.deployment, run_id=self.run_id, url=url)


def callback_run(
    context: Mapping[str, Any],
    *,
    dag_id: object,
    run_id: object,
    conf: object,
    note: object,
    identity: str,
    warn: Callable[[str], None],
) -> CallbackRun:
    """
    Derive the run that a callback triggers.

    :param context: the context of the callback
    :param dag_id: the dag in the target
    :param run_id: the run id that the user chose; ``None`` to derive it
    :param conf: the conf of the user, see :func:`~astro_provider.tasks.run_conf.parsed_conf`
    :param note: the note of the user; ``None`` for one that names what the callback is for, ``""`` for none
    :param identity: distinguishes the callbacks of a task, see :func:`identity_of`
    :param warn: called with a message for the user
    :raise InvalidParameterError: a field was rendered to a value that cannot be used
    """
    facts = callback_facts(context, deployment=this_deployment(warn))
    return CallbackRun(
        dag_id=rendered_id("trigger_dag_id", dag_id),
        run_id=_run_id(facts, context, identity) if is_empty(run_id) else str(run_id),
        conf={FACTS_KEY: facts, **(parsed_conf(conf) or {})},
        note=given_note(note),
        default_note=_note(facts),
    )


def identity_of(fields: Mapping[str, object]) -> str:
    """
    Make a short text that distinguishes callbacks with different fields, and is the same in every process.

    :param fields: the fields before their templates are rendered
    """
    text = json.dumps(fields, sort_keys=True, default=lambda value: type(value).__name__)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def callback_facts(context: Mapping[str, Any], *, deployment: str) -> dict[str, Any]:
    """
    Collect what is known about a callback, as JSON values.

    :param context: the context of the callback: of a task, of a dag, or of a deadline, which knows only its run
    :param deployment: URL of the triggering Deployment
    :return: the facts; ``None`` for what the context does not contain. A callback of a dag has no task
    """
    # The context of the callback of a dag contains a task instance of the run, but it is not about this task.
    is_for_dag = "reason" in context
    ti = None if is_for_dag else context.get("ti") or context.get("task_instance")
    run = context.get("dag_run")
    map_index = _get(ti, "map_index")
    return {
        "deployment": deployment,
        "dag_id": _get(ti, "dag_id") or _get(run, "dag_id") or _get(context.get("dag"), "dag_id"),
        "run_id": _get(ti, "run_id") or _get(run, "run_id") or _get(run, "dag_run_id") or context.get("run_id"),
        "task_id": _get(ti, "task_id"),
        "map_index": map_index if isinstance(map_index, int) and map_index >= 0 else None,
        "try_number": _get(ti, "try_number"),
        "logical_date": _iso(_get(run, "logical_date")),
        "state": _text(_get(ti if ti is not None else run, "state")),
        "reason": _text(context.get("reason")),
        "exception": _exception(context.get("exception")),
        "log_url": _text(_get(ti, "log_url")),
    }


def _run_id(facts: Mapping[str, Any], context: Mapping[str, Any], identity: str) -> str:
    """
    Derive the run id: the same if the callback runs again, another one for another try, and after a clear.

    The parts with ``~`` are no id of a task, so that no task derives the same run id.
    """
    clear_number = _get(context.get("dag_run"), "clear_number")
    return remote_run_id(
        deployment=facts["deployment"],
        dag_id=str(facts["dag_id"]),
        run_id=str(facts["run_id"]),
        task_id=f"{facts['task_id'] or ''}~callback-{identity}",
        map_index=-1 if facts["map_index"] is None else facts["map_index"],
        first_try=facts["try_number"] or (clear_number if isinstance(clear_number, int) else 0) + 1,
    )


def _note(facts: Mapping[str, Any]) -> str:
    mapped = "" if facts["map_index"] is None else f" (map index {facts['map_index']})"
    ids = {
        "task": facts["task_id"],
        "dag": facts["dag_id"],
        "run": facts["run_id"],
        "what": facts["state"] or facts["reason"] or "called back",
    }
    deployment = facts["deployment"]
    run_url = API_VERSIONS[OWN_API_VERSION].run_url(deployment.rstrip("/"), str(ids["dag"]), str(ids["run"]))
    return caller_note(
        "Triggered by a callback: ",
        f"task {{task}}{mapped} of dag {{dag}}" if facts["task_id"] else "dag {dag}",
        ", run {run}: {what}.",
        ids={name: str(value) for name, value in ids.items()},
        url=ui_url(facts["log_url"] or run_url, deployment),
    )


def _exception(error: object) -> str | None:
    if error is None:
        return None
    from astro_provider.airflow_versions import redact

    # An exception can quote a request or a connection. Airflow knows the secrets that this process has read.
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    shown = str(redact(text))
    return shown if len(shown) <= MAX_EXCEPTION_CHARACTERS else f"{shown[:MAX_EXCEPTION_CHARACTERS]}…"


def _get(source: object, name: str) -> Any:
    """Read an attribute of an object, or a key of a dict: the context of a deadline has a dict for its run."""
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)


def _text(value: object) -> str | None:
    return None if value is None else str(getattr(value, "value", value))


def _iso(value: object) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else _text(value)

"""The run that a callback triggers: facts, conf, run id and note."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.api.errors import InvalidParameterError, InvalidRequestError
from astro_provider.run_id import MAX_RUN_ID_CHARACTERS
from astro_provider.tasks.callback_run import (
    FACTS_KEY,
    MAX_EXCEPTION_CHARACTERS,
    CallbackRun,
    callback_facts,
    callback_run,
    identity_of,
)
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

HERE = "https://here.example.com"


def task_context(**other: Any) -> dict[str, Any]:
    """Make the context of a callback of a task."""
    ti = {"dag_id": "etl", "run_id": "r1", "task_id": "load", "map_index": -1, "try_number": 2, "state": "failed"}
    ti |= {key: other.pop(key) for key in list(other) if key in ti}
    logical_date = datetime(2026, 2, 1, tzinfo=timezone.utc)
    return {
        "ti": SimpleNamespace(**ti, log_url=f"{HERE}/log"),
        "dag_run": SimpleNamespace(logical_date=logical_date, clear_number=0, state="running"),
        "run_id": ti["run_id"],
        "exception": ValueError("no rows"),
        **other,
    }


def dag_context(clear_number: int = 0, **other: Any) -> dict[str, Any]:
    """Make the context of a callback of a dag, which contains one of its task instances."""
    run = SimpleNamespace(dag_id="etl", run_id="r1", logical_date=None, clear_number=clear_number, state="failed")
    return {**task_context(**other), "dag_run": run, "reason": "task_failure", "exception": None}


def run_for(context: dict[str, Any], **options: Any) -> CallbackRun:
    fields = {"dag_id": "page", "run_id": None, "conf": None, "note": None, "identity": "abc", **options}
    return callback_run(context, **fields, warn=lambda _: None)


def test_facts_of_a_task() -> None:
    facts = callback_facts(task_context(map_index=3), deployment=HERE)
    assert facts == {
        "deployment": HERE,
        "dag_id": "etl",
        "run_id": "r1",
        "task_id": "load",
        "map_index": 3,
        "try_number": 2,
        "logical_date": "2026-02-01T00:00:00+00:00",
        "state": "failed",
        "reason": None,
        "exception": "ValueError: no rows",
        "log_url": f"{HERE}/log",
    }
    assert json.loads(json.dumps(facts)) == facts


def test_facts_of_a_dag_name_no_task() -> None:
    facts = callback_facts(dag_context(), deployment=HERE)
    expected = {"dag_id": "etl", "run_id": "r1", "state": "failed", "reason": "task_failure", "deployment": HERE}
    assert {name: value for name, value in facts.items() if value is not None} == expected


def test_facts_of_minimal_contexts() -> None:
    of_dag = callback_facts({"dag": SimpleNamespace(dag_id="etl"), "run_id": "r1", "reason": "x"}, deployment=HERE)
    of_deadline = callback_facts(
        {"dag_run": {"dag_id": "etl", "dag_run_id": "r1", "logical_date": "2026-02-01T00:00:00Z"}}, deployment=HERE
    )
    assert [(each["dag_id"], each["run_id"]) for each in (of_dag, of_deadline)] == [("etl", "r1")] * 2
    assert of_deadline["logical_date"] == "2026-02-01T00:00:00Z"


def test_long_exception_is_shortened_and_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    from astro_provider import airflow_versions

    monkeypatch.setattr(airflow_versions, "redact", lambda text: text.replace("hunter2", "***"), raising=False)
    facts = callback_facts(task_context(exception=ValueError("hunter2 " + "x" * 5000)), deployment=HERE)
    assert facts["exception"].startswith("ValueError: *** xxx")
    assert len(facts["exception"]) == MAX_EXCEPTION_CHARACTERS + 1


def test_conf_of_the_user_is_kept_and_wins() -> None:
    run = run_for(task_context(), conf='{"channel": "night"}')
    assert (run.conf["channel"], run.conf[FACTS_KEY]["task_id"]) == ("night", "load")
    assert run_for(task_context(), conf={FACTS_KEY: None}).conf == {FACTS_KEY: None}
    with pytest.raises(InvalidParameterError, match="conf must be a dict"):
        run_for(task_context(), conf="[1]")


def test_run_id_is_the_same_only_for_the_same_callback_of_the_same_try() -> None:
    first = run_for(task_context()).run_id
    assert first == run_for(task_context(exception=None, state=None)).run_id
    others = [
        run_for(task_context(try_number=3)),
        run_for(task_context(task_id="other")),
        run_for(task_context(map_index=0)),
        run_for(task_context(run_id="r2")),
        run_for(task_context(), identity="def"),
        run_for(dag_context()),
        run_for(dag_context(clear_number=1)),
    ]
    assert len({first, *(each.run_id for each in others)}) == 8
    assert run_for(dag_context(task_id="load")).run_id == run_for(dag_context(task_id="other")).run_id
    assert len(run_for(task_context(task_id="t" * 250)).run_id) <= MAX_RUN_ID_CHARACTERS
    assert run_for(task_context(), run_id="mine").run_id == "mine"


def test_note_names_what_the_callback_is_for() -> None:
    run = run_for(task_context())
    expected = f"Triggered by a callback: [task `load` of dag `etl`]({HERE}/log), run `r1`: `failed`."
    assert (run.note, run.default_note) == (None, expected)
    assert "task `load` (map index 3) of" in run_for(task_context(map_index=3)).default_note
    of_dag = run_for(dag_context()).default_note
    path = "dags/etl/runs/r1" if AIRFLOW_VERSION >= (3, 0) else "dags/etl/grid?dag_run_id=r1"
    assert of_dag == f"Triggered by a callback: [dag `etl`]({HERE}/{path}), run `r1`: `failed`."


@pytest.mark.parametrize(("note", "sent"), [("mine", "mine"), ("", None), ("None", None)])
def test_note_of_the_user_replaces_the_default_note(note: str, sent: str | None) -> None:
    target = FakeAirflow("v2")
    target.dags = {"page": False}
    target.run(run_for(task_context(), note=note).trigger(target.client()))
    assert target.trigger_bodies()[0].get("note") == sent


def test_identity_is_that_of_the_fields_and_not_of_the_process() -> None:
    one = identity_of({"conf": {"a": 1, "b": object()}})
    assert one == identity_of({"conf": {"b": object(), "a": 1}})
    assert one != identity_of({"conf": {"a": 2, "b": object()}})


@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_second_call_triggers_nothing(api_version: str) -> None:
    target = FakeAirflow(api_version)
    target.dags = {"page": False}
    run = run_for(task_context(), run_id="once")
    first, second = (target.run(run.trigger(target.client())) for _ in range(2))
    assert first.startswith("Triggered: dag 'page' in Deployment https://")
    assert second.startswith(
        "Already triggered: dag 'page', by an earlier call of this callback, in Deployment https://"
    )
    assert all("\nRun: once\nhttps://" in message for message in (first, second))
    assert list(target.runs) == ["once"]
    assert target.runs["once"]["conf"][FACTS_KEY]["task_id"] == "load"


def test_other_refusal_is_an_error() -> None:
    target = FakeAirflow("v2")
    target.dags = {"page": False}
    target.on("POST", "dags/page/dagRuns", json_response({"detail": "no such id"}, 400))
    with pytest.raises(InvalidRequestError):
        target.run(run_for(task_context()).trigger(target.client()))

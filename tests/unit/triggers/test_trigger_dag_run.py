"""Trigger operators that start in the triggerer, from the serialized DAG to the event that ends the task."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.tasks.existing_run import ON_EXISTING_RUN
from tests.unit.api.json_web_token import EXPIRING, expiring_token
from tests.unit.operators.trigger_operators import CREATED_BEFORE, DATE, RUN_ID, RUN_PATH, add_clashing_run, any_clash
from tests.unit.operators.trigger_operators import deferrable_operator as operator
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import NOW, TaskInstance, context
from tests.unit.triggers.factory import run_trigger
from tests.unit.triggers.factory import trigger_dag_run_trigger as started_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "clock"),
]

WAIT = {"wait_for_completion": True}
GIVEN = {"trigger_run_id": "mine"}
RECORD = "astro_trigger_dag_run"


@pytest.mark.parametrize(
    "options",
    [
        {},
        WAIT,
        {"conf": {"a": [1, {"b": "{{ ds }}"}], "c": None, "d": 1.5, "e": True}},
        {"conf": '{"a": "{{ ds }}"}'},
        {"conf": {"mine": ("x", "{{ ds }}")}, **WAIT},
        {"trigger_run_id": "r_{{ ds }}", "note": "of {{ ds }}", "http_conn_id": "http_{{ 'conn' }}"},
        {"logical_date": datetime(2026, 1, 31, 6), "data_interval_start": DATE, "data_interval_end": DATE},
        {"logical_date": "{{ ds }}T06:00:00", "wait_for_completion": "{{ 'true' }}", "if_paused": "{{ 'unpause' }}"},
        {"logical_date": "{{ none }}", "trigger_run_id": "{{ none }}", "note": "", "conf": "{{ none }}"},
        {"if_paused": "fail"},
        {"do_xcom_push": False},
    ],
    ids=str,
)
async def test_same_requests_and_xcoms_as_on_a_worker(
    any_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any], options: dict[str, Any]
) -> None:
    on_worker = operator(**options)
    ti = TaskInstance()
    on_worker.deferrable = False
    on_worker.render_template_fields(context(ti))  # type: ignore[arg-type]
    result = on_worker.execute(context(ti))  # type: ignore[arg-type]
    sent = {each.method for each in any_airflow.received}, _with_now(any_airflow.trigger_bodies()[-1])
    for run_id in list(any_airflow.runs):
        any_airflow.delete_run(run_id)
    any_airflow.received.clear()

    assert await run_trigger(started_trigger(**options)) == ("success", None)
    assert [_with_now(body) for body in any_airflow.trigger_bodies()] == [sent[1]]
    assert ("PATCH" in {each.method for each in any_airflow.received}) is ("PATCH" in sent[0])
    xcoms.pop(RECORD, None)
    dates = ("queued_at", "start_date", "end_date", "run_after", "logical_date")
    assert _without(xcoms.pop("return_value", None), *dates) == (
        None if options.get("do_xcom_push") is False else _without(result, *dates)
    )
    assert xcoms == ti.xcoms


def _with_now(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the current time, which is later after the wait on the worker."""
    is_now = str(body.get("logical_date")).startswith(NOW.isoformat()[:13])
    return {**body, "logical_date": "now"} if is_now else body


def _without(run: Any, *fields: str) -> Any:
    return run and {name: value for name, value in run.items() if name not in fields}


async def test_one_request_triggers_a_run(fake_airflow: FakeAirflowServer, xcoms: dict[str, Any]) -> None:
    assert await run_trigger(started_trigger()) == ("success", None)
    assert fake_airflow.calls_received == ["POST /api/v2/dags/d/dagRuns"]
    assert list(xcoms) == ["trigger_run_id", "remote_dag_run_url", "return_value"]
    assert xcoms["return_value"]["state"] == "queued"


@pytest.mark.parametrize("options", [{}, WAIT])
async def test_token_that_expires_soon_is_warned_of_once(
    fake_airflow: FakeAirflowServer,
    connect: Callable[..., None],
    clock: FakeClock,
    xcoms: dict[str, Any],
    log_lines: list[str],
    options: dict[str, Any],
) -> None:
    connect(fake_airflow.url, password=expiring_token())
    assert await run_trigger(started_trigger(**options)) == ("success", None)
    assert len([line for line in log_lines if line.startswith(EXPIRING)]) == 1


async def test_restarted_task_that_does_not_wait_finds_its_run_in_the_target(
    any_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any]
) -> None:
    await run_trigger(started_trigger())
    clock.shift(10)
    xcoms.clear()
    assert await run_trigger(started_trigger()) == ("success", None)
    assert (list(any_airflow.runs), any_airflow.cleared) == ([RUN_ID], [])
    assert xcoms["trigger_run_id"] == RUN_ID


async def test_wait_ends_with_the_run(
    any_airflow: FakeAirflowServer, xcoms: dict[str, Any], log_lines: list[str]
) -> None:
    assert await run_trigger(started_trigger(**WAIT)) == ("success", None)
    assert xcoms["return_value"]["state"] == "success"
    assert log_lines[-1].startswith(f"Success: dag 'd' in Deployment {any_airflow.url} (connection 'http_conn')\nRun: ")


async def test_xcoms_are_stored_before_the_wait(
    fake_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any]
) -> None:
    at_sleep: list[list[str]] = []
    clock.at_sleep = lambda: at_sleep.append(list(xcoms))
    await run_trigger(started_trigger(**WAIT))
    assert at_sleep[0] == ["trigger_run_id", "remote_dag_run_url"]


async def test_failed_run_fails_the_task(any_airflow: FakeAirflowServer, log_lines: list[str], xcoms: Any) -> None:
    any_airflow.new_run_states = ["queued", "failed"]
    any_airflow.has_task("extract", "failed", run_id=RUN_ID, log=any_airflow.payloads.log())
    assert await run_trigger(started_trigger(**WAIT)) == ("failed", None)
    assert "Failed tasks:\n    extract" in log_lines[-1]
    assert list(xcoms) == ["trigger_run_id", "remote_dag_run_url"]


@pytest.mark.parametrize(
    ("options", "ended_in", "outcome"),
    [
        ({"on_success_callback": print}, "worker", "success"),
        ({"outlets": ["asset"]}, "worker", "success"),
        ({"multiple_outputs": True}, "worker", "success"),
        ({"on_failure_callback": print}, "success", None),
    ],
    ids=str,
)
async def test_success_that_needs_a_worker_ends_there(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any], options: dict[str, Any], ended_in: str, outcome: str | None
) -> None:
    if "outlets" in options:
        from airflow.sdk import Asset

        options = {"outlets": [Asset("asset")]}
    end, payload = await run_trigger(started_trigger(**options))
    assert (end, payload and payload["outcome"]) == (ended_in, outcome)
    if payload:
        assert "return_value" not in xcoms
        result = operator(**options).execute_complete(context(), payload)  # type: ignore[arg-type]
        assert (result["dag_run_id"], result["state"]) == (RUN_ID, "queued")


async def test_openlineage_adds_the_parent_run_to_conf(
    active_openlineage: None, fake_airflow: FakeAirflowServer, xcoms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.standard.utils import openlineage

    def inject(dr_conf: dict[str, Any], ti: Any) -> dict[str, Any]:
        return {**dr_conf, "openlineage": {"parentRunId": ti.run_id}}

    monkeypatch.setattr(openlineage, "safe_inject_openlineage_properties_into_dagrun_conf", inject)
    options = {"conf": {"a": 1}, "logical_date": None}
    await run_trigger(started_trigger(**options))
    xcoms.clear()
    await run_trigger(started_trigger(**options, openlineage_inject_parent_info=False, **GIVEN))
    parent = {"openlineage": {"parentRunId": TaskInstance().run_id}}
    assert [body["conf"] for body in fake_airflow.trigger_bodies()] == [{"a": 1, **parent}, {"a": 1}]


async def test_result_that_cannot_be_stored_is_stored_by_a_worker(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any], monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    async def refuse(key: str, value: Any, **_: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(XCom, "aset", refuse)
    ended_in, payload = await run_trigger(started_trigger())
    assert (ended_in, payload and payload["outcome"]) == ("worker", "success")
    assert "The XCom trigger_run_id could not be stored: no database" in log_lines
    assert "The result could not be read or stored: no database. A worker tries it again." in log_lines


# Errors


@pytest.mark.parametrize(("retries", "ended_in"), [(0, "failed"), (1, "worker")])
async def test_refused_request_fails_for_good(
    fake_airflow: FakeAirflowServer, xcoms: Any, log_lines: list[str], retries: int, ended_in: str
) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({"detail": "no"}, 401))
    end, payload = await run_trigger(started_trigger(retries=retries))
    assert (end, payload and payload["outcome"]) == (ended_in, "error" if retries else None)
    assert "expired, or of another Workspace or Deployment" in (payload["message"] if payload else log_lines[-1])
    assert TOKEN not in json.dumps([payload, log_lines])
    assert xcoms == {}


async def test_target_that_is_away_fails_the_try(fake_airflow: FakeAirflowServer, xcoms: Any) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", *[json_response({"detail": "down"}, 503)] * 9)
    fake_airflow.on("GET", RUN_PATH, *[json_response({"detail": "down"}, 503)] * 9)
    assert await run_trigger(started_trigger(retries=1)) == ("failed", None)


@pytest.mark.parametrize("lost", [HANGUP, json_response({"detail": "bad gateway"}, 502)])
async def test_lost_response_does_not_create_a_second_run(
    any_airflow: FakeAirflowServer, xcoms: dict[str, Any], lost: Any
) -> None:
    def handle_and_lose(received: Any) -> Any:
        any_airflow.stored_response(received)
        return lost

    any_airflow.on("POST", "dags/d/dagRuns", handle_and_lose, any_airflow.stored_response)
    assert await run_trigger(started_trigger()) == ("success", None)
    assert list(any_airflow.runs) == [RUN_ID] == [xcoms["trigger_run_id"]]


@any_clash
@pytest.mark.parametrize(
    ("choice", "ended_in", "logged"),
    [
        ("fail", "failed", "Not triggered: dag 'd' already has a run with the same"),
        ("skip", "skipped", "Skipped: dag 'd' already has a run with the same"),
        ("attach", "success", "Attached: dag 'd' already has a run with the same"),
        ("reset", "success", "Resetting: dag 'd' already has a run with the same"),
        ("resume", "success", "Attached: dag 'd' already has a run with the same"),
    ],
)
async def test_existing_run_is_handled_as_the_user_chose(
    any_airflow: FakeAirflowServer, xcoms: Any, log_lines: list[str], by: str, choice: str, ended_in: str, logged: str
) -> None:
    clash = add_clashing_run(any_airflow, by, "success")
    assert await run_trigger(started_trigger(**clash, **WAIT, on_existing_run=choice)) == (ended_in, None)
    assert any(line.startswith(logged) for line in log_lines)
    assert any_airflow.cleared == ([("theirs", False)] if choice == "reset" else [])
    assert list(any_airflow.runs) == ["theirs"]


@any_clash
async def test_failed_run_is_resumed(any_airflow: FakeAirflowServer, xcoms: dict[str, Any], by: str) -> None:
    clash = add_clashing_run(any_airflow, by, "failed")
    any_airflow.has_task("load", "failed", run_id="theirs")
    assert await run_trigger(started_trigger(**clash, **WAIT, on_existing_run="resume")) == ("success", None)
    assert any_airflow.cleared == [("theirs", True)]
    assert (xcoms[RECORD]["attached"], xcoms[RECORD]["attached_to"]) == (False, None)


@pytest.mark.parametrize(
    ("choice", "ended_in", "runs", "logged"),
    [
        ("trigger", "success", ["theirs", RUN_ID], "Triggered: dag 'd', queued, in "),
        ("attach", "success", ["theirs"], "Attached: dag 'd' already has a running run"),
        ("skip", "skipped", ["theirs"], "Skipped: dag 'd' already has a running run"),
        ("fail", "failed", ["theirs"], "Not triggered: dag 'd' already has a running run"),
    ],
)
@pytest.mark.parametrize("options", [{}, WAIT], ids=str)
async def test_active_run_is_handled_as_the_user_chose(
    any_airflow: FakeAirflowServer,
    xcoms: dict[str, Any],
    log_lines: list[str],
    options: dict[str, Any],
    choice: str,
    ended_in: str,
    runs: list[str],
    logged: str,
) -> None:
    any_airflow.has_run("theirs", "running", "running", "success")
    assert await run_trigger(started_trigger(**options, on_active_run=f"{{{{ '{choice}' }}}}")) == (ended_in, None)
    assert list(any_airflow.runs) == runs
    assert any(line.startswith(logged) for line in log_lines)
    if choice == "attach":
        assert xcoms["trigger_run_id"] == "theirs"
        assert (xcoms[RECORD]["attached"], xcoms[RECORD]["attached_to"]) == (True, "theirs")


@pytest.mark.parametrize("options", [{}, WAIT], ids=str)
async def test_restarted_triggerer_continues_with_the_run_that_it_attached_to(
    any_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any], options: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", "running")
    await run_trigger(started_trigger(on_active_run="attach"))
    del xcoms["trigger_run_id"], xcoms["return_value"]
    clock.shift(10)
    any_airflow.end_run("theirs")
    assert await run_trigger(started_trigger(**options, on_active_run="attach")) == ("success", None)
    assert (list(any_airflow.runs), xcoms["trigger_run_id"]) == (["theirs"], "theirs")


@pytest.mark.parametrize("choice", ["attach", "skip", "fail"])
async def test_restarted_triggerer_continues_with_its_run_although_another_is_active(
    any_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any], choice: str
) -> None:
    """The triggerer was stopped after it had created the run, and before it stored the run id."""
    await run_trigger(started_trigger(on_active_run=choice))
    del xcoms["trigger_run_id"], xcoms["return_value"]
    xcoms[RECORD]["attached"] = None
    clock.shift(10)
    any_airflow.end_run(RUN_ID)
    any_airflow.has_run("theirs", "running")
    assert await run_trigger(started_trigger(**WAIT, on_active_run=choice)) == ("success", None)
    assert xcoms["trigger_run_id"] == RUN_ID


async def test_skip_with_a_callback_skips_on_a_worker(fake_airflow: FakeAirflowServer, xcoms: Any) -> None:
    clash = add_clashing_run(fake_airflow, "run id", "success")
    options = {**clash, "on_existing_run": "skip", "on_skipped_callback": print}
    ended_in, payload = await run_trigger(started_trigger(**options))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "skipped")


@pytest.mark.parametrize(("choice", "states"), [("fail", "failed"), ("trigger", "success"), ("unpause", "success")])
async def test_paused_dag_is_handled_as_the_user_chose(
    any_airflow: FakeAirflowServer, xcoms: Any, choice: str, states: str
) -> None:
    any_airflow.dags["d"] = True
    assert await run_trigger(started_trigger(if_paused=choice)) == (states, None)
    assert any_airflow.dags["d"] is (choice != "unpause")
    assert bool(any_airflow.runs) is (states == "success")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trigger_dag_id": "{{ '' }}"}, "trigger_dag_id was rendered to ''"),
        ({"logical_date": "{{ ds }}?"}, "is no ISO 8601 date"),
        ({"conf": "{{ ds }}"}, "conf must be a dict"),
        ({"on_existing_run": "{{ ds }}"}, "on_existing_run must be one of"),
        ({"wait_for_completion": "{{ ds }}"}, "wait_for_completion must be true or false"),
        ({"conf": {"a": "{{ dag_run.conf.x.y }}"}}, "A template could not be rendered here"),
    ],
)
async def test_field_that_cannot_be_used_is_reported_on_a_worker(
    fake_airflow: FakeAirflowServer, xcoms: Any, options: dict[str, Any], reason: str
) -> None:
    ended_in, payload = await run_trigger(started_trigger(**options))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert payload is not None
    assert reason in payload["message"]
    assert fake_airflow.received == []


async def test_changed_dag_starts_the_task_on_a_worker(fake_airflow: FakeAirflowServer, xcoms: Any) -> None:
    ended_in, payload = await run_trigger(started_trigger(rendered=False))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert fake_airflow.received == []


# Later tries, and a triggerer that was restarted


async def test_later_try_starts_on_a_worker_without_the_xcoms_of_the_former_one(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any]
) -> None:
    xcoms.update({"trigger_run_id": RUN_ID, "remote_dag_run_url": "u", "return_value": {}, RECORD: {"first_try": 1}})
    ended_in, payload = await run_trigger(started_trigger(try_number=2))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert fake_airflow.received == []
    assert list(xcoms) == [RECORD]


@pytest.mark.parametrize("options", [{}, GIVEN, {"logical_date": DATE}], ids=["derived", "given", "logical date"])
async def test_restarted_triggerer_continues_with_its_run(
    any_airflow: FakeAirflowServer, xcoms: dict[str, Any], options: dict[str, Any]
) -> None:
    """The XCom of the run id is there, so that the run is not triggered again."""
    await run_trigger(started_trigger(**options))
    any_airflow.received.clear()
    assert await run_trigger(started_trigger(**options, **WAIT)) == ("success", None)
    assert any_airflow.trigger_bodies() == []
    assert xcoms["return_value"]["state"] == "success"


async def test_wait_of_a_restarted_triggerer_is_not_checked_like_a_new_one(
    fake_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any]
) -> None:
    fake_airflow.has_run(RUN_ID, "running")
    xcoms["trigger_run_id"] = RUN_ID
    clock.at_sleep = lambda: fake_airflow.end_run(RUN_ID)
    assert await run_trigger(started_trigger(**WAIT)) == ("success", None)
    assert sum(clock.sleeps) == 5


@pytest.mark.parametrize("choice", ON_EXISTING_RUN)
@pytest.mark.parametrize("options", [{}, GIVEN, {"logical_date": DATE}], ids=["derived", "given", "logical date"])
async def test_triggerer_that_was_killed_before_it_stored_the_run_id_finds_its_run(
    any_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any], options: dict[str, Any], choice: str
) -> None:
    trigger = started_trigger(**options, **WAIT, on_existing_run=choice)
    await run_trigger(trigger)
    del xcoms["trigger_run_id"], xcoms["return_value"]
    if RECORD in xcoms:
        xcoms[RECORD]["attached"] = None
    clock.shift(10)
    assert await run_trigger(started_trigger(**options, **WAIT, on_existing_run=choice)) == ("success", None)
    assert (len(any_airflow.runs), any_airflow.cleared) == (1, [])


async def test_run_of_another_task_is_no_run_of_a_restarted_triggerer(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any], log_lines: list[str]
) -> None:
    fake_airflow.has_run("mine", "success", **CREATED_BEFORE)
    xcoms[RECORD] = {"first_try": 1, "began": NOW.timestamp(), "attached": None}
    assert await run_trigger(started_trigger(**GIVEN)) == ("failed", None)
    assert "already has a run with the same run id" in log_lines[-1]


async def test_failed_run_is_not_repaired_when_the_triggerer_is_restarted(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any]
) -> None:
    await run_trigger(started_trigger(**GIVEN))
    del xcoms["trigger_run_id"]
    fake_airflow.end_run("mine", "failed")
    assert await run_trigger(started_trigger(**GIVEN, **WAIT)) == ("failed", None)
    assert fake_airflow.cleared == []


# execution_timeout


async def test_execution_timeout_ends_the_task_and_cancels_the_run(
    any_airflow: FakeAirflowServer, xcoms: Any, log_lines: list[str]
) -> None:
    any_airflow.new_run_states = ["queued", "running"]
    options = {**WAIT, "execution_timeout": timedelta(seconds=100)}
    assert await run_trigger(started_trigger(**options)) == ("failed", None)
    assert any_airflow.runs[RUN_ID]["state"] == "failed"
    assert timedelta(seconds=85) < datetime.now(timezone.utc) - NOW < timedelta(seconds=91)
    where = f"Deployment {any_airflow.url} (connection 'http_conn')"
    assert log_lines[-1].startswith(
        f"Timed out after 100 s: dag 'd' in {where}\n"
        "  Limit: execution_timeout. Last seen: Running\n"
        f"  Cancelled: dag 'd', its run was running in {where}\n"
        f"Run: {RUN_ID}\n{any_airflow.url}/dags/d/"
    )


def test_serialized_trigger_has_no_credentials_and_can_be_created_again(fake_airflow: FakeAirflowServer) -> None:
    trigger = started_trigger(conf={"a": ["{{ ds }}"]}, rendered=False)
    path, kwargs = trigger.serialize()
    assert path == "astro_provider.triggers.trigger_dag_run.AstroTriggerDagRunTrigger"
    assert TOKEN not in json.dumps(kwargs)
    assert type(trigger)(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)

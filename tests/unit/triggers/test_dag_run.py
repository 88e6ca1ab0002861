"""Waiting in the triggerer: one event, whatever happens."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.triggers.dag_run import MIN_DEFERRAL_SECONDS, AstroDagRunTrigger
from astro_provider.waits.transient import MAX_REFUSED_SECONDS as TOLERATED_SECONDS
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, html_response, json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/theirs"


END_STATES = EndStates(["success"], ["failed"])


def trigger(*, http_conn_id: str = "http_conn", **options: Any) -> AstroDagRunTrigger:
    """Make a trigger from its own options and those of its wait, as Airflow makes it from what it has stored."""
    given = {field.name: options.pop(field.name) for field in fields(RunWait) if field.name in options}
    wait = RunWait(**{"dag_id": "d", "end_states": END_STATES, "run_id": "theirs", **given})
    _, arguments = AstroDagRunTrigger(http_conn_id=http_conn_id, wait=wait, **options).serialize()
    return AstroDagRunTrigger(**json.loads(json.dumps(arguments)))


async def event(waiting: AstroDagRunTrigger) -> dict[str, Any]:
    """Run a trigger; it must yield one event, of what can be stored."""
    (only,) = [event async for event in waiting.run()]
    payload: dict[str, Any] = only.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload


async def test_it_tells_of_success(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: any_airflow.end_run("theirs") if len(clock.sleeps) == 3 else None
    told = await event(trigger(poke_interval=19))
    assert (told["outcome"], told["run"]["dag_run_id"], told["run"]["state"]) == ("success", "theirs", "success")
    assert told["url"].startswith(f"{any_airflow.url}/dags/d/")
    assert clock.sleeps == [19, 19, 19]


@pytest.mark.parametrize(("poke_interval", "after"), [(1, MIN_DEFERRAL_SECONDS), (3, MIN_DEFERRAL_SECONDS), (60, 60)])
async def test_it_is_not_resumed_before_airflow_has_heard_of_its_deferral(
    fake_airflow: FakeAirflowServer, clock: FakeClock, poke_interval: float, after: float
) -> None:
    fake_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: fake_airflow.end_run("theirs") if len(clock.sleeps) == 1 else None  # the poll hears of it
    assert (await event(trigger(poke_interval=poke_interval)))["outcome"] == "success"
    assert datetime.now(timezone.utc).timestamp() - NOW.timestamp() == after


async def test_it_tells_of_failure(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    told = await event(trigger())
    assert told["outcome"] == "failed"
    assert "extract (try 1): ValueError: no rows" in told["message"]


async def test_it_tells_of_what_is_to_be_skipped(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "failed")
    assert (await event(trigger(end_states=EndStates(["success"], skipped=["failed"]))))["outcome"] == "skipped"


async def test_it_waits_for_logical_dates(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("one", "success", logical_date="2026-02-01T06:00:00Z")
    any_airflow.has_run("two", "running", "success", logical_date="2026-02-01T07:00:00Z")
    dates = ["2026-02-01T06:00:00+00:00", "2026-02-01T07:00:00+00:00"]
    assert (await event(trigger(run_id=None, logical_dates=dates)))["outcome"] == "success"


async def test_it_waits_for_the_newest(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("one", "failed", run_after="2026-01-01T00:00:00Z")
    fake_airflow.has_run("two", "success", run_after="2026-01-02T00:00:00Z")
    assert (await event(trigger(run_id=None, latest=True)))["run"]["dag_run_id"] == "two"


async def test_it_waits_for_tasks(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("load", "success", run_id="theirs")
    assert (await event(trigger(task_ids=["load"])))["outcome"] == "success"


async def test_it_waits_for_a_group(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.groups = {"etl": ["etl.load"]}
    any_airflow.has_task("etl.load", "success", run_id="theirs")
    assert (await event(trigger(group_id="etl")))["outcome"] == "success"


async def test_it_looks_for_existence_when_told_so(any_airflow: FakeAirflowServer) -> None:
    told = await event(trigger(dag_id="none", check_existence=True))
    assert told["outcome"] == "retryable_error"
    assert "has no dag 'none'" in told["message"]


async def test_it_gives_up_at_its_deadline(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    told = await event(trigger(poke_interval=25, deadline=NOW.timestamp() + 60))
    assert (told["outcome"], clock.sleeps) == ("timeout", [25, 25, 10])
    assert told["message"].endswith("running")


async def test_it_gives_up_at_its_deadline_though_there_was_nothing(any_airflow: FakeAirflowServer) -> None:
    told = await event(trigger(deadline=NOW.timestamp() + 60))
    assert (told["outcome"], told["run"], told["url"]) == ("timeout", None, None)


async def test_a_deleted_run_that_was_known_ends_the_wait(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: any_airflow.delete_run("theirs") if any_airflow.runs else None
    told = await event(trigger(must_exist=True))
    assert told["outcome"] == "retryable_error"
    assert "it was deleted" in told["message"]


async def test_it_says_when_the_state_changes_and_only_then(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "queued", "queued", "running", "running", "success")
    await event(trigger())
    told = [line.rpartition(": ")[2] for line in log_lines if line.startswith("run 'theirs'")]
    assert told == ["queued", "running"]  # how it ended, the task itself says


# Trouble: an event too, as a trigger that raises tells the task nothing.


@pytest.mark.parametrize(
    ("answer", "outcome", "message"),
    [
        (json_response({"detail": "no"}, 403), "error", "refused"),
        (html_response("Sign in"), "retryable_error", "no Airflow REST API"),
    ],
    ids=["403", "page"],
)
async def test_trouble_that_lasts_is_told(
    fake_airflow: FakeAirflowServer, answer: Any, outcome: str, message: str
) -> None:
    fake_airflow.on("GET", RUN, answer)
    told = await event(trigger())
    assert (told["outcome"], told["run"]) == (outcome, None)
    assert message in told["message"]
    assert TOKEN not in told["message"]


@pytest.mark.parametrize(
    "answer", [HANGUP, json_response([]), json_response({"detail": "down"}, 503)], ids=["hangup", "list", "503"]
)
async def test_trouble_that_passes_is_survived_from_the_first_look_on(
    fake_airflow: FakeAirflowServer, answer: Any
) -> None:
    fake_airflow.has_run("theirs", "success")
    # The worker has just been answered, so the target is there.
    fake_airflow.on("GET", RUN, *[answer] * 12, fake_airflow.stored_response)
    assert (await event(trigger()))["outcome"] == "success"


async def test_no_such_connection_is_told(fake_airflow: FakeAirflowServer) -> None:
    told = await event(trigger(http_conn_id="elsewhere"))
    assert told["outcome"] == "retryable_error"
    assert "'elsewhere'" in told["message"]


async def test_later_trouble_is_survived(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    fake_airflow.has_run("theirs", "running", "success")
    fake_airflow.on(
        "GET",
        RUN,
        fake_airflow.stored_response,
        *[json_response({"detail": "down"}, 503)] * 9,
        fake_airflow.stored_response,
    )
    assert (await event(trigger()))["outcome"] == "success"
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1


async def test_being_refused_is_survived_for_a_while(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("GET", RUN, fake_airflow.stored_response, json_response({"detail": "no"}, 403))
    assert (await event(trigger(poke_interval=60)))["outcome"] == "error"
    # The first look is after 60 seconds, and the next is the first one to be refused.
    assert TOLERATED_SECONDS + 120 <= sum(clock.sleeps) <= TOLERATED_SECONDS + 240


# Serialised.


def test_a_serialized_trigger_can_be_created_again() -> None:
    wait = RunWait(
        dag_id="d",
        end_states=EndStates(("success", "skipped"), ("removed",), ("none",)),
        logical_dates=("2026-02-01T06:00:00+00:00",),
        task_ids=("t",),
        check_existence=True,
        must_exist=True,
    )
    trigger = AstroDagRunTrigger(http_conn_id="c", wait=wait, poke_interval=1.5, deadline=5.0, cancel_on_kill=True)
    path, arguments = trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "c",
        "wait": wait.serialize(),
        "poke_interval": 1.5,
        "deadline": 5.0,
        "cancel_on_kill": True,
    }
    stored = json.loads(json.dumps(arguments))
    assert AstroDagRunTrigger(**stored).serialize() == (path, stored)


def test_the_serialized_arguments_are_those_of_the_class() -> None:
    _, arguments = trigger().serialize()
    assert set(arguments) == set(AstroDagRunTrigger.__init__.__annotations__) - {"return"}

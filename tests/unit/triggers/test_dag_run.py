"""Waiting in the triggerer: the event that a trigger yields, and how Airflow stores the trigger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.tasks.task_state import MIN_SUSPENSION_SECONDS
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.transient import MAX_REFUSED_SECONDS
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, html_response, json_response
from tests.unit.task_runner import NOW
from tests.unit.triggers.factory import dag_run_trigger, only_payload

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/theirs"


async def test_success_yields_the_run_and_its_url(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: any_airflow.end_run("theirs") if len(clock.sleeps) == 3 else None
    payload = await only_payload(dag_run_trigger(poke_interval=19))
    assert (payload["outcome"], payload["run"]["dag_run_id"], payload["run"]["state"]) == (
        "success",
        "theirs",
        "success",
    )
    assert payload["url"].startswith(f"{any_airflow.url}/dags/d/")
    assert sum(clock.sleeps) == MIN_SUSPENSION_SECONDS + 1


@pytest.mark.parametrize("poke_interval", [1, 3, 60])
async def test_first_check_leaves_airflow_time_to_store_the_deferral(
    fake_airflow: FakeAirflowServer, clock: FakeClock, poke_interval: float
) -> None:
    fake_airflow.has_run("theirs", "success")
    assert (await only_payload(dag_run_trigger(poke_interval=poke_interval)))["outcome"] == "success"
    assert clock.sleeps == [MIN_SUSPENSION_SECONDS]


async def test_deadline_before_the_first_check_is_kept(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "running")
    assert (await only_payload(dag_run_trigger(deadline=NOW.timestamp() + 4)))["outcome"] == "timeout"
    assert clock.sleeps == [4]


def test_trigger_that_an_earlier_release_has_stored_can_be_created() -> None:
    _, arguments = dag_run_trigger().serialize()
    del arguments["started_at"]
    assert AstroDagRunTrigger(**arguments).started_at is None


async def test_failure_yields_what_failed(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    payload = await only_payload(dag_run_trigger())
    assert payload["outcome"] == "failed"
    assert "extract (try 1): ValueError: no rows" in payload["message"]


async def test_skipped_state_yields_skipped(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "failed")
    assert (await only_payload(dag_run_trigger(end_states=EndStates(["success"], skipped=["failed"]))))[
        "outcome"
    ] == "skipped"


async def test_trigger_waits_for_logical_dates(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("one", "success", logical_date="2026-02-01T06:00:00Z")
    any_airflow.has_run("two", "running", "success", logical_date="2026-02-01T07:00:00Z")
    dates = ["2026-02-01T06:00:00+00:00", "2026-02-01T07:00:00+00:00"]
    assert (await only_payload(dag_run_trigger(run_id=None, logical_dates=dates)))["outcome"] == "success"


async def test_trigger_waits_for_the_newest_run(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("one", "failed", run_after="2026-01-01T00:00:00Z")
    fake_airflow.has_run("two", "success", run_after="2026-01-02T00:00:00Z")
    assert (await only_payload(dag_run_trigger(run_id=None, latest=True)))["run"]["dag_run_id"] == "two"


async def test_trigger_waits_for_tasks(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("load", "success", run_id="theirs")
    assert (await only_payload(dag_run_trigger(task_ids=["load"])))["outcome"] == "success"


async def test_trigger_waits_for_a_task_group(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.groups = {"etl": ["etl.load"]}
    any_airflow.has_task("etl.load", "success", run_id="theirs")
    assert (await only_payload(dag_run_trigger(group_id="etl")))["outcome"] == "success"


async def test_check_existence_yields_an_error_for_an_unknown_dag(any_airflow: FakeAirflowServer) -> None:
    payload = await only_payload(dag_run_trigger(dag_id="none", check_existence=True))
    assert payload["outcome"] == "retryable_error"
    assert "has no dag 'none'" in payload["message"]


async def test_deadline_yields_timeout_with_the_last_state(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    trigger = dag_run_trigger(poke_interval=25, deadline=NOW.timestamp() + 60, started_at=NOW.timestamp() - 3600)
    payload = await only_payload(trigger)
    assert (payload["outcome"], sum(clock.sleeps), clock.sleeps[-1]) == ("timeout", 60, 25)
    assert payload["message"].startswith("Running: dag 'd' in ")


async def test_deadline_yields_timeout_for_a_run_that_does_not_exist(any_airflow: FakeAirflowServer) -> None:
    payload = await only_payload(dag_run_trigger(deadline=NOW.timestamp() + 60))
    assert (payload["outcome"], payload["run"], payload["url"]) == ("timeout", None, None)


async def test_deleted_run_that_must_exist_yields_an_error(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: any_airflow.delete_run("theirs") if any_airflow.runs else None
    payload = await only_payload(dag_run_trigger(must_exist=True))
    assert payload["outcome"] == "retryable_error"
    assert "Deleted: dag 'd', its run is gone in " in payload["message"]


async def test_state_is_logged_only_when_it_changes(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "queued", "queued", "running", "running", "success")
    await only_payload(dag_run_trigger())
    states = [line.partition(": ")[0] for line in log_lines if ": dag 'd' in " in line]
    assert states == ["Queued", "Running"]  # the task logs how the run ended


# Errors are events, too, because a trigger that raises an exception gives its task no message.


@pytest.mark.parametrize(
    ("response", "outcome", "message"),
    [
        (json_response({"detail": "no"}, 403), "error", "Refused with 403: no"),
        (html_response("Sign in"), "retryable_error", "no Airflow REST API"),
    ],
    ids=["403", "page"],
)
async def test_lasting_refusal_yields_an_error(
    fake_airflow: FakeAirflowServer, response: Any, outcome: str, message: str
) -> None:
    fake_airflow.on("GET", RUN, response)
    payload = await only_payload(dag_run_trigger())
    assert (payload["outcome"], payload["run"]) == (outcome, None)
    assert message in payload["message"]
    assert TOKEN not in payload["message"]


@pytest.mark.parametrize(
    "response", [HANGUP, json_response([]), json_response({"detail": "down"}, 503)], ids=["hangup", "list", "503"]
)
async def test_transient_errors_are_tolerated_from_the_first_check_on(
    fake_airflow: FakeAirflowServer, response: Any
) -> None:
    fake_airflow.has_run("theirs", "success")
    # The target has just answered the worker.
    fake_airflow.on("GET", RUN, *[response] * 12, fake_airflow.stored_response)
    assert (await only_payload(dag_run_trigger()))["outcome"] == "success"


async def test_unknown_connection_yields_an_error(fake_airflow: FakeAirflowServer) -> None:
    payload = await only_payload(dag_run_trigger(http_conn_id="elsewhere"))
    assert payload["outcome"] == "retryable_error"
    assert "'elsewhere'" in payload["message"]


async def test_later_transient_errors_are_tolerated_with_one_warning(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "running", "success")
    fake_airflow.on(
        "GET",
        RUN,
        fake_airflow.stored_response,
        *[json_response({"detail": "down"}, 503)] * 9,
        fake_airflow.stored_response,
    )
    assert (await only_payload(dag_run_trigger()))["outcome"] == "success"
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1


async def test_refusal_is_tolerated_for_ten_minutes(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("GET", RUN, fake_airflow.stored_response, json_response({"detail": "no"}, 403))
    assert (await only_payload(dag_run_trigger(poke_interval=60)))["outcome"] == "error"
    # The first check is after 60 seconds, and the second one is the first that is refused.
    assert MAX_REFUSED_SECONDS + 120 <= sum(clock.sleeps) <= MAX_REFUSED_SECONDS + 240


# Serialization


def test_serialized_trigger_can_be_created_again() -> None:
    wait = RunWait(
        dag_id="d",
        end_states=EndStates(("success", "skipped"), ("removed",), ("none",)),
        logical_dates=("2026-02-01T06:00:00+00:00",),
        task_ids=("t",),
        check_existence=True,
        must_exist=True,
    )
    trigger = AstroDagRunTrigger(
        http_conn_id="c", wait=wait, poke_interval=1.5, deadline=5.0, cancel_on_kill=True, started_at=4.0
    )
    path, arguments = trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "c",
        "wait": wait.serialize(),
        "poke_interval": 1.5,
        "deadline": 5.0,
        "cancel_on_kill": True,
        "started_at": 4.0,
    }
    stored = json.loads(json.dumps(arguments))
    assert AstroDagRunTrigger(**stored).serialize() == (path, stored)


def test_serialized_arguments_are_those_of_the_class() -> None:
    _, arguments = dag_run_trigger().serialize()
    assert set(arguments) == set(AstroDagRunTrigger.__init__.__annotations__) - {"return"}

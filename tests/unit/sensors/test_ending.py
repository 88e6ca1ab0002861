"""How a sensor ends in every mode: in time or not, failed or skipped, here or resumed after a deferral."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from astro_provider.airflow_versions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from astro_provider.api.errors import AstroError, DagRunFailedError, TransportError
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from tests.airflow_names import TaskDeferred
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import NOW, TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

MODES = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]
every_mode = pytest.mark.parametrize("mode", MODES, ids=["poke", "reschedule", "deferrable"])


def sensor(**options: Any) -> AstroDagRunSensor:
    return AstroDagRunSensor(**{"task_id": "wait", "external_dag_id": "d", "external_run_id": "theirs", **options})


def deferral(looking: AstroDagRunSensor, ti: TaskInstance | None = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        looking.execute(context(ti))
    return caught.value


async def resumed(looking: AstroDagRunSensor, ti: TaskInstance | None = None) -> None:
    """Run what a sensor defers to, and resume it with what comes of that."""
    _, arguments = deferral(looking, ti).trigger.serialize()
    events = [event async for event in AstroDagRunTrigger(**json.loads(json.dumps(arguments))).run()]
    looking.execute_complete(context(ti), json.loads(json.dumps(events[0].payload)))


@every_mode
def test_a_run_that_is_over_needs_no_wait(
    any_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", "success")
    sensor(**mode).execute(context())
    assert clock.sleeps == []


# A run that fails, and what is to be skipped.


@every_mode
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, DagRunFailedError),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
        ({"silent_fail": True}, AirflowFailException),
        ({"skipped_states": ["failed"], "failed_states": []}, AirflowSkipException),
    ],
    ids=str,
)
def test_a_run_that_fails(
    any_airflow: FakeAirflowServer, mode: dict[str, Any], options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "failed")
    with pytest.raises(error, match="run 'theirs' of dag 'd'"):
        sensor(**mode, **options).execute(context())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, DagRunFailedError),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
        ({"skipped_states": ["failed"], "failed_states": []}, AirflowSkipException),
    ],
    ids=str,
)
async def test_a_run_that_fails_while_deferred(
    any_airflow: FakeAirflowServer, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running", "running", "failed")
    with pytest.raises(error, match="run 'theirs' of dag 'd'"):
        await resumed(sensor(deferrable=True, **options))


@every_mode
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_being_refused_skips_when_told_so(fake_airflow: FakeAirflowServer, mode: dict[str, Any], option: str) -> None:
    fake_airflow.on("GET", "dags/d/dagRuns/theirs", json_response({"detail": "no"}, 403))
    with pytest.raises(AirflowSkipException):
        sensor(**mode, **{option: True}).execute(context())


@every_mode
def test_being_refused_fails_for_good(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "dags/d/dagRuns/theirs", json_response({"detail": "no"}, 403))
    with pytest.raises(AirflowFailException, match="refused"):
        sensor(**mode).execute(context())


# Time is over.


@pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)
def test_timeout_in_poke_mode(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(error):
        sensor(timeout=60, poke_interval=20, **options).execute(context())
    assert clock.sleeps == [20, 20, 20, 20]


@pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)
def test_timeout_in_reschedule_mode(
    any_airflow: FakeAirflowServer,
    rescheduled: Callable[[datetime], dict[str, Any]],
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    any_airflow.has_run("theirs", "running")
    looking = sensor(timeout=60, mode="reschedule", poke_interval=20, **options)
    with pytest.raises(AirflowRescheduleException) as later:
        looking.execute(rescheduled(NOW - timedelta(seconds=50)))
    assert later.value.reschedule_date == NOW + timedelta(seconds=20)
    with pytest.raises(error):
        looking.execute(rescheduled(NOW - timedelta(seconds=61)))


@pytest.mark.parametrize(
    ("options", "error"),
    [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)],
    ids=str,
)
async def test_timeout_while_deferred(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(error, match=r"Not over after 60 seconds \(timeout\). Last seen: run 'theirs'.*running"):
        await resumed(sensor(deferrable=True, timeout=60, poke_interval=25, **options))
    assert clock.sleeps == [25, 25, 10]


@pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowTaskTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)
async def test_execution_timeout_while_deferred(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    limits = {"timeout": 3600, "execution_timeout": timedelta(seconds=60)}
    with pytest.raises(
        error, match=r"Not over after 60 seconds \(execution_timeout\). Last seen: run 'theirs'.*running"
    ):
        await resumed(sensor(deferrable=True, poke_interval=25, **limits, **options))
    assert 50 <= sum(clock.sleeps) <= 60  # Airflow 2 needs some of it to resume the task


async def test_a_longer_execution_timeout_changes_nothing(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(AirflowSensorTimeout, match=r"after 60 seconds \(timeout\)"):
        await resumed(sensor(deferrable=True, timeout=60, execution_timeout=timedelta(seconds=61)))
    assert sum(clock.sleeps) == 60


def test_the_deadline_is_the_trigger_s_and_airflow_s_comes_later(fake_airflow: FakeAirflowServer) -> None:
    deferred = deferral(sensor(deferrable=True, timeout=60))
    assert deferred.trigger.deadline == NOW.timestamp() + 60
    assert deferred.timeout is not None
    assert deferred.timeout > timedelta(seconds=60)


# Deferred.


async def test_deferred_to_a_good_end(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "queued", "running", "success")
    ti = TaskInstance()
    await resumed(sensor(deferrable=True), ti)
    end = "runs/theirs" if any_airflow.api_version == "v2" else "grid?dag_run_id=theirs"
    assert ti.xcoms == {"remote_dag_run_url": f"{any_airflow.url}/dags/d/{end}"}
    assert any(line.endswith("success") for line in log_lines)


def test_the_trigger_waits_for_the_same(fake_airflow: FakeAirflowServer) -> None:
    looking = AstroTaskSensor(
        task_id="wait",
        external_dag_id="d",
        external_task_ids=["a", "b"],
        logical_date="2026-02-01T05:00:00Z",
        allowed_states=["success", "skipped"],
        failed_states=["failed"],
        skipped_states=["removed"],
        poke_interval=timedelta(seconds=7),
        http_conn_id="http_conn",
        deferrable=True,
    )
    deferred = deferral(looking)
    assert deferred.method_name == "execute_complete"
    path, arguments = deferred.trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "http_conn",
        "wait": {
            "dag_id": "d",
            "end_states": {"allowed": ["success", "skipped"], "failed": ["failed"], "skipped": ["removed"]},
            "run_id": None,
            "logical_dates": ["2026-02-01T05:00:00+00:00"],
            "latest": False,
            "task_ids": ["a", "b"],
            "group_id": None,
            "check_existence": False,
            "must_exist": False,
        },
        "poke_interval": 7,
        "deadline": arguments["deadline"],
        "cancel_on_kill": False,
    }


@pytest.mark.parametrize("options", [{"latest": True, "external_run_id": None}, {"external_dag_id": "none"}], ids=str)
def test_what_is_deferred_holds_no_credentials(fake_airflow: FakeAirflowServer, options: dict[str, Any]) -> None:
    _, arguments = deferral(sensor(deferrable=True, **options)).trigger.serialize()
    assert TOKEN not in json.dumps(arguments)
    assert arguments["wait"]["latest"] is options.get("latest", False)


def event(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "message": "what happened", "run": None, "url": None, **more}


@pytest.mark.parametrize(
    ("happened", "error"),
    [
        (event("failed"), DagRunFailedError),
        (event("timeout"), AirflowSensorTimeout),
        (event("skipped"), AirflowSkipException),
        (event("retryable_error", error="TransportError"), TransportError),
        (event("error", error="AccessDeniedError"), AirflowFailException),
        (event("retryable_error", error="UnknownError"), AstroError),  # an error class that does not exist here
        (event("error", error="UnknownError"), AirflowFailException),
    ],
)
@pytest.mark.parametrize("option", [None, "soft_fail", "never_fail"])
def test_it_resumes_with_an_error(happened: dict[str, Any], error: type[Exception], option: str | None) -> None:
    looking = sensor(**({option: True} if option else {}))
    # As on a worker: soft_fail is for an outcome, and trouble that may pass is none.
    fails = option is None or (option == "soft_fail" and happened["outcome"] == "retryable_error")
    with pytest.raises(error if fails else AirflowSkipException, match="what happened") as caught:
        looking.execute_complete(context(), happened)
    assert isinstance(caught.value, DagRunFailedError) == bool(fails and error is DagRunFailedError)


@pytest.mark.parametrize("unknown", [None, {}, [], "success", {"status": "success"}, event("pending")], ids=str)
def test_an_event_that_is_not_known_is_no_success(unknown: Any) -> None:
    with pytest.raises(AirflowFailException, match="resumed with an event that it does not know"):
        sensor().execute_complete(context(), unknown)


def test_a_run_that_is_skipped_still_has_its_link() -> None:
    ti = TaskInstance()
    with pytest.raises(AirflowException):
        sensor().execute_complete(context(ti), event("skipped", url="https://target.example.com/r"))
    assert ti.xcoms == {"remote_dag_run_url": "https://target.example.com/r"}

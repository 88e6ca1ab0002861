"""Sensors that start in the triggerer, from the serialized DAG to the event that ends the task."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.hooks import astro_async
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import LOGICAL_DATE, NOW, context
from tests.unit.triggers.factory import run_trigger, sensor_trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "xcoms"),
]

LINK = "remote_dag_run_url"
RUN = "dags/d/dagRuns/theirs"
THEIRS = {"external_run_id": "theirs"}


async def test_successful_run_ends_the_task(
    any_airflow: FakeAirflowServer, xcoms: dict[str, Any], log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "running", "success")
    assert await run_trigger(sensor_trigger(**THEIRS)) == ("success", None)
    assert xcoms[LINK].startswith(f"{any_airflow.url}/dags/d/")
    assert [line.partition(": ")[0] for line in log_lines if ": dag 'd' in " in line] == ["Running", "Success"]


async def test_link_is_pushed_during_the_wait(
    fake_airflow: FakeAirflowServer, clock: FakeClock, xcoms: dict[str, Any]
) -> None:
    fake_airflow.has_run("theirs", "running")
    links = []

    def at_sleep() -> None:
        links.append(xcoms.get(LINK))
        fake_airflow.end_run("theirs")

    clock.at_sleep = at_sleep
    await run_trigger(sensor_trigger(**THEIRS))
    assert links[0] == xcoms[LINK]


async def test_first_check_is_immediate(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "success")
    await run_trigger(sensor_trigger(**THEIRS))
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("options", "final_state", "logged"),
    [
        ({}, "failed", "Failed tasks:"),
        ({"soft_fail": True}, "skipped", "\n  Failed, but soft_fail is set\n"),
        ({"failed_states": [], "skipped_states": ["failed"]}, "skipped", "failed"),
    ],
)
async def test_failed_run_fails_or_skips_the_task(
    any_airflow: FakeAirflowServer, log_lines: list[str], options: dict[str, Any], final_state: str, logged: str
) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    assert await run_trigger(sensor_trigger(**THEIRS, **options)) == (final_state, None)
    assert any(logged in line for line in log_lines)
    assert len([line for line in log_lines if "Run: theirs" in line]) == 1


async def test_execution_timeout_ends_the_wait_before_airflow_ends_the_task(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "running")
    limits = {"timeout": 3600, "execution_timeout": timedelta(seconds=60), "retries": 0}
    assert await run_trigger(sensor_trigger(**THEIRS, **limits)) == ("failed", None)
    assert 50 <= (datetime.now(timezone.utc) - NOW).total_seconds() < 60
    assert log_lines[-1].startswith("Timed out after 60 s: dag 'd' in Deployment ")
    assert "\n  Limit: execution_timeout. Last seen: Running\n" in log_lines[-1]


@pytest.mark.parametrize(
    ("options", "final_state"), [({}, "failed"), ({"soft_fail": True}, "skipped"), ({"retries": 1}, "worker")]
)
async def test_timeout_fails_or_skips_the_task(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str], options: dict[str, Any], final_state: str
) -> None:
    fake_airflow.has_run("theirs", "running")
    ended_in, payload = await run_trigger(sensor_trigger(**THEIRS, timeout=60, **{"retries": 0, **options}))
    assert ended_in == final_state
    assert (datetime.now(timezone.utc) - NOW).total_seconds() == pytest.approx(60, abs=0.01)
    if payload is None:
        outcome = "Skipped" if final_state == "skipped" else "Timed out after 60 s"
        assert log_lines[-1].startswith(f"{outcome}: dag 'd' in Deployment ")
        assert "\n  Limit: timeout. Last seen: Running\n" in log_lines[-1]
    else:
        assert payload["outcome"] == "timeout"


async def test_restarted_triggerer_waits_for_the_rest_of_the_timeout(
    fake_airflow: FakeAirflowServer, clock: FakeClock
) -> None:
    fake_airflow.has_run("theirs", "running")
    started_at = NOW - timedelta(seconds=500)
    await run_trigger(sensor_trigger(**THEIRS, timeout=600, started_at=started_at))
    assert datetime.now(timezone.utc) - NOW == timedelta(seconds=100)


async def test_outage_at_the_first_check_is_tolerated(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    fake_airflow.on("GET", RUN, *[HANGUP] * 12, fake_airflow.stored_response)
    assert await run_trigger(sensor_trigger(**THEIRS, timeout=3600)) == ("success", None)
    assert sum(line.startswith("Still waiting: ") for line in log_lines) == 1
    assert sum(line.startswith("Target answers again: dag 'd' in ") for line in log_lines) == 1


@pytest.mark.parametrize(("age", "limit"), [(0, MAX_REFUSED_AT_FIRST_SECONDS), (300, MAX_REFUSED_SECONDS)])
async def test_restarted_triggerer_tolerates_refusals_as_after_an_answer(
    fake_airflow: FakeAirflowServer, clock: FakeClock, age: float, limit: float
) -> None:
    fake_airflow.on("GET", RUN, json_response({"detail": "no"}, 403))
    await run_trigger(sensor_trigger(**THEIRS, timeout=36000, started_at=NOW - timedelta(seconds=age)))
    assert limit <= (datetime.now(timezone.utc) - NOW).total_seconds() < limit + 30


@pytest.mark.parametrize("poke_interval", [1, 900])
async def test_unreadable_connection_is_read_again(
    fake_airflow: FakeAirflowServer,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[str],
    poke_interval: float,
) -> None:
    fake_airflow.has_run("theirs", "success")
    reads: list[int] = []
    read = astro_async.get_async_connection

    async def unreadable_at_first(conn_id: str) -> Any:
        reads.append(1)
        if len(reads) < 4:
            raise RuntimeError("no secrets backend")
        return await read(conn_id)

    monkeypatch.setattr(astro_async, "get_async_connection", unreadable_at_first)
    assert await run_trigger(sensor_trigger(**THEIRS, timeout=3600, poke_interval=poke_interval)) == ("success", None)
    assert sum(line.startswith("Still waiting: ") for line in log_lines) == 1


async def test_changed_dag_is_started_again_on_a_worker(
    fake_airflow: FakeAirflowServer,
) -> None:
    ended_in, payload = await run_trigger(sensor_trigger(**THEIRS, rendered=False))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert fake_airflow.received == []


@pytest.mark.parametrize(("retries", "final_state"), [(0, "failed"), (1, "worker")])
async def test_refusal_fails_the_task_for_good(
    fake_airflow: FakeAirflowServer, log_lines: list[str], retries: int, final_state: str
) -> None:
    fake_airflow.on("GET", RUN, json_response({"detail": "no"}, 403))
    ended_in, payload = await run_trigger(sensor_trigger(**THEIRS, retries=retries))
    assert ended_in == final_state
    assert "Refused with 40" in (payload["message"] if payload else log_lines[-1])


async def test_second_try_ends_on_a_worker(fake_airflow: FakeAirflowServer) -> None:
    """Airflow 3.3 would store the end date of the first try as that of the second."""
    fake_airflow.has_run("theirs", "success")
    ended_in, payload = await run_trigger(sensor_trigger(**THEIRS, try_number=2))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "success")


async def test_task_with_a_callback_ends_on_a_worker(fake_airflow: FakeAirflowServer, xcoms: dict[str, Any]) -> None:
    fake_airflow.has_run("theirs", "success")
    ended_in, payload = await run_trigger(sensor_trigger(**THEIRS, on_success_callback=print))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "success")
    assert list(xcoms) == [LINK]


async def test_link_that_cannot_be_stored_does_not_fail_the_task(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    async def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(XCom, "aset", refuse)
    fake_airflow.has_run("theirs", "running", "success")
    assert await run_trigger(sensor_trigger(**THEIRS)) == ("success", None)
    assert "The XCom remote_dag_run_url could not be stored: no database" in log_lines


# The wait that the rendered fields describe


async def test_templates_are_rendered(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("r_2026-02-01", "success", dag_id="d_2026-02-01")
    named = {"external_dag_id": "d_{{ ds }}", "external_run_id": "r_{{ ds }}", "http_conn_id": "http_{{ 'conn' }}"}
    assert await run_trigger(sensor_trigger(**named)) == ("success", None)


@pytest.mark.parametrize(
    "options",
    [{}, {"execution_delta": timedelta(hours=1)}, {"logical_date": "{{ ds }}T03:00:00"}],
)
async def test_logical_date_names_the_run(fake_airflow: FakeAirflowServer, options: dict[str, Any]) -> None:
    date = LOGICAL_DATE - options.get("execution_delta", timedelta())
    if "ds" in options.get("logical_date", ""):
        date = LOGICAL_DATE.replace(hour=3)
    fake_airflow.has_run("theirs", "success", logical_date=date.isoformat())
    assert await run_trigger(sensor_trigger(**options)) == ("success", None)


async def test_latest_names_the_newest_run(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "success")
    trigger = sensor_trigger(latest=True)
    assert not trigger.task_wait.logical_dates
    assert await run_trigger(trigger) == ("success", None)


@pytest.mark.parametrize(("age", "seconds"), [(0, 1), (60, 6), (300, 17)])
async def test_interval_of_checks_follows_the_age_of_the_task(
    fake_airflow: FakeAirflowServer, clock: FakeClock, age: float, seconds: float
) -> None:
    """A restarted triggerer starts the trigger again."""
    fake_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: fake_airflow.end_run("theirs")
    started_at = NOW - timedelta(seconds=age)
    await run_trigger(sensor_trigger(**THEIRS, poke_interval=17, timeout=3600, started_at=started_at))
    assert sum(clock.sleeps) == seconds


async def test_check_existence_fails_the_task_for_an_unknown_dag(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    assert await run_trigger(sensor_trigger(external_dag_id="quik", latest=True, check_existence=True)) == (
        "failed",
        None,
    )
    assert "has no dag 'quik'" in log_lines[-1]


@pytest.mark.parametrize(
    "named",
    [{"external_task_id": "t_{{ ds }}"}, {"external_task_ids": ["t_{{ ds }}"]}, {"external_task_group_id": "g"}],
)
async def test_trigger_waits_for_tasks_and_groups(any_airflow: FakeAirflowServer, named: dict[str, Any]) -> None:
    any_airflow.has_run("theirs", "running")
    any_airflow.has_task("other", "failed", run_id="theirs")
    any_airflow.has_task("t_2026-02-01", "success", run_id="theirs")
    any_airflow.has_task("g.one", "success", run_id="theirs")
    any_airflow.groups = {"g": ["g.one"]}
    assert await run_trigger(sensor_trigger(AstroTaskSensor, **THEIRS, **named)) == ("success", None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"external_run_id": "{{ dag_run.conf.x.y }}"}, "A template could not be rendered here: UndefinedError"),
        # These have other values in the triggerer than on a worker.
        ({"external_run_id": "{{ dag_run.run_type }}"}, "A template could not be rendered here: UndefinedError"),
        ({"external_run_id": "{{ dag_run.note }}"}, "A template could not be rendered here: UndefinedError"),
        ({"external_run_id": "{{ dag_run }}"}, "A template could not be rendered here: TypeError"),
        ({"external_run_id": "{{ '' }}"}, "external_run_id was rendered to '': it names nothing"),
        ({"logical_date": "{{ ds }}?"}, "is no ISO 8601 date"),
        ({"kind": AstroTaskSensor, "external_task_id": "{{ '' }}"}, "external_task_id was rendered to ''"),
        ({"kind": AstroTaskSensor, "external_task_group_id": "{{ '' }}"}, "external_task_group_id was"),
        ({"kind": AstroTaskSensor, "external_task_ids": "{{ [ds] }}"}, "external_task_ids must be a list of task ids"),
        ({"logical_date": "{{ '' }}"}, "logical_date was rendered to ''"),
        ({"logical_date": "{{ none }}"}, "logical_date was rendered to 'None'"),
        ({"external_dag_id": "{{ none }}", **THEIRS}, "external_dag_id was rendered to 'None'"),
        ({"http_conn_id": "{{ none }}", **THEIRS}, "http_conn_id was rendered to 'None'"),
    ],
)
@pytest.mark.parametrize("retries", [0, 1])
async def test_template_that_the_triggerer_cannot_use_is_rendered_again_on_a_worker(
    fake_airflow: FakeAirflowServer, options: dict[str, Any], reason: str, retries: int
) -> None:
    ended_in, payload = await run_trigger(sensor_trigger(**{"retries": retries, **options}))
    assert ended_in == "worker"
    assert payload is not None
    assert payload["outcome"] == "restart"
    assert reason in payload["message"]
    assert fake_airflow.received == []


async def test_run_without_a_logical_date_is_restarted_on_a_worker(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    def without_date() -> dict[str, Any]:
        return {key: value for key, value in context().items() if key not in ("logical_date", "ds")}

    ended_in, payload = await run_trigger(sensor_trigger(retries=0, make_context=without_date))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert payload is not None
    assert "choose latest=True" in payload["message"]


def test_serialized_trigger_has_no_credentials_and_can_be_created_again(fake_airflow: FakeAirflowServer) -> None:
    from astro_provider.triggers.sensor import AstroSensorTrigger

    path, kwargs = sensor_trigger(AstroTaskSensor, external_task_ids=["a"], **THEIRS).serialize()
    assert path == "astro_provider.triggers.sensor.AstroSensorTrigger"
    assert TOKEN not in json.dumps(kwargs)
    assert AstroSensorTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)

"""A sensor's life in the triggerer, from what Airflow stores of it to the event that ends it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.hooks import astro_async
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.airflow_names import DAG
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import LOGICAL_DATE, NOW, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import TriggerEvent

    from astro_provider.triggers.sensor import AstroSensorTrigger
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and up")


@pytest.fixture(autouse=True)
def _sleeps_take_no_time(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    from astro_provider.triggers import sensor

    monkeypatch.setattr(sensor, "LOG_FLUSH_SECONDS", 0)
    sleeping = SimpleNamespace(sleep=clock.sleep_async, create_task=asyncio.create_task)
    monkeypatch.setattr(sensor, "asyncio", sleeping)


@pytest.fixture(autouse=True)
def links(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The links that were pushed; the triggerer would send them to its supervisor."""
    from airflow.sdk.execution_time.xcom import XCom

    pushed: list[str] = []

    async def aset(key: str, value: Any, *, dag_id: str, task_id: str, run_id: str, map_index: int) -> None:
        ti = TaskInstance()
        assert (key, dag_id, task_id, run_id) == ("remote_dag_run_url", "local", "wait", ti.run_id)
        pushed.append(value)

    monkeypatch.setattr(XCom, "aset", aset)
    return pushed


def trigger(
    kind: type[AstroDagRunSensor] = AstroDagRunSensor,
    *,
    began: datetime = NOW,
    try_number: int = 1,
    context_of: Callable[[], dict[str, Any]] = context,
    rendered: bool = True,
    **options: Any,
) -> AstroSensorTrigger:
    """Make the trigger of a sensor as a triggerer does: from the serialised DAG, told its task instance, rendered."""
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    from astro_provider.triggers.sensor import AstroSensorTrigger

    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        kind(**{"task_id": "wait", "external_dag_id": "d", "deferrable": True, "timeout": 60, **options})
    task = round_trip(dag).task_dict["wait"]
    made = AstroSensorTrigger(**smart_decode_trigger_kwargs(task.start_trigger_args.trigger_kwargs))
    ti = TaskInstance(task_id="wait", try_number=try_number)
    made.task_instance = SimpleNamespace(**vars(ti), task=task)  # type: ignore[assignment]  # has all that is looked at
    made.timeout_after = began + task.start_trigger_args.timeout
    if rendered:
        made.render_template_fields(context_of())  # type: ignore[arg-type]  # a plain dict
    return made


async def ended(waiting: AstroSensorTrigger) -> tuple[str, dict[str, Any] | None]:
    """Run it: how it ended the task, or ``worker`` and what that is told."""
    only: TriggerEvent
    (only,) = [event async for event in waiting.run()]
    state = getattr(only, "task_instance_state", None)
    if state is not None:
        return str(state), None
    assert json.loads(json.dumps(only.payload)) == only.payload
    return "worker", only.payload


RUN = "dags/d/dagRuns/theirs"
THEIRS = {"external_run_id": "theirs"}


async def test_it_ends_the_task_well(any_airflow: FakeAirflowServer, links: list[str], log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "running", "success")
    assert await ended(trigger(**THEIRS)) == ("success", None)
    assert links[-1].startswith(f"{any_airflow.url}/dags/d/")
    assert [line.rpartition(": ")[2] for line in log_lines if line.startswith("run 'theirs'")] == ["running", "success"]


async def test_the_link_is_there_while_it_waits(
    fake_airflow: FakeAirflowServer, clock: FakeClock, links: list[str]
) -> None:
    fake_airflow.has_run("theirs", "running")
    received = []

    def at_sleep() -> None:
        received.append(len(links))
        fake_airflow.end_run("theirs")

    clock.at_sleep = at_sleep
    await ended(trigger(**THEIRS))
    assert received[0] == 1
    assert len(set(links)) == 1


async def test_the_first_look_is_at_once(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "success")
    await ended(trigger(**THEIRS))
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("options", "end", "said"),
    [
        ({}, "failed", "Failed tasks:"),
        ({"soft_fail": True}, "skipped", "Skipped, as soft_fail is set: run 'theirs'"),
        ({"failed_states": [], "skipped_states": ["failed"]}, "skipped", "failed"),
    ],
)
async def test_a_run_that_fails(
    any_airflow: FakeAirflowServer, log_lines: list[str], options: dict[str, Any], end: str, said: str
) -> None:
    any_airflow.has_run("theirs", "failed")
    any_airflow.has_task("extract", "failed", run_id="theirs", log=any_airflow.payloads.log())
    assert await ended(trigger(**THEIRS, **options)) == (end, None)
    assert any(said in line for line in log_lines)


@pytest.mark.parametrize(
    ("options", "end"), [({}, "failed"), ({"soft_fail": True}, "skipped"), ({"retries": 1}, "worker")]
)
async def test_timeout(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str], options: dict[str, Any], end: str
) -> None:
    fake_airflow.has_run("theirs", "running")
    how, event = await ended(trigger(**THEIRS, timeout=60, **{"retries": 0, **options}))
    assert how == end
    assert datetime.now(timezone.utc) - NOW == timedelta(seconds=60)
    if event is None:
        assert "Not over after 60 seconds (timeout). Last seen: run 'theirs'" in log_lines[-1]
    else:
        assert event["outcome"] == "timeout"


async def test_a_restarted_triggerer_goes_on_with_what_is_left_of_the_timeout(
    fake_airflow: FakeAirflowServer, clock: FakeClock
) -> None:
    fake_airflow.has_run("theirs", "running")
    began = NOW - timedelta(seconds=500)
    await ended(trigger(**THEIRS, timeout=600, began=began))
    assert datetime.now(timezone.utc) - NOW == timedelta(seconds=100)


async def test_a_target_that_is_down_when_it_begins_is_waited_for(
    fake_airflow: FakeAirflowServer, clock: FakeClock, log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    fake_airflow.on("GET", RUN, *[HANGUP] * 12, fake_airflow.stored_response)
    assert await ended(trigger(**THEIRS, timeout=3600)) == ("success", None)
    assert sum(line.startswith("Still waiting: ") for line in log_lines) == 1


@pytest.mark.parametrize(("age", "limit"), [(0, MAX_REFUSED_AT_FIRST_SECONDS), (300, MAX_REFUSED_SECONDS)])
async def test_a_restarted_triggerer_tolerates_a_refusal_as_one_that_was_answered(
    fake_airflow: FakeAirflowServer, clock: FakeClock, age: float, limit: float
) -> None:
    fake_airflow.on("GET", RUN, json_response({"detail": "no"}, 403))
    await ended(trigger(**THEIRS, timeout=36000, began=NOW - timedelta(seconds=age)))
    assert limit <= (datetime.now(timezone.utc) - NOW).total_seconds() < limit + 30


@pytest.mark.parametrize("poke_interval", [1, 900])
async def test_a_connection_that_cannot_be_read_yet_is_read_again(
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
    assert await ended(trigger(**THEIRS, timeout=3600, poke_interval=poke_interval)) == ("success", None)
    assert sum(line.startswith("Still waiting: ") for line in log_lines) == 1


async def test_what_was_not_rendered_as_the_dag_was_changed_is_started_again_by_a_worker(
    fake_airflow: FakeAirflowServer,
) -> None:
    how, event = await ended(trigger(**THEIRS, rendered=False))
    assert (how, event and event["outcome"]) == ("worker", "restart")
    assert fake_airflow.received == []


@pytest.mark.parametrize(("retries", "end"), [(0, "failed"), (1, "worker")])
async def test_being_refused_fails_it_for_good(
    fake_airflow: FakeAirflowServer, log_lines: list[str], retries: int, end: str
) -> None:
    fake_airflow.on("GET", RUN, json_response({"detail": "no"}, 403))
    how, event = await ended(trigger(**THEIRS, retries=retries))
    assert how == end
    assert "refused" in (event["message"] if event else log_lines[-1])


async def test_a_later_try_ends_on_a_worker(fake_airflow: FakeAirflowServer) -> None:
    """Airflow 3.3 would keep the end of the first try for that of the second."""
    fake_airflow.has_run("theirs", "success")
    how, event = await ended(trigger(**THEIRS, try_number=2))
    assert (how, event and event["outcome"]) == ("worker", "success")


async def test_what_a_callback_is_to_hear_of_ends_on_a_worker(
    fake_airflow: FakeAirflowServer, links: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    how, event = await ended(trigger(**THEIRS, on_success_callback=print))
    assert (how, event and event["outcome"]) == ("worker", "success")
    assert len(links) == 1


async def test_a_link_that_cannot_be_stored_fails_nothing(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    async def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no database")

    monkeypatch.setattr(XCom, "aset", refuse)
    fake_airflow.has_run("theirs", "running", "success")
    assert await ended(trigger(**THEIRS)) == ("success", None)
    assert "The link to the remote dag run could not be stored: no database" in log_lines


# Which run.


async def test_templates_are_rendered(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("r_2026-02-01", "success", dag_id="d_2026-02-01")
    named = {"external_dag_id": "d_{{ ds }}", "external_run_id": "r_{{ ds }}", "http_conn_id": "http_{{ 'conn' }}"}
    assert await ended(trigger(**named)) == ("success", None)


@pytest.mark.parametrize(
    "options",
    [{}, {"execution_delta": timedelta(hours=1)}, {"logical_date": "{{ ds }}T03:00:00"}],
)
async def test_by_logical_date(fake_airflow: FakeAirflowServer, options: dict[str, Any]) -> None:
    date = LOGICAL_DATE - options.get("execution_delta", timedelta())
    if "ds" in options.get("logical_date", ""):
        date = LOGICAL_DATE.replace(hour=3)
    fake_airflow.has_run("theirs", "success", logical_date=date.isoformat())
    assert await ended(trigger(**options)) == ("success", None)


async def test_latest(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "success")
    newest = trigger(latest=True)
    assert newest.rendered_wait.logical_dates == []
    assert await ended(newest) == ("success", None)


async def test_poke_interval(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.has_run("theirs", "running")
    clock.at_sleep = lambda: fake_airflow.end_run("theirs")
    await ended(trigger(**THEIRS, poke_interval=17))
    assert clock.sleeps == [17]


async def test_check_existence(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    assert await ended(trigger(external_dag_id="quik", latest=True, check_existence=True)) == ("failed", None)
    assert "has no dag 'quik'" in log_lines[-1]


@pytest.mark.parametrize(
    "named",
    [{"external_task_id": "t_{{ ds }}"}, {"external_task_ids": ["t_{{ ds }}"]}, {"external_task_group_id": "g"}],
)
async def test_tasks(any_airflow: FakeAirflowServer, named: dict[str, Any]) -> None:
    any_airflow.has_run("theirs", "running")
    any_airflow.has_task("other", "failed", run_id="theirs")
    any_airflow.has_task("t_2026-02-01", "success", run_id="theirs")
    any_airflow.has_task("g.one", "success", run_id="theirs")
    any_airflow.groups = {"g": ["g.one"]}
    assert await ended(trigger(AstroTaskSensor, **THEIRS, **named)) == ("success", None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"external_run_id": "{{ dag_run.conf }}"}, "A template could not be rendered here: UndefinedError"),
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
async def test_a_template_that_the_triggerer_cannot_use_is_rendered_on_a_worker(
    fake_airflow: FakeAirflowServer, options: dict[str, Any], reason: str, retries: int
) -> None:
    how, event = await ended(trigger(**{"retries": retries, **options}))
    assert how == "worker"
    assert event is not None
    assert event["outcome"] == "restart"
    assert reason in event["message"]
    assert fake_airflow.received == []


async def test_a_run_without_a_logical_date_has_none_to_wait_for(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    def without_date() -> dict[str, Any]:
        return {key: value for key, value in context().items() if key not in ("logical_date", "ds")}

    how, event = await ended(trigger(retries=0, context_of=without_date))
    assert (how, event and event["outcome"]) == ("worker", "restart")
    assert event is not None
    assert "choose latest=True" in event["message"]


def test_it_is_stored_without_credentials_and_made_again(fake_airflow: FakeAirflowServer) -> None:
    from astro_provider.triggers.sensor import AstroSensorTrigger

    path, kwargs = trigger(AstroTaskSensor, external_task_ids=["a"], **THEIRS).serialize()
    assert path == "astro_provider.triggers.sensor.AstroSensorTrigger"
    assert TOKEN not in json.dumps(kwargs)
    assert AstroSensorTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)

"""What a sensor does, in every mode, while its target cannot be reached or refuses it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from astro_provider.airflow_versions import AIRFLOW_VERSION, AirflowFailException, AirflowSensorTimeout
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.airflow_names import TaskDeferred
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, context

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

MODES = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]
every_mode = pytest.mark.parametrize("mode", MODES, ids=["poke", "reschedule", "deferrable"])

RUN = "dags/d/dagRuns/theirs"
DOWN = [HANGUP, json_response({"detail": "down"}, 503)]
REFUSED = json_response({"detail": "no"}, 403)


def sensor(**options: Any) -> AstroDagRunSensor:
    return AstroDagRunSensor(
        **{"task_id": "wait", "external_dag_id": "d", "external_run_id": "theirs", "timeout": 86_400, **options}
    )


def warnings(log_lines: list[str]) -> list[str]:
    return [line for line in log_lines if line.startswith("Still waiting: ")]


async def outcome(waiting: AstroDagRunSensor) -> None:
    """Run a sensor until its task is over: poke it again when it is rescheduled, run its trigger when it defers."""
    try:
        waiting.execute(context())
    except AirflowRescheduleException:
        await outcome(sensor(mode="reschedule"))
    except TaskDeferred as deferred:
        _, arguments = deferred.trigger.serialize()
        (event,) = [event async for event in AstroDagRunTrigger(**json.loads(json.dumps(arguments))).run()]
        waiting.execute_complete(context(), json.loads(json.dumps(event.payload)))


@every_mode
@pytest.mark.parametrize("down", DOWN, ids=["hang up", "503"])
async def test_a_target_that_is_down_at_the_first_check_is_waited_for(
    any_airflow: FakeAirflowServer, mode: dict[str, Any], down: Any, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "success")
    any_airflow.on("GET", RUN, *[down] * 12, any_airflow.stored_response)
    await outcome(sensor(**mode))
    assert warnings(log_lines)
    if mode != {"mode": "reschedule"}:  # there, every poke has a log and a warning of its own
        assert len(warnings(log_lines)) <= 2  # one on the worker, one in the triggerer


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}], ids=["poke", "deferrable"])
async def test_a_target_that_stays_down_ends_it_by_timeout(
    fake_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]
) -> None:
    fake_airflow.on("GET", RUN, HANGUP)
    with pytest.raises(AirflowSensorTimeout):
        await outcome(sensor(timeout=600, poke_interval=60, **mode))
    assert sum(clock.sleeps) >= 600


@every_mode
def test_a_refusal_at_the_first_check_ends_it_after_a_minute(
    fake_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]
) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match="refused"):
        sensor(**mode).execute(context())
    assert sum(clock.sleeps) == MAX_REFUSED_AT_FIRST_SECONDS


@every_mode
def test_a_token_that_is_replaced_is_used_at_the_next_check(
    fake_airflow: FakeAirflowServer, clock: FakeClock, connect: Callable[..., None], mode: dict[str, Any]
) -> None:
    fake_airflow.has_run("theirs", "success")
    connect(fake_airflow.url, password="outdated")
    clock.at_sleep = lambda: connect(fake_airflow.url, password="valid")
    fake_airflow.on("GET", RUN, REFUSED, fake_airflow.stored_response)
    sensor(**mode).execute(context())
    sent = [request.headers["authorization"] for request in fake_airflow.received]
    assert sent == ["Bearer outdated", "Bearer valid"]


@pytest.mark.parametrize("hours", [0, 20])
def test_a_rescheduled_sensor_tolerates_a_refusal_as_long_as_any_other(
    fake_airflow: FakeAirflowServer, clock: FakeClock, rescheduled: Callable[[datetime], dict[str, Any]], hours: int
) -> None:
    """However long ago it was first rescheduled: the limit counts from the first refusal, as in every mode."""
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match="refused"):
        sensor(mode="reschedule").execute(rescheduled(NOW - timedelta(hours=hours)))
    assert sum(clock.sleeps) == MAX_REFUSED_SECONDS


def test_a_rescheduled_sensor_goes_on_after_a_refusal(
    fake_airflow: FakeAirflowServer, rescheduled: Callable[[datetime], dict[str, Any]]
) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("GET", RUN, *[REFUSED] * 5, fake_airflow.stored_response)
    with pytest.raises(AirflowRescheduleException):
        sensor(mode="reschedule").execute(rescheduled(NOW))


@pytest.mark.parametrize("down", DOWN, ids=["hang up", "503"])
def test_a_rescheduled_sensor_gives_its_worker_back_while_the_target_is_down(
    fake_airflow: FakeAirflowServer, clock: FakeClock, rescheduled: Callable[[datetime], dict[str, Any]], down: Any
) -> None:
    fake_airflow.on("GET", RUN, down)
    with pytest.raises(AirflowRescheduleException):
        sensor(mode="reschedule", poke_interval=300).execute(rescheduled(NOW))
    assert sum(clock.sleeps) < 60


def test_a_refusal_does_not_outlast_the_timeout(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises((AirflowSensorTimeout, AirflowRescheduleException)):
        sensor(mode="reschedule", timeout=30).execute(context())
    assert sum(clock.sleeps) <= 30


@pytest.mark.skipif(AIRFLOW_VERSION >= (3, 0), reason="Airflow 3 says it in the context")
def test_airflow_2_is_asked_for_the_first_try_since_the_last_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astro_provider.airflow_versions import was_rescheduled
    from tests.unit.task_runner import TaskInstance

    calls_received: list[dict[str, Any]] = []
    monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **arguments: calls_received.append(arguments))
    ti = TaskInstance(max_tries=5, try_number=5)
    assert not was_rescheduled(sensor(retries=2), context(ti))
    assert calls_received[0]["try_number"] == 4

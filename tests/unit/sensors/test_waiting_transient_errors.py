"""What a sensor does, in every mode, while its target cannot be reached or refuses its requests."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from astro_provider.airflow_versions import AIRFLOW_VERSION, AirflowFailException, AirflowSensorTimeout
from astro_provider.api.errors import NotAirflowError
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.airflow_names import TaskDeferred
from tests.unit.api.json_web_token import EXPIRING, expiring_token
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.sensors.factory import deferrable_sensor, every_mode, resume, run_id_sensor
from tests.unit.task_runner import NOW, TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from astro_provider.sensors.base import AstroBaseSensor
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/theirs"
OUTAGES = [HANGUP, json_response({"detail": "down"}, 503)]
REFUSED = json_response({"detail": "no"}, 403)
NO_ROUTE = json_response({"message": "no Route matched with those values"}, 404)
DAY_SECONDS = 86_400


def warnings(log_lines: list[str]) -> list[str]:
    return [line for line in log_lines if line.startswith("Still waiting: ")]


async def run_until_ended(sensor: AstroBaseSensor) -> None:
    """Execute a sensor until its task has ended: again when it is rescheduled, with its trigger when it defers."""
    try:
        sensor.execute(context())
    except AirflowRescheduleException:
        await run_until_ended(run_id_sensor(timeout=DAY_SECONDS, mode="reschedule"))
    except TaskDeferred as deferred:
        await resume(sensor, deferred)


@every_mode
async def test_token_that_expires_soon_is_warned_of_once(
    any_airflow: FakeAirflowServer,
    connect: Callable[..., None],
    mode: dict[str, Any],
    log_lines: list[str],
    rescheduled: Callable[[datetime], dict[str, Any]],
) -> None:
    connect(any_airflow.url, password=expiring_token())
    any_airflow.has_run("theirs", "running", "success")
    any_airflow.has_xcom("report", 1)
    options = {"timeout": DAY_SECONDS, "result_task_id": "report", **mode}
    try:
        run_id_sensor(**options).execute(context())
    except AirflowRescheduleException:
        run_id_sensor(**options).execute(rescheduled(NOW))
    except TaskDeferred as deferred:
        await resume(run_id_sensor(**options), deferred)  # in another process
    assert len([line for line in log_lines if line.startswith(EXPIRING)]) == 1


@every_mode
@pytest.mark.parametrize("outage", OUTAGES, ids=["hang up", "503"])
async def test_outage_at_the_first_check_is_tolerated(
    any_airflow: FakeAirflowServer, mode: dict[str, Any], outage: Any, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "success")
    any_airflow.on("GET", RUN, *[outage] * 12, any_airflow.stored_response)
    await run_until_ended(run_id_sensor(timeout=DAY_SECONDS, **mode))
    assert warnings(log_lines)
    if mode != {"mode": "reschedule"}:  # in which every check has its own log and warning
        assert len(warnings(log_lines)) <= 2  # one on the worker, one in the triggerer


def test_outage_after_the_first_check_is_tolerated_with_one_warning(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: FakeClock
) -> None:
    fake_airflow.has_run("theirs", "running", "success")
    outage = json_response({"detail": "down"}, 503)
    fake_airflow.on("GET", RUN, fake_airflow.stored_response, *[outage] * 6, fake_airflow.stored_response)
    run_id_sensor(poke_interval=0.7).execute(context())
    assert clock.sleeps.count(0.7) == 3
    assert len(warnings(log_lines)) == 1


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}], ids=["poke", "deferrable"])
async def test_outage_that_lasts_ends_in_a_timeout(
    fake_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]
) -> None:
    fake_airflow.on("GET", RUN, HANGUP)
    with pytest.raises(AirflowSensorTimeout):
        await run_until_ended(run_id_sensor(timeout=600, poke_interval=60, **mode))
    assert sum(clock.sleeps) >= 600


@every_mode
def test_refusal_at_the_first_check_fails_the_sensor_after_a_minute(
    fake_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]
) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match=r"^Failed: dag 'd': Refused with 40\d"):
        run_id_sensor(timeout=DAY_SECONDS, **mode).execute(context())
    assert MAX_REFUSED_AT_FIRST_SECONDS <= sum(clock.sleeps) <= MAX_REFUSED_AT_FIRST_SECONDS + 5


def test_refusal_says_what_to_check_and_hides_the_token(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match="expired, or of another Workspace or Deployment") as caught:
        run_id_sensor().execute(context())
    assert TOKEN not in str(caught.value)


@every_mode
def test_new_token_is_used_at_the_next_check(
    fake_airflow: FakeAirflowServer, clock: FakeClock, connect: Callable[..., None], mode: dict[str, Any]
) -> None:
    fake_airflow.has_run("theirs", "success")
    connect(fake_airflow.url, password="outdated")
    clock.at_sleep = lambda: connect(fake_airflow.url, password="valid")
    fake_airflow.on("GET", RUN, REFUSED, fake_airflow.stored_response)
    run_id_sensor(timeout=DAY_SECONDS, **mode).execute(context())
    sent = [request.headers["authorization"] for request in fake_airflow.received]
    assert sent == ["Bearer outdated", "Bearer valid"]


@pytest.mark.parametrize("hours", [0, 20])
def test_rescheduled_sensor_tolerates_a_refusal_as_long_as_in_other_modes(
    fake_airflow: FakeAirflowServer, clock: FakeClock, rescheduled: Callable[[datetime], dict[str, Any]], hours: int
) -> None:
    """The limit counts from the first refusal, however long ago the sensor was first rescheduled."""
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match=r"^Failed: dag 'd': Refused with 40\d"):
        run_id_sensor(timeout=DAY_SECONDS, mode="reschedule").execute(rescheduled(NOW - timedelta(hours=hours)))
    assert sum(clock.sleeps) == MAX_REFUSED_SECONDS


def test_rescheduled_sensor_continues_after_a_refusal(
    fake_airflow: FakeAirflowServer, rescheduled: Callable[[datetime], dict[str, Any]]
) -> None:
    fake_airflow.has_run("theirs", "running")
    fake_airflow.on("GET", RUN, *[REFUSED] * 5, fake_airflow.stored_response)
    with pytest.raises(AirflowRescheduleException):
        run_id_sensor(timeout=DAY_SECONDS, mode="reschedule").execute(rescheduled(NOW))


@pytest.mark.parametrize("outage", OUTAGES, ids=["hang up", "503"])
def test_rescheduled_sensor_frees_its_worker_during_an_outage(
    fake_airflow: FakeAirflowServer, clock: FakeClock, rescheduled: Callable[[datetime], dict[str, Any]], outage: Any
) -> None:
    fake_airflow.on("GET", RUN, outage)
    with pytest.raises(AirflowRescheduleException):
        run_id_sensor(timeout=DAY_SECONDS, mode="reschedule", poke_interval=300).execute(rescheduled(NOW))
    assert sum(clock.sleeps) < 60


def test_refusal_is_not_tolerated_beyond_the_timeout(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises((AirflowSensorTimeout, AirflowRescheduleException)):
        run_id_sensor(mode="reschedule", timeout=30).execute(context())
    assert sum(clock.sleeps) <= 30


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_gateway_without_a_route_fails_the_sensor(
    any_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, mode: str
) -> None:
    """A gateway that answers 404 to every request, as JSON like Airflow, is not a run that does not exist yet."""
    monkeypatch.setattr(any_airflow, "_default_response", lambda received: NO_ROUTE)
    with pytest.raises(NotAirflowError, match=r"answers 404 to everything.* Check Host of the connection"):
        run_id_sensor(mode=mode).execute(context())
    assert sum(clock.sleeps) == pytest.approx(MAX_REFUSED_AT_FIRST_SECONDS, abs=15)


@pytest.mark.skipif(AIRFLOW_VERSION >= (3, 0), reason="Airflow 3 has the date in the context")
def test_airflow_2_looks_up_the_reschedules_since_the_last_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    from astro_provider.airflow_versions import was_rescheduled

    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **arguments: calls.append(arguments))
    ti = TaskInstance(max_tries=5, try_number=5)
    assert not was_rescheduled(run_id_sensor(retries=2), context(ti))
    assert calls[0]["try_number"] == 4


@pytest.mark.parametrize("deferrable", [False, True])
def test_invalid_parameter_fails_at_once_even_if_the_connection_cannot_be_read(
    clock: FakeClock, deferrable: bool
) -> None:
    sensor = deferrable_sensor(external_run_id="{{ nothing }}", deferrable=deferrable, http_conn_id="unknown")
    sensor.external_run_id = ""
    with pytest.raises(AirflowFailException, match="external_run_id was rendered to ''"):
        sensor.execute(context())
    assert clock.sleeps == []

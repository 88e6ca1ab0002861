"""How a sensor times out in every mode."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from astro_provider.airflow_versions import AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout
from astro_provider.tasks.task_state import MIN_SUSPENSION_SECONDS
from tests.unit.sensors.factory import deferral, execute_deferred, run_id_sensor
from tests.unit.task_runner import NOW, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

LIMITED = r"^(?s:(Timed out after 60 s|Skipped): dag 'd' in .*Limit: LIMIT. Last seen: Running\n)"
"""The message of each timeout; the part ``LIMIT`` is replaced."""

fails_or_skips = pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)


@fails_or_skips
def test_sensor_in_poke_mode_fails_or_skips_after_its_timeout(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(error, match=LIMITED.replace("LIMIT", "timeout")):
        run_id_sensor(timeout=60, poke_interval=20, **options).execute(context())
    assert 60 < sum(clock.sleeps) < 67


@pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowTaskTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)
def test_execution_timeout_of_a_sensor_in_poke_mode_says_what_it_waited_for(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    def time_out() -> None:
        raise AirflowTaskTimeout("Airflow's message")

    any_airflow.has_run("theirs", "running")
    clock.at_sleep = time_out
    with pytest.raises(error, match=LIMITED.replace("LIMIT", "execution_timeout")):
        run_id_sensor(execution_timeout=timedelta(seconds=60), **options).execute(context())


@fails_or_skips
def test_sensor_in_reschedule_mode_fails_or_skips_after_its_timeout(
    any_airflow: FakeAirflowServer,
    rescheduled: Callable[[datetime], dict[str, Any]],
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    any_airflow.has_run("theirs", "running")
    sensor = run_id_sensor(timeout=60, mode="reschedule", poke_interval=20, **options)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute(rescheduled(NOW - timedelta(seconds=50)))
    assert caught.value.reschedule_date == NOW + timedelta(seconds=MIN_SUSPENSION_SECONDS)
    with pytest.raises(error, match=LIMITED.replace("LIMIT", "timeout")):
        sensor.execute(rescheduled(NOW - timedelta(seconds=61)))


@fails_or_skips
async def test_deferred_sensor_fails_or_skips_after_its_timeout(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(error, match=LIMITED.replace("LIMIT", "timeout")):
        await execute_deferred(run_id_sensor(deferrable=True, timeout=60, poke_interval=25, **options))
    assert sum(clock.sleeps) == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize(
    ("options", "error"), [({}, AirflowTaskTimeout), ({"soft_fail": True}, AirflowSkipException)], ids=str
)
async def test_deferred_sensor_fails_or_skips_after_its_execution_timeout(
    any_airflow: FakeAirflowServer, clock: FakeClock, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running")
    limits = {"timeout": 3600, "execution_timeout": timedelta(seconds=60)}
    with pytest.raises(error, match=LIMITED.replace("LIMIT", "execution_timeout")):
        await execute_deferred(run_id_sensor(deferrable=True, poke_interval=25, **limits, **options))
    assert 50 <= sum(clock.sleeps) <= 60  # Airflow 2 needs some of the time to resume the task


async def test_execution_timeout_longer_than_timeout_has_no_effect(
    any_airflow: FakeAirflowServer, clock: FakeClock
) -> None:
    any_airflow.has_run("theirs", "running")
    with pytest.raises(AirflowSensorTimeout, match=r"^Timed out after 60 s: dag 'd' in .*\n  Limit: timeout\."):
        await execute_deferred(run_id_sensor(deferrable=True, timeout=60, execution_timeout=timedelta(seconds=61)))
    assert sum(clock.sleeps) == pytest.approx(60, abs=0.01)


def test_airflow_ends_a_deferral_later_than_the_trigger(fake_airflow: FakeAirflowServer) -> None:
    deferred = deferral(run_id_sensor(deferrable=True, timeout=60))
    assert deferred.trigger.deadline == NOW.timestamp() + 60
    assert deferred.timeout is not None
    assert deferred.timeout > timedelta(seconds=60)

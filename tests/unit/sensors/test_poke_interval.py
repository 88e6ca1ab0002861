"""The interval between two checks of a sensor on a worker."""

from __future__ import annotations

from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import BaseSensorOperator
from astro_provider.tasks.task_state import MIN_SUSPENSION_SECONDS
from tests.unit.sensors.factory import run_id_sensor
from tests.unit.task_runner import NOW, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def test_sensor_checks_a_short_run_every_second_and_a_long_one_every_poke_interval(
    fake_airflow: FakeAirflowServer, clock: FakeClock
) -> None:
    fake_airflow.has_run("theirs", *["running"] * 100, "success")
    run_id_sensor(poke_interval=20, timeout=3600).execute(context())
    assert clock.sleeps[:10] == [pytest.approx(1)] * 10
    assert clock.sleeps[-1] == 20
    ages = accumulate(clock.sleeps)
    assert all(1 <= each <= max(1, age / 10) + 0.01 for each, age in zip(clock.sleeps[1:], ages, strict=False))


@pytest.mark.parametrize(
    ("age", "poke_interval", "seconds"),
    [(0, 60, MIN_SUSPENSION_SECONDS), (300, 60, 30), (900, 60, 60), (0, 7, 7)],
)
def test_rescheduled_sensor_leaves_airflow_time_to_store_that(age: float, poke_interval: float, seconds: float) -> None:
    sensor = run_id_sensor(poke_interval=poke_interval, mode="reschedule")
    assert sensor._get_next_poke_interval(NOW, lambda: age, 1) == seconds


def test_exponential_backoff_is_that_of_airflow() -> None:
    sensor = run_id_sensor(poke_interval=60, exponential_backoff=True, max_wait=timedelta(minutes=10), timeout=1e6)
    intervals = [sensor._get_next_poke_interval(0, lambda: 100, count) for count in range(1, 9)]
    airflow = [BaseSensorOperator._get_next_poke_interval(sensor, 0, lambda: 100, count) for count in range(1, 9)]
    assert intervals == airflow
    assert intervals[-1] == 600

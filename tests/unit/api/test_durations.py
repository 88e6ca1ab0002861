"""Invalid intervals and timeouts are refused by every class that has them, and short intervals are raised."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.durations import (
    MIN_POKE_INTERVAL_SECONDS,
    check_interval,
    poke_interval_seconds,
    timeout_seconds,
)
from astro_provider.hooks.astro import AstroHook
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.triggers.sensor import AstroSensorTrigger
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_server import ScriptedServer

WAIT = RunWait("d", EndStates(["success"]), run_id="r")
OF_SENSOR_TRIGGER: dict[str, Any] = {
    "wait": WAIT,
    "timeout": 60,
    "airflow_timeout": 60,
    "soft_fail": False,
    "ends": {},
}
CLASSES: dict[str, Callable[[Any], Any]] = {
    "operator": lambda interval: AstroTriggerDagRunOperator(task_id="t", trigger_dag_id="d", poke_interval=interval),
    "sensor": lambda interval: AstroDagRunSensor(task_id="t", external_dag_id="d", poke_interval=interval),
    "task sensor": lambda interval: AstroTaskSensor(
        task_id="t", external_dag_id="d", external_task_id="x", poke_interval=interval
    ),
    "trigger": lambda interval: AstroDagRunTrigger(http_conn_id="c", wait=WAIT, poke_interval=interval),
    "sensor trigger": lambda interval: AstroSensorTrigger(
        http_conn_id="c", external_dag_id="d", poke_interval=interval, **OF_SENSOR_TRIGGER
    ),
}
WRONG = [-1, -0.1, True, False, "5", None, float("nan"), float("inf"), float("-inf"), timedelta(seconds=-1)]


@pytest.mark.parametrize("seconds", WRONG, ids=str)
@pytest.mark.parametrize("check", [poke_interval_seconds, timeout_seconds])
def test_invalid_seconds_are_refused(check: Callable[[Any], float], seconds: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds, 0 or more and finite, not"):
        check(seconds)


@given(age=st.floats(-1e9, 1e9), poke_interval=st.floats(MIN_POKE_INTERVAL_SECONDS, 1e6))
def test_interval_of_checks_is_a_tenth_of_the_age_between_one_second_and_poke_interval(
    age: float, poke_interval: float
) -> None:
    interval = check_interval(age, poke_interval)
    assert interval <= poke_interval
    if poke_interval <= 1 or age >= 10.001 * poke_interval:
        assert interval == poke_interval
    elif age <= 10:
        assert interval == 1
    else:
        assert interval == pytest.approx(min(age / 10, poke_interval))


@given(ages=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), poke_interval=st.floats(MIN_POKE_INTERVAL_SECONDS, 1e4))
def test_interval_of_checks_never_shrinks(ages: tuple[float, float], poke_interval: float) -> None:
    assert check_interval(min(ages), poke_interval) <= check_interval(max(ages), poke_interval)


def test_seconds_can_be_a_timedelta() -> None:
    assert poke_interval_seconds(timedelta(minutes=1)) == timeout_seconds(timedelta(minutes=1)) == 60
    assert timeout_seconds(0) == 0


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("seconds", [-1, True, float("nan"), float("inf")], ids=str)
def test_every_class_refuses_invalid_seconds(name: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match="poke_interval must be a number of seconds"):
        CLASSES[name](seconds)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("seconds", [0, 0.001, timedelta()], ids=str)
def test_every_class_pauses_between_checks(name: str, seconds: Any) -> None:
    assert CLASSES[name](seconds).poke_interval == MIN_POKE_INTERVAL_SECONDS


def test_hook_pauses_between_checks(server: ScriptedServer, pauses: list[float]) -> None:
    runs = [json_response(server.payloads.dag_run("r", state)) for state in ("running", "running", "success")]
    server.on("GET", "dags/d/dagRuns/r", *runs)
    AstroHook().wait_for_dag_run("d", "r", poke_interval=0)
    assert pauses == [MIN_POKE_INTERVAL_SECONDS] * 2


@pytest.mark.parametrize("parameter", ["poke_interval", "timeout"])
@pytest.mark.parametrize("seconds", [-1, True, float("nan"), float("inf")], ids=str)
def test_hook_refuses_invalid_seconds(server: ScriptedServer, parameter: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"{parameter} must be a number of seconds"):
        AstroHook().wait_for_dag_run("d", "r", **{parameter: seconds})
    assert server.received == []

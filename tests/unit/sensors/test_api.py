"""The sensor that waits for the response of an endpoint, in every mode."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from astro_provider.api.errors import NotFoundError, ResponseCheckError
from astro_provider.sensors.api import AstroApiSensor
from astro_provider.triggers.api import AstroApiTrigger
from tests.airflow_names import DAG, AirflowRescheduleException, TaskDeferred
from tests.unit import checks
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.sensors.factory import every_mode
from tests.unit.task_runner import NOW, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def api_sensor(**options: Any) -> AstroApiSensor:
    return AstroApiSensor(
        **{"task_id": "wait", "endpoint": "things", "response_check": checks.is_ready, "timeout": 60, **options}
    )


def ready(*values: Any) -> list[Any]:
    return [json_response({"ready": value}) for value in values]


async def execute(sensor: AstroApiSensor) -> Any:
    """Execute a sensor, in the triggerer if it defers, and return its result."""
    try:
        return sensor.execute(context())
    except TaskDeferred as deferred:
        _, arguments = deferred.trigger.serialize()
        trigger = AstroApiTrigger(**json.loads(json.dumps(arguments)))
        (event,) = [event async for event in trigger.run()]
        resumed = api_sensor(**{name: getattr(sensor, name) for name in ("response_check", "soft_fail", "deferrable")})
        return resumed.execute_complete(context(), json.loads(json.dumps(event.payload)))


@every_mode
def test_response_that_is_accepted_at_once_is_returned(any_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    any_airflow.on("GET", "things", *ready(1))
    assert api_sensor(**mode).execute(context()) == {"ready": 1}


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["poke", "deferrable"])
async def test_response_that_is_accepted_later_is_returned(
    any_airflow: FakeAirflowServer, mode: dict[str, Any], log_lines: list[str]
) -> None:
    any_airflow.on("GET", "things", *ready(0, 0, 0, 2))
    assert await execute(api_sensor(**mode)) == {"ready": 2}
    refused = [line for line in log_lines if line.startswith("Not accepted: GET things in Deployment ")]
    assert len(refused) == 1
    assert refused[0].endswith("\n  response_check does not accept {'ready': 0}")
    assert any(line.startswith("Accepted: GET things in Deployment ") for line in log_lines)


def test_sensor_in_reschedule_mode_is_rescheduled(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    with pytest.raises(AirflowRescheduleException):
        api_sensor(mode="reschedule").execute(context())


@every_mode
def test_timeout(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    if mode == {"mode": "reschedule"}:
        pytest.skip("Airflow measures it with its database")
    sensor = api_sensor(**mode, timeout=30)
    if "deferrable" not in mode:
        with pytest.raises(AirflowSensorTimeout):
            sensor.execute(context())
        return
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context())
    assert caught.value.timeout == timedelta(seconds=30 + 300)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {},
            AirflowSensorTimeout,
            r"^Timed out after 60 s: GET things in .*\n  Limit: timeout. Last seen: Not accepted\n",
        ),
        (
            {"soft_fail": True},
            AirflowSkipException,
            r"^Skipped: GET things in .*\n  Timed out after 60 s, but soft_fail is set\n",
        ),
    ],
)
async def test_timeout_in_the_triggerer(
    fake_airflow: FakeAirflowServer, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    with pytest.raises(error, match=message):
        await execute(api_sensor(deferrable=True, **options))


def test_shorter_execution_timeout_limits_the_deferral(fake_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    sensor = api_sensor(deferrable=True, timeout=3600, execution_timeout=timedelta(minutes=5))
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context())
    assert 240 <= caught.value.trigger.deadline - datetime.now().timestamp() <= 300
    with pytest.raises(AirflowTaskTimeout, match="execution_timeout"):
        sensor.execute_complete(context(), {"outcome": "timeout", "message": "GET things", "run": None, "url": None})


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda response: bool(response["ready"]), "is no function of a module"),
        (checks.needs_day, "needs ds of the context"),
        (checks.Checks().method, "is no function of a module"),
    ],
)
async def test_deferrable_sensor_waits_on_a_worker_and_says_why(
    fake_airflow: FakeAirflowServer, function: Callable[..., Any], reason: str, log_lines: list[str]
) -> None:
    fake_airflow.on("GET", "things", *ready(0, "2026-02-01"))
    assert api_sensor(deferrable=True, response_check=function).execute(context()) == {"ready": "2026-02-01"}
    (line,) = [line for line in log_lines if "waits on a worker" in line]
    assert line.startswith(f"The sensor waits on a worker, not in the triggerer: response_check {reason}")


def test_reason_for_a_worker_is_logged_once(
    fake_airflow: FakeAirflowServer,
    rescheduled: Callable[[datetime], dict[str, Any]],
    log_lines: list[str],
) -> None:
    fake_airflow.on("GET", "things", *ready(0))
    options = {"deferrable": True, "mode": "reschedule", "response_check": lambda response: False}
    for make_context in (context, lambda: rescheduled(NOW)):
        with pytest.raises(AirflowRescheduleException):
            api_sensor(**options).execute(make_context())
    assert len([line for line in log_lines if "waits on a worker" in line]) == 1


async def test_sensor_whose_function_the_triggerer_lacks_waits_on_a_worker(
    fake_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    fake_airflow.on("GET", "things", *ready(0, 1))
    event = {"outcome": "restart", "message": "The triggerer cannot import it", "run": None, "url": None}
    assert api_sensor(deferrable=True).execute_complete(context(), event) == {"ready": 1}
    assert "The triggerer cannot import it" in log_lines


@every_mode
@pytest.mark.parametrize("soft_fail", [False, True])
async def test_error_of_the_function_fails_the_task(
    fake_airflow: FakeAirflowServer, mode: dict[str, Any], soft_fail: bool
) -> None:
    fake_airflow.on("GET", "things", json_response({}))
    with pytest.raises(ResponseCheckError, match="response_check 'is_ready' failed for GET things: KeyError: 'ready'"):
        await execute(api_sensor(**mode, soft_fail=soft_fail))


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["poke", "deferrable"])
async def test_function_can_skip_the_task(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "things", *ready(0, 1))
    with pytest.raises(AirflowSkipException, match="nothing to do"):
        await execute(api_sensor(**mode, response_check=checks.skips))


@every_mode
async def test_missing_resource_fails_the_task_at_once(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "variables/x", json_response({"detail": "was not found"}, 404))
    with pytest.raises(NotFoundError, match="has no variable 'x'"):
        await execute(api_sensor(**mode, endpoint="variables/x"))


@every_mode
async def test_missing_resource_can_be_waited_for(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "things", json_response({"detail": "was not found"}, 404))
    sensor = api_sensor(**mode, response_check=checks.is_ready_or_missing, allowed_statuses=(404,))
    assert await execute(sensor) == {"detail": "was not found"}


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["poke", "deferrable"])
async def test_outage_is_tolerated(fake_airflow: FakeAirflowServer, mode: dict[str, Any], log_lines: list[str]) -> None:
    down = json_response({"detail": "down"}, 503)
    fake_airflow.on("GET", "things", *ready(0), *[down] * 9, *ready(1))
    assert await execute(api_sensor(**mode, timeout=600)) == {"ready": 1}
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1


@every_mode
async def test_lasting_refusal_fails_the_task_for_good(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", "things", json_response({"detail": "no"}, 403))
    with pytest.raises(AirflowFailException, match=r"^Failed: GET things: Refused with 40\d"):
        await execute(api_sensor(**mode, timeout=3600))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "FETCH"}, "method must be one of"),
        ({"allowed_statuses": ("404",)}, "allowed_statuses must be"),
        ({"response_check": "is_ready"}, "response_check must be a function, not 'is_ready'"),
        ({"response_check": checks.is_ready_later}, "response_check must be an ordinary function"),
    ],
)
def test_invalid_parameter_is_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, AirflowException), match=message):
        api_sensor(**options)


def test_templates_are_rendered_and_the_dag_can_be_serialized(
    fake_airflow: FakeAirflowServer, connect: Callable[..., None]
) -> None:
    connect(fake_airflow.url, password=TOKEN, conn_id="conn_2026")
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        sensor = api_sensor(
            endpoint="things/{{ ds }}",
            data={"a": ["{{ ds }}"]},
            headers={"X-Day": "{{ ds }}"},
            http_conn_id="conn_{{ ds[:4] }}",
            deferrable=True,
        )
        AstroApiSensor.partial(task_id="mapped", response_check=checks.is_ready).expand(endpoint=["things", "others"])
    assert set(round_trip(dag).task_dict) == {"wait", "mapped"}
    assert round_trip(dag).task_dict["wait"].start_from_trigger is False
    sensor.render_template_fields(context())
    fake_airflow.on("GET", "things/2026-02-01", *ready(0))
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context(TaskInstance()))
    assert fake_airflow.received[-1].query == {"a": ["2026-02-01"]}
    assert fake_airflow.received[-1].headers["x-day"] == "2026-02-01"
    _, arguments = caught.value.trigger.serialize()
    assert arguments["http_conn_id"] == "conn_2026"
    assert arguments["request"]["endpoint"] == "things/2026-02-01"

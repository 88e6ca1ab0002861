"""How a sensor ends after its trigger has yielded an event."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from astro_provider.airflow_versions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from astro_provider.api.errors import AstroError, DagRunFailedError, TransportError
from tests.airflow_names import TaskDeferred
from tests.unit.sensors.factory import deferrable_sensor, run_id_sensor
from tests.unit.task_runner import TaskInstance, context


def payload(outcome: str, **fields: Any) -> dict[str, Any]:
    return {"outcome": outcome, "message": "what happened", "run": None, "url": None, **fields}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (payload("failed"), DagRunFailedError),
        (payload("timeout"), AirflowSensorTimeout),
        (payload("skipped"), AirflowSkipException),
        (payload("retryable_error", error="TransportError"), TransportError),
        (payload("error", error="AccessDeniedError"), AirflowFailException),
        (payload("retryable_error", error="UnknownError"), AstroError),  # an error class that does not exist here
        (payload("error", error="UnknownError"), AirflowFailException),
    ],
)
@pytest.mark.parametrize("option", [None, "soft_fail", "never_fail"])
def test_event_other_than_success_ends_the_task_with_an_error(
    event: dict[str, Any], error: type[Exception], option: str | None
) -> None:
    sensor = run_id_sensor(**({option: True} if option else {}))
    # As on a worker, soft_fail applies to the outcome of a wait, which a retryable error is not.
    fails = option is None or (option == "soft_fail" and event["outcome"] == "retryable_error")
    with pytest.raises(error if fails else AirflowSkipException, match="what happened") as caught:
        sensor.execute_complete(context(), event)
    assert isinstance(caught.value, DagRunFailedError) == bool(fails and error is DagRunFailedError)


@pytest.mark.parametrize("event", [None, {}, [], "success", {"status": "success"}, payload("pending")], ids=str)
def test_unknown_event_fails_the_task_for_good(event: Any) -> None:
    with pytest.raises(AirflowFailException, match="resumed with an event that it does not know"):
        run_id_sensor().execute_complete(context(), event)


def test_link_is_pushed_even_if_the_task_is_skipped() -> None:
    ti = TaskInstance()
    with pytest.raises(AirflowException):
        run_id_sensor().execute_complete(context(ti), payload("skipped", url="https://target.example.com/r"))
    assert ti.xcoms == {"remote_dag_run_url": "https://target.example.com/r"}


@pytest.mark.parametrize("defers_again", [False, True])
def test_restart_event_starts_the_sensor_again_on_a_worker(fake_airflow: Any, defers_again: bool) -> None:
    fake_airflow.has_run("theirs", "running" if defers_again else "success")
    event = payload("restart", message="The DAG was changed meanwhile.")
    with pytest.raises(TaskDeferred) if defers_again else nullcontext():
        deferrable_sensor(external_run_id="theirs").execute_complete(context(), event)
    assert fake_airflow.received != []

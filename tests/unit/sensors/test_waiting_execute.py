"""How a task ends in every mode, without a deferral and after one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api.errors import DagRunFailedError
from tests.unit.scripted_target import json_response
from tests.unit.sensors.factory import every_mode, execute_deferred, run_id_sensor
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/theirs"
REFUSED = json_response({"detail": "no"}, 403)


@every_mode
def test_finished_run_needs_no_wait(any_airflow: FakeAirflowServer, clock: FakeClock, mode: dict[str, Any]) -> None:
    any_airflow.has_run("theirs", "success")
    run_id_sensor(**mode).execute(context())
    assert clock.sleeps == []


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
def test_failed_run_fails_or_skips_the_task(
    any_airflow: FakeAirflowServer,
    log_lines: list[str],
    mode: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    any_airflow.has_run("theirs", "failed")
    with pytest.raises(error, match=r"^(Failed|Skipped): dag 'd' in .*\n[\s\S]*Run: theirs\n") as caught:
        run_id_sensor(**mode, **options).execute(context())
    # Airflow logs the exception that fails a task, and one that skips it only if it has arguments.
    skips = error is AirflowSkipException
    assert [line for line in log_lines if "Run: theirs" in line] == ([str(caught.value)] if skips else [])
    assert bool(caught.value.args) is not skips


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
async def test_run_that_fails_during_a_deferral_fails_or_skips_the_task(
    any_airflow: FakeAirflowServer, options: dict[str, Any], error: type[Exception]
) -> None:
    any_airflow.has_run("theirs", "running", "running", "failed")
    with pytest.raises(error, match=r"^(Failed|Skipped): dag 'd' in .*\n[\s\S]*Run: theirs\n"):
        await execute_deferred(run_id_sensor(deferrable=True, **options))


async def test_run_that_succeeds_during_a_deferral_ends_the_task(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    any_airflow.has_run("theirs", "queued", "running", "success")
    ti = TaskInstance()
    await execute_deferred(run_id_sensor(deferrable=True), ti)
    end = "runs/theirs" if any_airflow.api_version == "v2" else "grid?dag_run_id=theirs"
    assert ti.xcoms == {"remote_dag_run_url": f"{any_airflow.url}/dags/d/{end}"}
    assert any(line.startswith("Success: dag 'd' in ") for line in log_lines)


@every_mode
@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_refusal_skips_the_task_with_soft_fail(
    fake_airflow: FakeAirflowServer, mode: dict[str, Any], option: str
) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowSkipException):
        run_id_sensor(**mode, **{option: True}).execute(context())


@every_mode
def test_refusal_fails_the_task_for_good(fake_airflow: FakeAirflowServer, mode: dict[str, Any]) -> None:
    fake_airflow.on("GET", RUN, REFUSED)
    with pytest.raises(AirflowFailException, match=r"^Failed: dag 'd': Refused with 40\d"):
        run_id_sensor(**mode).execute(context())

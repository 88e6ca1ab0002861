"""Which outcomes end a task in the triggerer."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.triggers import endings as triggers_endings
from astro_provider.triggers.endings import endings
from tests.airflow_names import DAG, Asset, task, task_group
from tests.unit.operators.trigger_operators import trigger_operator
from tests.unit.sensors.factory import deferrable_sensor

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later")


def callback(context: Any) -> None:
    """Is called on a worker."""


FAILURES = dict.fromkeys(("failed", "timeout", "error"), "failed")


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({}, {"success": "success", "skipped": "skipped", "retryable_error": "failed", **FAILURES}),
        # Airflow retries a task that fails in the triggerer, so a final failure ends on a worker.
        (
            {"retries": 1},
            {"success": "success", "skipped": "skipped", "retryable_error": "failed", "failed": "failed"},
        ),
        (
            {"retries": 1, "soft_fail": True},
            {
                "success": "success",
                "skipped": "skipped",
                "retryable_error": "failed",
                **dict.fromkeys(FAILURES, "skipped"),
            },
        ),
        ({"on_success_callback": callback}, {"skipped": "skipped", "retryable_error": "failed", **FAILURES}),
        ({"post_execute": callback}, {"skipped": "skipped", "retryable_error": "failed", **FAILURES}),
        ({"outlets": [Asset("x")]}, {"skipped": "skipped", "retryable_error": "failed", **FAILURES}),
        ({"on_failure_callback": callback}, {"success": "success", "skipped": "skipped"}),
        ({"on_retry_callback": callback}, {"success": "success", "skipped": "skipped"}),
        ({"never_fail": True}, {"success": "success", "skipped": "skipped"}),
        ({"silent_fail": True}, {"success": "success", "skipped": "skipped"}),
        (
            {"on_failure_callback": callback, "soft_fail": True},
            {"success": "success", "skipped": "skipped", **dict.fromkeys(FAILURES, "skipped")},
        ),
    ],
)
def test_a_task_ends_in_the_triggerer_unless_its_end_needs_a_worker(
    options: dict[str, Any], ends: dict[str, str]
) -> None:
    assert endings(deferrable_sensor(**{"retries": 0, **options})) == ends


def test_a_skip_callback_is_called_on_a_worker() -> None:
    expected = {"success": "success", "retryable_error": "failed"}
    assert endings(deferrable_sensor(retries=0, soft_fail=True, on_skipped_callback=callback)) == expected


@pytest.mark.filterwarnings("ignore:Setting email")
def test_emails_are_sent_by_a_worker() -> None:
    sending = deferrable_sensor(retries=0, email="team@example.com")
    assert endings(sending) == {"success": "success", "skipped": "skipped"}


def test_a_worker_stops_a_dag_with_fail_fast() -> None:
    stopping = deferrable_sensor(retries=0, dag_options={"fail_fast": True})
    assert endings(stopping) == {"success": "success", "skipped": "skipped"}


@task
def use(value: Any) -> None:
    """Use one value."""


@task_group
def use_in_group(value: Any) -> None:
    use(value)


@pytest.mark.parametrize("used_by", [use, use_in_group])
def test_a_result_that_another_task_is_mapped_over_is_stored_by_a_worker(used_by: Any) -> None:
    with DAG("local", schedule=None):
        mapped_over = trigger_operator()
        used_by.expand(value=mapped_over.output)
    assert "success" not in endings(mapped_over)


@pytest.mark.parametrize("used_by", [use, use_in_group])
def test_a_task_with_other_tasks_downstream_succeeds_in_the_triggerer(used_by: Any) -> None:
    with DAG("local", schedule=None):
        triggering = trigger_operator()
        triggering >> used_by.expand(value=[1, 2])
        use(triggering.output)
    assert endings(triggering)["success"] == "success"


def test_a_task_with_retries_does_not_fail_in_the_triggerer_of_airflow_3_3_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers_endings, "RETRIES_FROM_TRIGGERER", False)
    assert endings(deferrable_sensor(retries=1)) == {"success": "success", "skipped": "skipped"}
    assert endings(deferrable_sensor(retries=0))["failed"] == "failed"

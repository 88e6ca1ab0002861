"""Cancelling a backfill, whose running runs the target lets go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.tasks.cancel_backfill import cancel_backfill, cancel_backfill_on_worker
from astro_provider.waits.backfill import BackfillWait
from tests.unit.backfills import request
from tests.unit.fake_backfills import HasBackfills
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.fake_backfills import FakeBackfillServer

STATES = {"2026-01-02": ["success"], "2026-01-03": ["running"], "2026-01-04": ["queued"]}


def create(airflow: HasBackfills) -> BackfillWait:
    from astro_provider.api import backfill_calls

    airflow.states_by_date = STATES
    client = airflow.client()
    wait = BackfillWait.of(airflow.run(client.call(backfill_calls.create_backfill, "d", request().body("none"))))
    airflow.run(client.list_dag_runs("d"))  # the runs get the first of their states
    return wait


def test_queued_and_running_runs_are_cancelled() -> None:
    airflow = HasBackfills()
    wait = create(airflow)
    done = airflow.run(cancel_backfill(airflow.client(), wait))
    assert airflow.states() == {"2026-01-02": "success", "2026-01-03": "failed", "2026-01-04": "failed"}
    assert airflow.backfills[0]["completed_at"]
    assert done.startswith("Cancelled: dag 'd', backfill 1, and 1 runs that were running in Deployment ")
    assert done.endswith("/dags/d/backfills")


def test_backfill_that_is_over_is_not_cancelled() -> None:
    airflow = HasBackfills()
    wait = create(airflow)
    airflow.backfills[0]["completed_at"] = airflow.now()
    done = airflow.run(cancel_backfill(airflow.client(), wait))
    assert done == "Not cancelled: dag 'd', backfill 1: it is already over"
    assert airflow.states()["2026-01-03"] == "running"


def test_run_that_was_deleted_does_not_keep_others_running() -> None:
    airflow = HasBackfills()
    wait = create(airflow)
    airflow.states_by_date["2026-01-03"] = ["running"]
    airflow.has_run("gone", "running", run_type="backfill", queued_at=airflow.now())
    airflow.on("PATCH", "dags/d/dagRuns/gone", json_response({"detail": "not found"}, 404))
    assert "1 runs" in airflow.run(cancel_backfill(airflow.client(), wait))
    assert airflow.states()["2026-01-03"] == "failed"


def test_backfill_that_cannot_be_cancelled_is_warned_about(
    fake_backfills: FakeBackfillServer, log_lines: list[str]
) -> None:
    import logging

    fake_backfills.on("PUT", "backfills/1/cancel", json_response({"detail": "no"}, 403))
    log: Any = logging.getLogger("airflow.task")
    done = cancel_backfill_on_worker("http_conn", BackfillWait("d", 1, fake_backfills.now()), log)
    assert done.startswith("Could not be cancelled: dag 'd': ")
    assert done in log_lines

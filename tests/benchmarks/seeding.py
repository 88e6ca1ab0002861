"""Writes dag runs of the past directly into the database of a target, which is faster than running them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.deployments import Deployment

DAG_IDS = tuple(f"remote_{number}" for number in range(5))  # of dags/target/remote.py

# Everything that the REST API shows of a run without a logical date. `at` is its run_after; `number` is unique.
INSERT = """
INSERT INTO dag_run (dag_id, run_id, run_after, queued_at, start_date, end_date, state, run_type, triggered_by,
    triggering_user_name, conf, created_at, updated_at, clear_number, span_status, created_dag_version_id)
SELECT dag.dag_id, :prefix || number, at, at, at, {end_date}, {state}, 'manual', 'REST_API', 'admin', '{{}}', at, at,
    0, 'not_started', (SELECT id FROM dag_version WHERE dag_version.dag_id = dag.dag_id LIMIT 1)
FROM generate_series(1, :count) AS number,
    LATERAL (SELECT now() - number * (CAST(:period AS interval) / :count) AS at) AS due,
    LATERAL (SELECT 'remote_' || number % 5 AS dag_id) AS dag
ORDER BY at
"""
FINISHED = INSERT.format(
    end_date="at + interval '1 minute'", state="CASE WHEN number % 20 = 0 THEN 'failed' ELSE 'success' END"
)
UNFINISHED = INSERT.format(end_date="NULL", state="'running'")
FIRST_DUE = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""The logical date that the unfinished runs of the stub, and of a target with logical dates, are counted from."""

DATE_UNFINISHED = """
UPDATE dag_run SET logical_date = CAST(:first AS timestamptz)
    + CAST(substring(run_id FROM '[0-9]+$') AS int) * interval '1 second'
WHERE state = 'running'
"""
QUEUE_AGAIN = "UPDATE dag_run SET state = 'queued', start_date = NULL WHERE state = 'running'"


def seed(target: Deployment, *, finished: int, unfinished: int) -> None:
    """Insert runs that finished during the last year, and runs of the last six hours that stay running."""
    engine = create_engine(target.database_address)
    with engine.begin() as connection:
        connection.execute(text(FINISHED), {"prefix": "finished_", "count": finished, "period": "365 days"})
        connection.execute(text(UNFINISHED), {"prefix": "unfinished_", "count": unfinished, "period": "6 hours"})
    engine.dispose()
    _vacuum(target)


def queue_unfinished_runs(target: Deployment) -> None:
    """Set the unfinished runs to queued, as if they had not started yet."""
    engine = create_engine(target.database_address)
    with engine.begin() as connection:
        connection.execute(text(QUEUE_AGAIN))
    engine.dispose()
    _vacuum(target)


def date_unfinished_runs(target: Deployment) -> None:
    """Give each unfinished run a logical date of its own: its number in seconds after `FIRST_DUE`."""
    engine = create_engine(target.database_address)
    with engine.begin() as connection:
        connection.execute(text(DATE_UNFINISHED), {"first": FIRST_DUE.isoformat()})
    engine.dispose()
    _vacuum(target)


def _vacuum(target: Deployment) -> None:
    """Do what PostgreSQL would do by itself during a measurement."""
    engine = create_engine(target.database_address)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE dag_run"))
    engine.dispose()


def unfinished_run(number: int) -> tuple[str, str]:
    """Return dag id and run id of a run that stays unfinished, counted from 1."""
    return DAG_IDS[number % 5], f"unfinished_{number}"


def start_queued_runs(target: Deployment, run_ids: Sequence[str]) -> None:
    """Set queued runs to running, as the stopped scheduler of the target would."""
    engine = create_engine(target.database_address)
    statement = text("UPDATE dag_run SET state = 'running', start_date = now() WHERE run_id = ANY(:run_ids)")
    with engine.begin() as connection:
        connection.execute(statement, {"run_ids": list(run_ids)})
    engine.dispose()

"""Operators, requests and fixtures of the tests of backfills."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from astro_provider.operators.backfill import AstroBackfillOperator
from astro_provider.tasks.backfill_request import BackfillRequest, read_backfill_request
from tests.airflow_names import DAG
from tests.unit.fake_backfills import FROM, TO
from tests.unit.task_runner import Store, TaskInstance, context

if TYPE_CHECKING:
    from astro_provider.airflow_versions import Context

FAILING = {"2026-01-03": ["running", "failed"]}
"""``states_by_date`` of a target in which one of three runs fails."""

FAILED_RUN = "backfill__2026-01-03T00:00:00+00:00"


def backfill_operator(**options: Any) -> AstroBackfillOperator:
    given = {"task_id": "trigger", "external_dag_id": "d", "from_date": FROM, "to_date": TO, **options}
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        return AstroBackfillOperator(**given)


def waiting_operator(**options: Any) -> AstroBackfillOperator:
    return backfill_operator(**{"wait_for_completion": True, **options})


def request(**options: Any) -> BackfillRequest:
    return read_backfill_request(waiting_operator(**options))


def try_context(number: int = 1, store: Store | None = None, *, max_tries: int = 2) -> Context:
    """Make the context of a try of a task with two retries."""
    ti = TaskInstance(try_number=number, max_tries=max_tries)
    more = {} if store is None else {"task_state_store": store}
    made: Any = context(ti, **more)
    return made

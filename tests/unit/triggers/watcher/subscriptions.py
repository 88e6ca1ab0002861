"""Subscriptions whose run a check has found."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit import payloads
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, LONG_AGO

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun

START = datetime(2026, 2, 1, 12, tzinfo=timezone.utc)


def make_subscription(
    run_id: str | None,
    state: str = "running",
    *,
    due: int = 0,
    dag_id: str = "d",
    end_states: EndStates = EndStates(("success",), ("failed",)),  # noqa: B008  it is frozen
    run_state: str = "running",
    **fields: Any,
) -> Subscription:
    """Make a subscription whose run is due some minutes after START, and was found by a check."""
    subscription = Subscription(
        RunWait(dag_id, end_states, run_id=run_id, **fields),
        poke_interval=INTERVAL,
        deadline=None,
        started_at=LONG_AGO,
        clock=START.timestamp,
        on_change=lambda _: None,
        warn=lambda _: None,
    )
    at = (START + timedelta(minutes=due)).isoformat()
    found = cast(
        "DagRun", payloads.for_version("v2").dag_run(run_id or "theirs", run_state, dag_id=dag_id, run_after=at)
    )
    subscription.note_verdict(Verdict("pending", "", found, state=state))
    return subscription

"""How ``execution_timeout`` limits a deferred wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import EXECUTION_TIMEOUT_SPANS_DEFERRAL
from astro_provider.api.message import outcome_message
from astro_provider.tasks.execution_timeout import deferral_limits, timed_out
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


def test_no_execution_timeout_is_no_limit() -> None:
    assert deferral_limits(None, NOW) == (None, None)


@pytest.mark.parametrize(("minutes", "early"), [(1, 6), (5, 30), (60, 30)])
@pytest.mark.parametrize("elapsed", [0, 30])
def test_deadline_of_the_trigger_is_before_airflow_ends_the_deferral(
    clock: FakeClock, minutes: int, early: int, elapsed: int
) -> None:
    limit = timedelta(minutes=minutes)
    deadline, timeout = deferral_limits(limit, NOW - timedelta(seconds=elapsed))
    end = NOW - timedelta(seconds=elapsed) + limit
    if EXECUTION_TIMEOUT_SPANS_DEFERRAL:
        assert (deadline, timeout) == (end.timestamp() - early, limit)
    else:
        assert (deadline, timeout) == (end.timestamp(), end - NOW + timedelta(minutes=1))


def test_limit_counts_from_now_if_the_start_is_unknown(clock: FakeClock) -> None:
    assert deferral_limits(timedelta(minutes=5), None) == deferral_limits(timedelta(minutes=5), NOW)


@pytest.mark.parametrize(
    ("limit", "after"), [(timedelta(minutes=5), " after 300 s"), (0.5, " after 0.5 s"), (None, "")]
)
def test_message_has_the_limit_and_what_was_last_seen(limit: timedelta | float | None, after: str) -> None:
    seen = outcome_message("Running", "d", where="D", run_id="r", url="https://x/dags/d")
    assert timed_out(seen, limit, "execution_timeout").split("\n") == [
        f"Timed out{after}: dag 'd' in D",
        "  Limit: execution_timeout. Last seen: Running",
        "Run: r",
        "https://x/dags/d",
    ]


def test_start_is_compared_in_utc(clock: FakeClock) -> None:
    started = datetime(2026, 2, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert deferral_limits(timedelta(minutes=5), started) == deferral_limits(timedelta(minutes=5), NOW)

"""How ``execution_timeout`` limits a deferred wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import EXECUTION_TIMEOUT_SPANS_DEFERRAL
from astro_provider.tasks.execution_timeout import deferral_limits, timeout_message
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


@pytest.mark.parametrize(("url", "end"), [("https://x/dags/d", " See https://x/dags/d"), (None, "")])
def test_message_has_the_limit_and_the_link(url: str | None, end: str) -> None:
    message = timeout_message("d", timedelta(minutes=5), "it was running", url)
    assert message == f"Timed out: dag 'd' did not finish within execution_timeout (0:05:00). it was running.{end}"


def test_start_is_compared_in_utc(clock: FakeClock) -> None:
    started = datetime(2026, 2, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert deferral_limits(timedelta(minutes=5), started) == deferral_limits(timedelta(minutes=5), NOW)

"""What is done before a run is created if its dag is paused in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import NotTriggeredError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.paused import check_pause
from astro_provider.tasks.planned_run import PlannedRun
from tests.unit.tasks.run_requests import run_request

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

DATE = "2026-01-31T06:00:00+00:00"
REFUSED = r"^Not triggered: dag 'd' is paused in Deployment http.*\(connection 'http_conn'\)\n  if_paused is 'fail'"


def planned_run(*, retry: bool) -> PlannedRun:
    return PlannedRun(
        "mine",
        derived=True,
        note="Triggered by a test",
        retry=retry,
        started_at=None,
        started_at_is_after_clear=False,
        run_ids_before_clear=frozenset(),
    )


def check_pause_of_d(if_paused: str, *, retry: bool = False, logical_date: str | None = None) -> None:
    with AstroHook("http_conn") as hook:
        request = run_request(if_paused=if_paused, logical_date=logical_date)
        hook.run(check_pause(hook.client, request, planned_run(retry=retry)))


@pytest.mark.parametrize("is_paused", [True, False])
def test_unpause_unpauses_the_dag(any_airflow: FakeAirflowServer, is_paused: bool) -> None:
    any_airflow.dags["d"] = is_paused
    check_pause_of_d("unpause")
    assert any_airflow.dags == {"d": False}


def test_trigger_sends_no_request(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags["d"] = True
    check_pause_of_d("trigger")
    assert any_airflow.received == []


@pytest.mark.parametrize("retry", [True, False])
def test_fail_raises_only_for_a_paused_dag(any_airflow: FakeAirflowServer, retry: bool) -> None:
    check_pause_of_d("fail", retry=retry)
    any_airflow.dags["d"] = True
    with pytest.raises(NotTriggeredError, match=REFUSED):
        check_pause_of_d("fail", retry=retry, logical_date=DATE)


@pytest.mark.parametrize("run_id", ["mine", "theirs"])
def test_retry_continues_with_a_run_that_exists_although_the_dag_is_paused(
    any_airflow: FakeAirflowServer, run_id: str
) -> None:
    """The run "theirs" has the same logical date: an earlier try has reset it, or attached to it."""
    any_airflow.has_run(run_id, "running", logical_date=DATE)
    any_airflow.dags["d"] = True
    check_pause_of_d("fail", retry=True, logical_date=DATE)
    with pytest.raises(NotTriggeredError, match=REFUSED):
        check_pause_of_d("fail", retry=False, logical_date=DATE)

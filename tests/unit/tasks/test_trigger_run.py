"""Triggering a run as one flow. The tests of the operator and of its trigger have more cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import NotTriggeredError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.planned_run import PlannedRun
from astro_provider.tasks.trigger_run import TriggeredRun, trigger_run
from tests.unit.tasks.run_requests import run_request

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

RETRY = PlannedRun(
    "mine",
    derived=True,
    note="Triggered by a test",
    retry=True,
    started_at=None,
    started_at_is_after_clear=False,
    run_ids_before_clear=frozenset(),
)


def trigger(log: list[str], *, repairs: bool = True, **fields: Any) -> TriggeredRun:
    with AstroHook("http_conn") as hook:
        return hook.run(trigger_run(hook.client, run_request(**fields), RETRY, repairs=repairs, log=log.append))


def test_run_is_triggered(any_airflow: FakeAirflowServer) -> None:
    log: list[str] = []
    triggered = trigger(log)
    assert (triggered.run["dag_run_id"], triggered.attached) == ("mine", False)
    assert triggered.url.startswith(f"{any_airflow.url}/dags/d/")
    where = f"Deployment {any_airflow.url} (connection 'http_conn')"
    assert log == [
        f"Triggered: dag 'd', queued, in {where}\nRun: mine\n{triggered.url}",
        f"Not waiting: dag 'd' in {where}\n  If the dag is paused there, the run starts when the dag is unpaused",
    ]


def test_paused_dag_is_not_triggered(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags["d"] = True
    with pytest.raises(NotTriggeredError, match="is paused"):
        trigger([], if_paused="fail")
    assert any_airflow.runs == {}


@pytest.mark.parametrize(("waits", "repairs"), [(True, True), (True, False), (False, True)])
def test_failed_run_of_an_earlier_try_is_repaired_only_by_a_task_that_waits(
    any_airflow: FakeAirflowServer, waits: bool, repairs: bool
) -> None:
    any_airflow.has_run("mine", "failed")
    any_airflow.has_task("extract", "failed", run_id="mine")
    trigger([], repairs=repairs, wait_for_completion=waits)
    assert bool(any_airflow.cleared or any_airflow.cleared_tasks) is (waits and repairs)

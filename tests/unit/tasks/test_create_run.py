"""Creating a run, or using the one that exists. The tests of the trigger operator have more cases of existing runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import NotTriggeredError
from astro_provider.hooks.astro import AstroHook
from astro_provider.tasks.create_run import create_run, find_existing_run
from astro_provider.tasks.planned_run import PlannedRun
from tests.unit.tasks.run_requests import run_request

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.existing_run import OnExistingRun
    from tests.unit.fake_airflow import FakeAirflowServer

DATE = "2026-01-31T06:00:00+00:00"
PLANNED = PlannedRun(
    "mine",
    derived=False,
    retry=False,
    started_at=None,
    started_at_is_after_clear=False,
    run_ids_before_clear=frozenset(),
)


def create(on_existing_run: OnExistingRun) -> tuple[DagRun, bool]:
    request = run_request(logical_date=DATE, conf={"a": 1}, on_existing_run=on_existing_run)
    with AstroHook("http_conn") as hook:
        created = hook.run(create_run(hook.client, request, PLANNED, repair_failed=True, log=print))
    return created.run, created.attached


def find(logical_date: str | None) -> str | None:
    with AstroHook("http_conn") as hook:
        run = hook.run(find_existing_run(hook.client, run_request(logical_date=logical_date), PLANNED))
    return run and run["dag_run_id"]


def test_new_run_is_created_with_its_fields(any_airflow: FakeAirflowServer) -> None:
    run, attached = create("fail")
    assert (run["dag_run_id"], run["conf"], attached) == ("mine", {"a": 1}, False)


@pytest.mark.parametrize("run_id", ["mine", "theirs"])
def test_existing_run_is_handled_as_the_user_chose(any_airflow: FakeAirflowServer, run_id: str) -> None:
    any_airflow.has_run(run_id, "success", logical_date=DATE)
    with pytest.raises(NotTriggeredError, match=f"'{run_id}' is success"):
        create("fail")
    with pytest.raises(AirflowSkipException, match=f"'{run_id}' is success"):
        create("skip")
    run, attached = create("attach")
    assert (run["dag_run_id"], attached, any_airflow.cleared) == (run_id, True, [])
    run, attached = create("reset")
    assert (run["dag_run_id"], attached, any_airflow.cleared) == (run_id, False, [(run_id, False)])


def test_run_with_the_same_run_id_is_found_before_one_with_the_same_logical_date(
    any_airflow: FakeAirflowServer,
) -> None:
    assert find(DATE) is None
    any_airflow.has_run("theirs", "success", logical_date=DATE)
    assert find(DATE) == "theirs"
    assert find(None) is None
    any_airflow.has_run("mine", "success", logical_date="2026-01-30T06:00:00+00:00")
    assert find(DATE) == "mine"

"""What tasks tell OpenLineage about the target, read as the OpenLineage provider reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import DagRunFailedError
from tests.unit.backfills import FAILING, backfill_operator, try_context
from tests.unit.backfills import waiting_operator as waiting_backfill
from tests.unit.operators.trigger_operators import RUN_ID, trigger_operator, waiting_operator
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.fake_backfills import FakeBackfillServer


def facet_at_start(operator: Any) -> dict[str, Any]:
    return _only_facet(_extractor(operator).extract())


def facet_at_end(operator: Any) -> dict[str, Any]:
    return _only_facet(_extractor(operator).extract_on_failure(TaskInstance()))


def _extractor(operator: Any) -> Any:
    return pytest.importorskip("airflow.providers.openlineage.extractors.base").DefaultExtractor(operator)


def _only_facet(extracted: Any) -> dict[str, Any]:
    from openlineage.client.serde import Serde

    (name,) = extracted.run_facets
    facet = Serde.to_dict(extracted.run_facets[name])
    return {"name": name, **{key: value for key, value in facet.items() if not key.startswith("_")}}


def test_dag_is_known_at_the_start() -> None:
    expected = {"name": "astro_remoteDagRun", "connectionId": "http_conn", "dagId": "d"}
    assert facet_at_start(trigger_operator()) == expected


def test_run_is_known_at_the_end(any_airflow: FakeAirflowServer) -> None:
    operator = waiting_operator(logical_date="2026-01-31T06:00:00Z")
    ti = TaskInstance()
    run = operator.execute(context(ti))
    expected = {
        "name": "astro_remoteDagRun",
        "connectionId": "http_conn",
        "deployment": any_airflow.url,
        "dagId": "d",
        "dagRunId": RUN_ID,
        "state": "success",
        "logicalDate": run["logical_date"],
        "runAfter": run["run_after"],
        "url": ti.xcoms["remote_dag_run_url"],
    }
    assert facet_at_end(operator) == {key: value for key, value in expected.items() if value is not None}


def test_run_is_known_when_the_task_does_not_wait(fake_airflow: FakeAirflowServer) -> None:
    operator = trigger_operator()
    operator.execute(context())
    facet = facet_at_end(operator)
    assert (facet["dagRunId"], facet["state"]) == (RUN_ID, "queued")


def test_failed_run_is_known(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.new_run_states = ["running", "failed"]
    operator = waiting_operator()
    with pytest.raises(DagRunFailedError):
        operator.execute(context())
    facet = facet_at_end(operator)
    assert (facet["dagRunId"], facet["state"]) == (RUN_ID, "failed")


@pytest.mark.parametrize("outcome", ["success", "failed"])
def test_run_is_known_after_a_deferral(fake_airflow: FakeAirflowServer, outcome: str) -> None:
    resumed = waiting_operator(deferrable=True)
    url = f"{fake_airflow.url}/dags/d/runs/x"
    run = {"dag_id": "d", "dag_run_id": RUN_ID, "state": outcome, "logical_date": None, "run_after": "2026-01-31"}
    event = {"outcome": outcome, "message": "m", "run": run, "url": url, "error": None}
    if outcome == "failed":
        with pytest.raises(DagRunFailedError):
            resumed.execute_complete(context(), event)
    else:
        resumed.execute_complete(context(), event)
    facet = facet_at_end(resumed)
    assert facet == {
        "name": "astro_remoteDagRun",
        "connectionId": "http_conn",
        "deployment": fake_airflow.url,
        "dagId": "d",
        "dagRunId": RUN_ID,
        "state": outcome,
        "runAfter": "2026-01-31",
        "url": url,
    }


def test_backfill_is_known_at_the_end(fake_backfills: FakeBackfillServer) -> None:
    operator = backfill_operator()
    start = {"name": "astro_remoteBackfill", "connectionId": "http_conn", "dagId": "d"}
    assert facet_at_start(operator) == start
    operator.execute(try_context())
    end = {"deployment": fake_backfills.url, "backfillId": 1, "url": f"{fake_backfills.url}/dags/d/backfills"}
    assert facet_at_end(operator) == {**start, **end}


def test_backfill_is_known_after_a_failure_and_a_deferral(fake_backfills: FakeBackfillServer) -> None:
    fake_backfills.states_by_date = FAILING
    operator = waiting_backfill()
    with pytest.raises(DagRunFailedError):
        operator.execute(try_context())
    assert facet_at_end(operator)["backfillId"] == 1
    resumed = waiting_backfill(deferrable=True)
    url = f"{fake_backfills.url}/dags/d/backfills"
    event = {"outcome": "success", "message": "m", "run": None, "url": url, "error": None, "backfill": {"id": 7}}
    resumed.execute_complete(try_context(), event)
    facet = facet_at_end(resumed)
    assert (facet["backfillId"], facet["url"], facet["deployment"]) == (7, url, fake_backfills.url)

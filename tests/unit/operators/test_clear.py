"""The clear operator: its result, its XComs, waiting, and its templates."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowTaskTimeout
from astro_provider.api.errors import DagRunFailedError
from astro_provider.operators.clear import AstroClearDagRunOperator
from astro_provider.tasks import task_state
from tests.airflow_names import DAG, TaskDeferred
from tests.unit.operators.trigger_operators import CREATED_BEFORE, retry_context
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, Store, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def clear_operator(**options: Any) -> AstroClearDagRunOperator:
    name = {} if {"latest", "logical_date"} & set(options) else {"external_run_id": "r"}
    return AstroClearDagRunOperator(**{"task_id": "trigger", "external_dag_id": "d", **name, **options})


@pytest.fixture
def airflow(any_airflow: FakeAirflowServer, clock: FakeClock) -> FakeAirflowServer:
    """A target with a run ``r`` that failed long ago."""
    dates = {
        name: date for name, date in CREATED_BEFORE.items() if (any_airflow.api_version, name) != ("v1", "queued_at")
    }
    any_airflow.has_run("r", "failed", **dates)
    any_airflow.has_task("load", "failed", run_id="r")
    return any_airflow


def test_run_is_cleared_and_returned(airflow: FakeAirflowServer) -> None:
    ti = TaskInstance()
    run = clear_operator().execute(context(ti))
    assert airflow.cleared == [("r", False)]
    assert (run["dag_run_id"], run["state"]) == ("r", "queued")
    path = "/dags/d/runs/r" if airflow.api_version == "v2" else "/dags/d/grid?dag_run_id=r"
    assert ti.xcoms == {"trigger_run_id": "r", "remote_dag_run_url": airflow.url + path}


def test_operator_waits_for_the_cleared_run(airflow: FakeAirflowServer, clock: FakeClock) -> None:
    assert clear_operator(wait_for_completion=True).execute(context())["state"] == "success"
    assert clock.sleeps == [1]


def test_cleared_run_that_fails_again_fails_the_task_with_the_failed_tasks(airflow: FakeAirflowServer) -> None:
    airflow.new_run_states = ["running", "failed"]
    with pytest.raises(DagRunFailedError, match=r"Failed tasks:\n    load \(try 1\)"):
        clear_operator(wait_for_completion=True).execute(context())


def test_operator_defers_after_clearing(airflow: FakeAirflowServer) -> None:
    with pytest.raises(TaskDeferred) as caught:
        clear_operator(wait_for_completion=True, deferrable=True).execute(context())
    arguments = caught.value.trigger.serialize()[1]
    assert airflow.cleared == [("r", False)]
    assert (arguments["wait"]["run_id"], arguments["cancel_on_kill"]) == ("r", True)


def test_resumed_task_returns_the_run() -> None:
    run = {"dag_run_id": "r", "state": "success"}
    event = {"outcome": "success", "message": "over", "run": run, "url": None}
    assert clear_operator().execute_complete(context(), event) == run


def test_resumed_task_says_which_dag_timed_out() -> None:
    event = {"outcome": "timeout", "message": "Running: dag 'd' in D", "run": None, "url": "https://x/dags/d"}
    with pytest.raises(AirflowTaskTimeout, match=r"^Timed out: dag 'd' in D\n  Limit: execution_timeout"):
        clear_operator().execute_complete(context(), event)


@pytest.mark.parametrize(("only_failed", "state"), [(False, "failed"), (True, "running")])
def test_user_who_ends_the_task_cancels_a_run_that_it_has_cleared(
    any_airflow: FakeAirflowServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, only_failed: bool, state: str
) -> None:
    """With ``only_failed``, nothing is cleared here, because no task has failed."""
    monkeypatch.setattr(task_state, "heartbeat_timed_out", lambda ti: False)
    monkeypatch.setattr(task_state, "task_state", lambda ti: "failed")
    any_airflow.has_run("r", "running", **CREATED_BEFORE)
    any_airflow.new_run_states = ["running"]
    operator = clear_operator(wait_for_completion=True, only_failed=only_failed)

    def signal() -> None:
        operator.on_kill()
        raise SystemExit

    clock.at_sleep = signal
    with pytest.raises(SystemExit):
        operator.execute(context())
    assert any_airflow.runs["r"]["state"] == state


@pytest.mark.parametrize("store", [Store, None])
def test_retry_does_not_clear_again(airflow: FakeAirflowServer, store: type[Store] | None) -> None:
    kept = store() if store else None
    operator = clear_operator(retries=2)
    operator.execute(retry_context(1, kept))
    run = operator.execute(retry_context(2, kept))
    assert airflow.cleared == [("r", False)]
    assert run["dag_run_id"] == "r"


def test_retry_uses_the_newest_run_of_the_first_try(airflow: FakeAirflowServer) -> None:
    store = Store()
    clear_operator(retries=2, latest=True).execute(retry_context(1, store))
    airflow.has_run("newer", "success")
    assert clear_operator(retries=2, latest=True).execute(retry_context(2, store))["dag_run_id"] == "r"
    assert airflow.cleared == [("r", False)]


def test_run_that_starts_while_the_first_try_fails_is_not_taken_for_a_cleared_one(airflow: FakeAirflowServer) -> None:
    store = Store()
    operator = clear_operator(retries=2, latest=True)
    refusal = json_response(airflow.payloads.error(403, "not yours"), 403)
    airflow.on("GET", "dags/d/dagRuns", refusal, airflow.stored_response)
    with pytest.raises(AirflowFailException):
        operator.execute(retry_context(1, store))
    now = NOW.isoformat()
    dates = {} if airflow.api_version == "v1" else {"run_after": now, "queued_at": now}
    airflow.has_run("newer", "success", start_date=now, logical_date=now, **dates)
    assert operator.execute(retry_context(2, store))["dag_run_id"] == "newer"
    assert airflow.cleared == [("newer", False)]


def test_task_that_was_cleared_clears_the_run_again(airflow: FakeAirflowServer) -> None:
    store = Store()
    operator = clear_operator(retries=2)
    operator.execute(retry_context(1, store))
    operator.execute(context(TaskInstance(try_number=2, max_tries=3), task_state_store=store))
    assert airflow.cleared == [("r", False), ("r", False)]


def test_missing_run_fails_for_good(airflow: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="Not cleared: dag 'd' has no such run"):
        clear_operator(external_run_id="none").execute(context())


def test_invalid_parameter_is_an_error_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="Name the run with one of external_run_id, logical_date and latest=True"):
        clear_operator(external_run_id="r", latest=True)
    with pytest.raises(ValueError, match="allowed_states and failed_states both have failed"):
        clear_operator(allowed_states=["failed"], failed_states=["failed"])


def test_every_field_can_be_templated(airflow: FakeAirflowServer) -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        operator = clear_operator(
            external_dag_id="{{ 'd' }}",
            http_conn_id="{{ 'http_conn' }}",
            external_run_id="{{ 'r' }}",
            task_ids=["{{ 'load' }}"],
            include_downstream="{{ true }}",
            only_failed="{{ 1 }}",
            wait_for_completion="{{ false }}",
        )
    operator.render_template_fields(context())
    assert operator.execute(context())["dag_run_id"] == "r"
    (body,) = [each.json for each in airflow.received if each.path.endswith("clearTaskInstances")]
    assert (body["task_ids"], body["include_downstream"], body["only_failed"]) == (["load"], True, True)


def test_dag_can_be_serialized_and_the_operator_mapped() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        clear_operator(task_ids=["load"])
        AstroClearDagRunOperator.partial(task_id="mapped", external_dag_id="d").expand(external_run_id=["r", "s"])
    tasks = round_trip(dag).task_dict
    assert json.loads(json.dumps(tasks["trigger"].task_ids)) == ["load"]
    assert [link.name for link in tasks["trigger"].operator_extra_links] == ["Remote dag run"]
    assert set(tasks) == {"trigger", "mapped"}

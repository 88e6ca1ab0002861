"""The operators that pause and unpause a dag."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import NotFoundError, TargetUnavailableError
from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from tests.airflow_names import DAG
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import Store, TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

both_operators = pytest.mark.parametrize(
    ("operator_class", "paused"), [(AstroPauseDagOperator, True), (AstroUnpauseDagOperator, False)]
)


@both_operators
@pytest.mark.parametrize("before", [True, False])
def test_dag_is_paused_or_unpaused(
    any_airflow: FakeAirflowServer, log_lines: list[str], operator_class: type, paused: bool, before: bool
) -> None:
    any_airflow.dags = {"ż.~d": before, "other": before}
    dag = operator_class(task_id="t", external_dag_id="ż.~d").execute(context())
    assert (dag["dag_id"], dag["is_paused"]) == ("ż.~d", paused)
    assert any_airflow.dags == {"ż.~d": paused, "other": before}
    assert json.dumps(dag)
    assert dag["was_paused"] is before
    was = f"which was {'paused' if before else 'not paused'} before, in Deployment {any_airflow.url} "
    assert f"{'Paused' if paused else 'Not paused'}: dag 'ż.~d', {was}" in "\n".join(log_lines)


@both_operators
def test_dag_is_requested_once_before_the_change(
    fake_airflow: FakeAirflowServer, operator_class: type, paused: bool
) -> None:
    operator_class(task_id="t", external_dag_id="d").execute(context())
    assert fake_airflow.calls_received == ["GET /api/v2/dags/d", "PATCH /api/v2/dags/d"]


def tries(airflow: FakeAirflowServer, operator: Any, store: Store | None, *, max_tries: int) -> Callable[[int], Any]:
    """Return a function that runs a try of the operator, by its number."""
    more = {} if store is None else {"task_state_store": store}

    def run(number: int) -> Any:
        return operator.execute(context(TaskInstance(try_number=number, max_tries=max_tries), **more))

    return run


@both_operators
def test_retry_after_a_lost_response_returns_what_the_first_try_found(
    fake_airflow: FakeAirflowServer, log_lines: list[str], pauses: list[float], operator_class: type, paused: bool
) -> None:
    fake_airflow.dags = {"d": not paused}
    operator = operator_class(task_id="t", external_dag_id="d", retries=2)
    run = tries(fake_airflow, operator, Store(), max_tries=2)

    def lose_response(received: ReceivedRequest) -> ScriptedResponse:
        fake_airflow.stored_response(received)
        return json_response({}, 502)

    fake_airflow.on("PATCH", "dags/d", lose_response)
    with pytest.raises(TargetUnavailableError):
        run(1)
    fake_airflow._scripts.clear()
    assert fake_airflow.dags == {"d": paused}
    assert (run(2)["was_paused"], run(3)["was_paused"]) == (not paused, not paused)
    assert "earlier try" not in "\n".join(log_lines)


@both_operators
def test_task_that_was_cleared_returns_what_it_finds(
    fake_airflow: FakeAirflowServer, log_lines: list[str], operator_class: type, paused: bool
) -> None:
    fake_airflow.dags = {"d": not paused}
    operator, store = operator_class(task_id="t", external_dag_id="d", retries=1), Store()
    assert tries(fake_airflow, operator, store, max_tries=1)(1)["was_paused"] is not paused
    after_clear = tries(fake_airflow, operator, store, max_tries=2)
    assert after_clear(2)["was_paused"] is paused
    assert "earlier try" not in "\n".join(log_lines)
    fake_airflow.dags = {"d": not paused}
    assert after_clear(3)["was_paused"] is paused


@both_operators
@pytest.mark.parametrize("store", [None, object()], ids=["no store", "store that fails"])
def test_retry_without_a_store_warns_that_an_earlier_try_might_have_changed_the_dag(
    fake_airflow: FakeAirflowServer, log_lines: list[str], operator_class: type, paused: bool, store: Any
) -> None:
    fake_airflow.dags = {"d": not paused}
    operator = operator_class(task_id="t", external_dag_id="d", retries=1)
    run = tries(fake_airflow, operator, store, max_tries=1)
    assert run(1)["was_paused"] is not paused
    assert "earlier try" not in "\n".join(log_lines)
    assert run(2)["was_paused"] is paused
    assert f"might have {'paused' if paused else 'unpaused'} the dag already" in "\n".join(log_lines)


@both_operators
def test_missing_dag_fails_with_similar_ids(any_airflow: FakeAirflowServer, operator_class: type, paused: bool) -> None:
    any_airflow.dags = {"sales_report": False}
    with pytest.raises(NotFoundError, match=r"has no dag 'sales_raport'.*'sales_report'"):
        operator_class(task_id="t", external_dag_id="sales_raport").execute(context())


@both_operators
def test_refused_request_fails_for_good(fake_airflow: FakeAirflowServer, operator_class: type, paused: bool) -> None:
    fake_airflow.on("PATCH", "dags/d", json_response({"detail": "no"}, 403))
    with pytest.raises(AirflowFailException, match=r"^Failed: dag '.*': Refused with 40\d"):
        operator_class(task_id="t", external_dag_id="d").execute(context())


@both_operators
def test_templates_are_rendered_and_the_dag_can_be_serialized(operator_class: type, paused: bool) -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        operator = operator_class(task_id="t", external_dag_id="d_{{ ds }}", http_conn_id="conn_{{ ds }}")
        operator_class.partial(task_id="mapped").expand(external_dag_id=["a", "b"])  # type: ignore[attr-defined]
    assert set(round_trip(dag).task_dict) == {"t", "mapped"}
    operator.render_template_fields(context())
    assert (operator.external_dag_id, operator.http_conn_id) == ("d_2026-02-01", "conn_2026-02-01")


def test_docstrings_say_what_each_operator_does() -> None:
    assert (AstroPauseDagOperator.__doc__ or "").strip().startswith("Pauses a dag")
    assert (AstroUnpauseDagOperator.__doc__ or "").strip().startswith("Unpauses a dag")


@both_operators
def test_rendered_numbers_are_read_as_text(
    fake_airflow: FakeAirflowServer, connect: Callable[..., None], operator_class: type, paused: bool
) -> None:
    connect(fake_airflow.url, password=TOKEN, conn_id="7")
    fake_airflow.dags = {"123": not paused}
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True):
        operator = operator_class(task_id="t", external_dag_id="{{ 123 }}", http_conn_id="{{ 7 }}")
    operator.render_template_fields(context())
    assert (operator.external_dag_id, operator.http_conn_id) == (123, 7)
    assert operator.execute(context())["dag_id"] == "123"
    assert fake_airflow.dags == {"123": paused}


@both_operators
@pytest.mark.parametrize("parameter", ["external_dag_id", "http_conn_id"])
@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_id_that_renders_to_nothing_fails_for_good(
    fake_airflow: FakeAirflowServer, operator_class: type, paused: bool, parameter: str, nothing: str | None
) -> None:
    operator = operator_class(**{"task_id": "t", "external_dag_id": "d", parameter: "placeholder"})
    setattr(operator, parameter, nothing)  # as rendered from a task that returned nothing
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to {nothing!r}: it names nothing"):
        operator.execute(context())
    assert fake_airflow.received == []

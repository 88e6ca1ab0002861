"""Asking any endpoint."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowException, AirflowFailException
from astro_provider.api.errors import NotFoundError, TargetUnavailableError
from astro_provider.operators.api import AstroApiOperator
from tests.airflow_names import DAG
from tests.unit.scripted_target import TOKEN, ScriptedResponse, json_response
from tests.unit.task_runner import context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer


def ask(endpoint: str = "dags", **options: Any) -> AstroApiOperator:
    return AstroApiOperator(task_id="t", endpoint=endpoint, **options)


def test_the_answer_is_returned_as_it_came(any_airflow: FakeAirflowServer) -> None:
    answer = ask("pools").execute(context())
    assert [pool["name"] for pool in answer["pools"]] == ["default_pool", "narrow"]
    assert set(answer) == {"pools", "total_entries"}


@pytest.mark.parametrize("method", ["GET", "get", "DELETE"])
def test_data_is_the_query_of_a_request_without_body(fake_airflow: FakeAirflowServer, method: str) -> None:
    fake_airflow.on(method.upper(), "things", json_response({"ok": True}))
    ask("things", method=method, data={"a": ["x", "ż"], "b": True, "c": None}).execute(context())
    assert fake_airflow.received[-1].query == {"a": ["x", "ż"], "b": ["true"]}
    assert fake_airflow.received[-1].body == b""


@pytest.mark.parametrize("method", ["POST", "PATCH", "put"])
def test_data_is_the_body_of_another_request(fake_airflow: FakeAirflowServer, method: str) -> None:
    fake_airflow.on(method.upper(), "things", json_response({"ok": True}))
    ask("things", method=method, data={"a": [1, None]}).execute(context())
    assert fake_airflow.received[-1].json == {"a": [1, None]}
    assert fake_airflow.received[-1].headers["content-type"] == "application/json"
    assert fake_airflow.received[-1].query == {}


def test_a_text_is_sent_as_it_is(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("POST", "things", json_response({"ok": True}))
    ask("things", method="POST", data='{"a":  1}').execute(context())
    assert fake_airflow.received[-1].body == b'{"a":  1}'


def test_headers_are_sent(fake_airflow: FakeAirflowServer) -> None:
    ask(headers={"X-Team": "a"}).execute(context())
    assert fake_airflow.received[-1].headers["x-team"] == "a"
    ask(headers={"X-Team": "b"}, all_pages=True).execute(context())
    assert fake_airflow.received[-1].headers["x-team"] == "b"


def test_an_empty_answer_is_none(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("DELETE", "things/1", ScriptedResponse(204))
    assert ask("things/1", method="DELETE").execute(context()) is None


def test_all_pages_come_as_one(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {f"dag_{number}": False for number in range(5)}
    any_airflow.page_limit = 2
    answer = ask(data={"tags": ["x"]}, all_pages=True).execute(context())
    assert [dag["dag_id"] for dag in answer["dags"]] == sorted(any_airflow.dags)
    assert answer["total_entries"] == 5
    assert all(received.query["tags"] == ["x"] for received in any_airflow.received)
    assert len(any_airflow.received) >= 3


def test_the_answer_is_logged_when_told_so(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    ask("pools").execute(context())
    assert "narrow" not in "\n".join(log_lines)
    ask("pools", log_response=True).execute(context())
    assert '"name": "narrow"' in "\n".join(log_lines)


@pytest.mark.parametrize("verdict", [True, False])
def test_the_answer_is_checked(fake_airflow: FakeAirflowServer, verdict: bool) -> None:
    told: list[Any] = []

    def check(answer: Any, ds: str) -> bool:
        told.extend((answer["total_entries"], ds))
        return verdict

    operator = ask("pools", response_check=check)
    if verdict:
        assert operator.execute(context())["total_entries"] == 2
    else:
        with pytest.raises(AirflowException, match="response_check rejected the response to GET pools"):
            operator.execute(context())
    assert told == [2, "2026-02-01"]


def test_the_answer_is_filtered(fake_airflow: FakeAirflowServer) -> None:
    operator = ask("pools", response_filter=lambda answer, ds: [ds, answer["total_entries"]])
    assert operator.execute(context()) == ["2026-02-01", 2]


def test_what_is_wrong_is_refused_at_parse_time() -> None:
    with pytest.raises(ValueError, match="all_pages goes with method 'GET', not 'POST'"):
        ask(method="POST", all_pages=True)


@pytest.mark.parametrize("endpoint", ["/", "../admin", "https://elsewhere.example.com/dags", "api/v2/dags"])
def test_an_endpoint_outside_of_the_api_fails_for_good(fake_airflow: FakeAirflowServer, endpoint: str) -> None:
    with pytest.raises(AirflowFailException, match="expected a path relative to /api/vN/"):
        ask(endpoint).execute(context())
    assert fake_airflow.received == []


@pytest.mark.parametrize("endpoint", ["dags", "dags?paused=false"])
def test_a_query_that_is_a_text_is_sent_as_it_is(fake_airflow: FakeAirflowServer, endpoint: str) -> None:
    ask(endpoint=endpoint, data="limit=1").execute(context())
    expected = {"limit": ["1"]} | ({"paused": ["false"]} if "?" in endpoint else {})
    assert fake_airflow.received[-1].query == expected


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "FETCH"])
def test_a_method_that_the_rest_api_has_not(method: str) -> None:
    with pytest.raises(ValueError, match=f"method must be one of GET, .*, not '{method}'"):
        ask(method=method)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, AirflowFailException), (403, AirflowFailException), (404, NotFoundError), (500, TargetUnavailableError)],
)
def test_an_error_of_the_target_fails_the_task(
    fake_airflow: FakeAirflowServer, status: int, error: type[Exception]
) -> None:
    fake_airflow.on("GET", "things", json_response({"detail": "because"}, status))
    with pytest.raises(error, match="because"):
        ask("things").execute(context())


def test_templates_are_rendered_and_the_dag_is_serialised() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        operator = ask(
            "dags/{{ ds }}", data={"a": ["{{ ds }}"]}, headers={"X-Day": "{{ ds }}"}, http_conn_id="conn_{{ ds }}"
        )
        AstroApiOperator.partial(task_id="mapped").expand(endpoint=["dags", "pools"])
    assert set(round_trip(dag).task_dict) == {"t", "mapped"}
    operator.render_template_fields(context())
    rendered = (operator.endpoint, operator.data, operator.headers, operator.http_conn_id)
    assert rendered == ("dags/2026-02-01", {"a": ["2026-02-01"]}, {"X-Day": "2026-02-01"}, "conn_2026-02-01")


@pytest.mark.parametrize("all_pages", [False, True])
def test_text_that_looks_like_a_number_stays_text(
    fake_airflow: FakeAirflowServer, connect: Callable[..., None], all_pages: bool
) -> None:
    connect(fake_airflow.url, password=TOKEN, conn_id="7")
    fake_airflow.on("GET", "123", json_response({"dags": [], "total_entries": 0}))
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True):
        operator = ask("{{ 123 }}", http_conn_id="{{ 7 }}", all_pages=all_pages)
    operator.render_template_fields(context())
    assert [operator.endpoint, operator.http_conn_id] == [123, 7]
    assert operator.execute(context()) == {"dags": [], "total_entries": 0}
    assert [received.path for received in fake_airflow.received] == ["/api/v2/123"]


@pytest.mark.parametrize("parameter", ["endpoint", "http_conn_id"])
@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_what_renders_to_nothing_fails_for_good(
    fake_airflow: FakeAirflowServer, parameter: str, nothing: str | None
) -> None:
    operator = ask()
    setattr(operator, parameter, nothing)  # what rendering makes of the result of a task that returned nothing
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to {nothing!r}: it names nothing"):
        operator.execute(context())
    assert fake_airflow.received == []

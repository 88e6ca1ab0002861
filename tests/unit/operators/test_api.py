"""The operator that calls any endpoint."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowException, AirflowFailException
from astro_provider.api.errors import NotFoundError, TargetUnavailableError
from astro_provider.operators.api import AstroApiOperator
from tests.airflow_names import DAG
from tests.unit import checks
from tests.unit.scripted_target import TOKEN, ScriptedResponse, json_response
from tests.unit.task_runner import context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer


def api_operator(endpoint: str = "dags", **options: Any) -> AstroApiOperator:
    return AstroApiOperator(task_id="t", endpoint=endpoint, **options)


def test_response_is_returned_as_it_came(any_airflow: FakeAirflowServer) -> None:
    response = api_operator("pools").execute(context())
    assert [pool["name"] for pool in response["pools"]] == ["default_pool", "narrow"]
    assert set(response) == {"pools", "total_entries"}


@pytest.mark.parametrize("method", ["GET", "get", "DELETE"])
def test_data_is_the_query_string_of_get_and_delete(fake_airflow: FakeAirflowServer, method: str) -> None:
    fake_airflow.on(method.upper(), "things", json_response({"ok": True}))
    api_operator("things", method=method, data={"a": ["x", "ż"], "b": True, "c": None}).execute(context())
    assert fake_airflow.received[-1].query == {"a": ["x", "ż"], "b": ["true"]}
    assert fake_airflow.received[-1].body == b""


@pytest.mark.parametrize("method", ["POST", "PATCH", "put"])
def test_data_is_the_json_body_of_other_methods(fake_airflow: FakeAirflowServer, method: str) -> None:
    fake_airflow.on(method.upper(), "things", json_response({"ok": True}))
    api_operator("things", method=method, data={"a": [1, None]}).execute(context())
    assert fake_airflow.received[-1].json == {"a": [1, None]}
    assert fake_airflow.received[-1].headers["content-type"] == "application/json"
    assert fake_airflow.received[-1].query == {}


def test_text_data_is_sent_as_it_is(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("POST", "things", json_response({"ok": True}))
    api_operator("things", method="POST", data='{"a":  1}').execute(context())
    assert fake_airflow.received[-1].body == b'{"a":  1}'


def test_headers_are_sent(fake_airflow: FakeAirflowServer) -> None:
    api_operator(headers={"X-Team": "a"}).execute(context())
    assert fake_airflow.received[-1].headers["x-team"] == "a"
    api_operator(headers={"X-Team": "b"}, all_pages=True).execute(context())
    assert fake_airflow.received[-1].headers["x-team"] == "b"


def test_empty_response_is_none(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("DELETE", "things/1", ScriptedResponse(204))
    assert api_operator("things/1", method="DELETE").execute(context()) is None


def test_all_pages_are_returned_as_one(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {f"dag_{number}": False for number in range(5)}
    any_airflow.page_limit = 2
    response = api_operator(data={"tags": ["x"]}, all_pages=True).execute(context())
    assert [dag["dag_id"] for dag in response["dags"]] == sorted(any_airflow.dags)
    assert response["total_entries"] == 5
    assert all(received.query["tags"] == ["x"] for received in any_airflow.received)
    assert len(any_airflow.received) >= 3


def test_response_is_logged_only_with_log_response(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    api_operator("pools").execute(context())
    assert "narrow" not in "\n".join(log_lines)
    api_operator("pools", log_response=True).execute(context())
    assert '"name": "narrow"' in "\n".join(log_lines)


@pytest.mark.parametrize("passes", [True, False])
def test_response_check_decides_whether_the_task_fails(fake_airflow: FakeAirflowServer, passes: bool) -> None:
    received: list[Any] = []

    def check(response: Any, ds: str) -> bool:
        received.extend((response["total_entries"], ds))
        return passes

    operator = api_operator("pools", response_check=check)
    if passes:
        assert operator.execute(context())["total_entries"] == 2
    else:
        with pytest.raises(AirflowException, match=r"^Failed: GET pools\n  response_check rejected the response$"):
            operator.execute(context())
    assert received == [2, "2026-02-01"]


def test_response_filter_makes_the_result(fake_airflow: FakeAirflowServer) -> None:
    operator = api_operator("pools", response_filter=lambda response, ds: [ds, response["total_entries"]])
    assert operator.execute(context()) == ["2026-02-01", 2]


def test_all_pages_needs_the_method_get() -> None:
    with pytest.raises(ValueError, match="all_pages goes with method 'GET', not 'POST'"):
        api_operator(method="POST", all_pages=True)


@pytest.mark.parametrize("endpoint", ["/", "../admin", "https://elsewhere.example.com/dags", "api/v2/dags"])
def test_endpoint_outside_of_the_api_fails_for_good(fake_airflow: FakeAirflowServer, endpoint: str) -> None:
    with pytest.raises(AirflowFailException, match="expected a path relative to /api/vN/"):
        api_operator(endpoint).execute(context())
    assert fake_airflow.received == []


@pytest.mark.parametrize("endpoint", ["dags", "dags?paused=false"])
def test_text_data_is_appended_to_the_query_string_of_get(fake_airflow: FakeAirflowServer, endpoint: str) -> None:
    api_operator(endpoint=endpoint, data="limit=1").execute(context())
    expected = {"limit": ["1"]} | ({"paused": ["false"]} if "?" in endpoint else {})
    assert fake_airflow.received[-1].query == expected


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "FETCH"])
def test_unknown_method_is_refused_at_parse_time(method: str) -> None:
    with pytest.raises(ValueError, match=f"method must be one of GET, .*, not '{method}'"):
        api_operator(method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "FETCH"}, "method must be one of GET, .*, not 'FETCH'"),
        ({"method": "POST", "all_pages": True}, "all_pages goes with method 'GET', not 'POST'"),
    ],
)
def test_invalid_parameter_of_a_mapped_task_fails_for_good(options: dict[str, Any], message: str) -> None:
    """The operator of a mapped task is created, and its parameters are checked, when the task runs."""
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        mapped = AstroApiOperator.partial(task_id="t", endpoint="dags").expand(
            **{name: [value] for name, value in options.items()}
        )
    with pytest.raises(AirflowFailException, match=message):
        mapped.unmap(options)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, AirflowFailException), (403, AirflowFailException), (404, NotFoundError), (500, TargetUnavailableError)],
)
def test_error_of_the_target_fails_the_task(
    fake_airflow: FakeAirflowServer, status: int, error: type[Exception]
) -> None:
    fake_airflow.on("GET", "things", json_response({"detail": "because"}, status))
    with pytest.raises(error, match="because"):
        api_operator("things").execute(context())


def test_templates_are_rendered_and_the_dag_can_be_serialized() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        operator = api_operator(
            "dags/{{ ds }}", data={"a": ["{{ ds }}"]}, headers={"X-Day": "{{ ds }}"}, http_conn_id="conn_{{ ds }}"
        )
        AstroApiOperator.partial(task_id="mapped").expand(endpoint=["dags", "pools"])
    assert set(round_trip(dag).task_dict) == {"t", "mapped"}
    operator.render_template_fields(context())
    rendered = (operator.endpoint, operator.data, operator.headers, operator.http_conn_id)
    assert rendered == ("dags/2026-02-01", {"a": ["2026-02-01"]}, {"X-Day": "2026-02-01"}, "conn_2026-02-01")


@pytest.mark.parametrize("all_pages", [False, True])
def test_rendered_numbers_are_read_as_text(
    fake_airflow: FakeAirflowServer, connect: Callable[..., None], all_pages: bool
) -> None:
    connect(fake_airflow.url, password=TOKEN, conn_id="7")
    fake_airflow.on("GET", "123", json_response({"dags": [], "total_entries": 0}))
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True):
        operator = api_operator("{{ 123 }}", http_conn_id="{{ 7 }}", all_pages=all_pages)
    operator.render_template_fields(context())
    assert [operator.endpoint, operator.http_conn_id] == [123, 7]
    assert operator.execute(context()) == {"dags": [], "total_entries": 0}
    assert [received.path for received in fake_airflow.received] == ["/api/v2/123"]


@pytest.mark.parametrize("parameter", ["endpoint", "http_conn_id"])
@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_id_that_renders_to_nothing_fails_for_good(
    fake_airflow: FakeAirflowServer, parameter: str, nothing: str | None
) -> None:
    operator = api_operator()
    setattr(operator, parameter, nothing)  # as rendered from a task that returned nothing
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to {nothing!r}: it names nothing"):
        operator.execute(context())
    assert fake_airflow.received == []


def test_allowed_status_is_returned_checked_and_filtered(any_airflow: FakeAirflowServer) -> None:
    any_airflow.on("DELETE", "variables/x", json_response(any_airflow.payloads.error(404, "was not found"), 404))
    options = {"endpoint": "variables/x", "method": "DELETE", "allowed_statuses": (404,)}
    assert api_operator(**options).execute(context())["detail"] == "was not found"
    checked = api_operator(**options, response_check=lambda response: response is None)
    with pytest.raises(AirflowException, match="response_check rejected"):
        checked.execute(context())
    assert api_operator(**options, response_filter=lambda body: body["detail"]).execute(context()) == "was not found"
    with pytest.raises(NotFoundError, match=r"has no variable 'x'\. It says: was not found"):
        api_operator("variables/x", method="DELETE").execute(context())


def test_response_check_that_is_always_true_is_refused_at_parse_time() -> None:
    with pytest.raises(ValueError, match="response_check must be an ordinary function"):
        api_operator("pools", response_check=checks.is_ready_later)


def test_invalid_allowed_status_is_refused_at_parse_time() -> None:
    with pytest.raises(ValueError, match="allowed_statuses must be HTTP statuses"):
        api_operator(allowed_statuses=("404",))


def test_success_is_one_log_line(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    api_operator("pools").execute(context())
    assert log_lines[-1] == f"Answered 200: GET pools in Deployment {any_airflow.url} (connection 'http_conn')"
    any_airflow.on("DELETE", "variables/x", json_response(any_airflow.payloads.error(404, "was not found"), 404))
    api_operator("variables/x", method="delete", allowed_statuses=(404,)).execute(context())
    assert log_lines[-1].startswith("Answered 404: DELETE variables/x in Deployment ")

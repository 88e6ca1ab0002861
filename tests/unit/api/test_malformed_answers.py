"""Answers that no Airflow gives: each one is an error of this package, or makes no difference."""

from __future__ import annotations

import json

import pytest

from astro_provider.api.credentials import Login
from astro_provider.api.errors import NotAirflowError, UnexpectedAnswerError
from tests.unit import payloads
from tests.unit.scripted_target import TOKEN, ScriptedResponse, ScriptedTarget, json_response, redirect_response

DAG = json.dumps(payloads.v2.dag()).encode()
LOGIN = Login("admin", "pass-word-1")


@pytest.mark.parametrize("seconds", ["²", "٣", "1" * 5000, "-1", "soon", ""])
def test_a_retry_after_that_is_no_number_is_ignored(target: ScriptedTarget, seconds: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(503, b"{}", {"Retry-After": seconds}), ScriptedResponse(200, DAG))
    assert target.run(target.client().get_dag("d"))["dag_id"] == "d"
    assert 0 < target.pauses[0] <= 30


@pytest.mark.parametrize(
    "location", ["https://target.example.com:port/x", "http://[::1", "//[", "https://target.example.com:99999/x"]
)
def test_a_redirect_to_what_is_no_url_is_not_followed(target: ScriptedTarget, location: str) -> None:
    target.on("GET", "dags/d", redirect_response(location))
    with pytest.raises(NotAirflowError, match="is redirected to"):
        target.run(target.client().get_dag("d"))


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 99999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +9999",
        "9" * 6000,
        "yesterday",
        "",
    ],
)
def test_a_date_that_cannot_be_is_ignored(target: ScriptedTarget, date: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(200, DAG, {"Date": date}))
    client = target.client()
    target.run(client.get_dag("d"))
    assert client.at_target(target.clock.now) == client.at_target(target.clock.now)[:19] + "+00:00"
    assert client.memory.clock_lead == 0


@pytest.mark.parametrize("seconds", [10**400, "3600", None, [], {}])
def test_a_token_of_unknown_life_is_used(target: ScriptedTarget, seconds: payloads.JSON) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": "fetched-1", "expires_in": seconds}, 201))
    target.on("GET", "dags/d", ScriptedResponse(200, DAG))
    client = target.client(LOGIN)
    for _ in range(2):
        target.run(client.get_dag("d"))
    assert target.calls_received.count("POST /auth/token") == 1


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_none(target: ScriptedTarget, token: str) -> None:
    target.on("POST", "/auth/token", json_response({"access_token": token}, 201))
    with pytest.raises(UnexpectedAnswerError, match="expected a token"):
        target.run(target.client(LOGIN).get_dag("d"))
    assert target.calls_received == ["POST /auth/token"]


@pytest.mark.parametrize("content", ["[{'a': 1}]", "[{}]", "{'a': 1}", "[1]", "[set()]", "[('host',)]", "5"])
def test_a_log_that_looks_like_python_is_text(target_v1: ScriptedTarget, content: str) -> None:
    target_v1.on("GET", "dags/d/dagRuns/r/taskInstances/t/logs/1", json_response({"content": content}))
    log = target_v1.run(target_v1.client(api_version="v1").get_task_log("d", "r", "t", try_number=1))
    assert [entry["event"] for entry in log] == [content]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_no_encoding_hides_a_credential(target: ScriptedTarget, encoding: str) -> None:
    target.on("GET", "dags/d", ScriptedResponse(200, json.dumps(payloads.v2.dag(description=TOKEN)).encode(encoding)))
    with pytest.raises(UnexpectedAnswerError, match="expected JSON"):
        target.run(target.client().get_dag("d"))


def test_a_byte_order_mark_is_no_matter(target: ScriptedTarget) -> None:
    target.on(
        "GET", "dags/d", ScriptedResponse(200, json.dumps(payloads.v2.dag(description=TOKEN)).encode("utf-8-sig"))
    )
    assert target.run(target.client().get_dag("d"))["description"] == "***"


def test_a_first_page_without_rows_is_not_a_list_of_many(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", total=500)))
    with pytest.raises(UnexpectedAnswerError, match="A list of 500 rows was not whole"):
        target.run(target.client().list_dags())

"""A 404 about a dag names the dags with similar ids."""

from __future__ import annotations

import pytest

from astro_provider.api import calls
from astro_provider.api.errors import (
    NotFoundError,
)
from tests.unit import payloads
from tests.unit.scripted_target import (
    ScriptedResponse,
    ScriptedTarget,
    json_response,
)

WHERE = "Deployment https://target.example.com/dz3uu847 (connection 'http_conn')"


def test_404_names_similar_dags(target: ScriptedTarget) -> None:
    target.on(
        "GET",
        "dags",
        json_response(payloads.v2.collection("dags", *map(payloads.v2.dag, ("sales_daily", "hr", "Sales")))),
    )
    with pytest.raises(NotFoundError, match=r"has no dag 'sales'.*It has 'Sales', 'sales_daily'\.$") as caught:
        target.run(target.client().get_dag("sales"))
    assert caught.value.similar == ("Sales", "sales_daily")
    assert str(caught.value).startswith(WHERE)
    assert caught.value.status == 404


def test_similar_dags_are_searched_by_pattern_and_among_all(target: ScriptedTarget) -> None:
    def dags(received: object) -> ScriptedResponse:
        names = ["etl_sales_of_last_year"] if "dag_id_pattern" in getattr(received, "query", ()) else ["saels"]
        return json_response(payloads.v2.collection("dags", *map(payloads.v2.dag, names)))

    target.on("GET", "dags", dags)
    with pytest.raises(NotFoundError) as caught:
        target.run(target.client().get_dag("sales"))
    assert "saels" in caught.value.similar
    assert [received.query.get("dag_id_pattern") for received in target.received[1:]] == [["sales"], None]


@pytest.mark.parametrize(
    "dags", [json_response(payloads.v2.collection("dags", payloads.v2.dag("hr"))), json_response({}, 403)]
)
def test_404_is_about_the_dag_if_there_are_no_similar_dags(target: ScriptedTarget, dags: ScriptedResponse) -> None:
    target.on("GET", "dags", dags)
    with pytest.raises(NotFoundError, match="has no dag 'sales'") as caught:
        target.run(target.client().get_dag("sales"))
    assert caught.value.similar == ()


def test_404_of_a_run_is_unchanged_if_the_dag_exists(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", payloads.v2.dag("d"), payloads.v2.dag("d2"))))
    with pytest.raises(NotFoundError, match=r"has no dag run 'r' of dag 'd'\. It says: Not Found\.$") as caught:
        target.run(target.client().get_dag_run("d", "r"))
    assert caught.value.similar == ()


def test_404_of_a_run_names_similar_dags_if_the_dag_does_not_exist(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", payloads.v2.dag("sales"))))
    with pytest.raises(NotFoundError, match=r"has no dag 'salse', or the token may not see it\. It has 'sales'"):
        target.run(target.client().get_dag_run("salse", "r"))


def test_404_without_a_dag_lists_no_dags(target: ScriptedTarget) -> None:
    with pytest.raises(NotFoundError):
        target.run(target.client().call(calls.list_pools, {}))
    assert target.calls_received == ["GET /api/v2/pools"]

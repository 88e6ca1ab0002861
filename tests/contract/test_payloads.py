"""The payloads of the unit tests match Airflow's OpenAPI descriptions."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.flow import Request
from tests.contract.openapi import UndescribedError, description
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:Unsupported scheme type")

RUN = "dags/d/dagRuns/r"
CASES: dict[str, tuple[str, Callable[[Any], payloads.JSON]]] = {
    "version": ("GET version", lambda bodies: bodies.version()),
    "dag": ("GET dags/d", lambda bodies: bodies.dag()),
    "dag_run": (f"GET {RUN}", lambda bodies: bodies.dag_run()),
    "task_instance": (f"GET {RUN}/taskInstances/t", lambda bodies: bodies.task_instance(state=None)),
    "task": ("GET dags/d/tasks/t", lambda bodies: bodies.task()),
    "pool": ("GET pools/p", lambda bodies: bodies.pool()),
    "xcom": (f"GET {RUN}/taskInstances/t/xcomEntries/k", lambda bodies: bodies.xcom({"rows": [1]})),
    "log": (f"GET {RUN}/taskInstances/t/logs/1", lambda bodies: bodies.log()),
    "error": ("GET dags/d", lambda bodies: bodies.error(404, "not found")),
    "collection": ("GET dags", lambda bodies: bodies.collection("dags", bodies.dag(), bodies.dag("other"), total=7)),
}
COLLECTIONS = {
    "dag_runs": ("GET dags/d/dagRuns", "dag_run"),
    "task_instances": (f"GET {RUN}/taskInstances", "task_instance"),
    "pools": ("GET pools", "pool"),
    "xcom_entries": (f"GET {RUN}/taskInstances/t/xcomEntries", "xcom_entry"),
}

both = pytest.mark.parametrize("bodies", [payloads.v1, payloads.v2], ids=["v1", "v2"])


def check(bodies: Any, endpoint: str, response: ScriptedResponse, body: bytes | None = None) -> None:
    method, path = endpoint.split()
    url = f"https://target.example.com/api/{bodies.name}/{path}"
    description(bodies.name).check_response(Request(method, url, {}, body), response)


@both
@pytest.mark.parametrize("name", CASES)
def test_payload_is_described(bodies: Any, name: str) -> None:
    endpoint, build = CASES[name]
    check(bodies, endpoint, json_response(build(bodies), 404 if name == "error" else 200))


@both
@pytest.mark.parametrize("key", COLLECTIONS)
def test_collection_is_described(bodies: Any, key: str) -> None:
    endpoint, item = COLLECTIONS[key]
    check(bodies, endpoint, json_response(bodies.collection(key, getattr(bodies, item)())))


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_error_is_described(bodies: Any, status: int) -> None:
    check(bodies, "POST dags/d/dagRuns", json_response(bodies.error(status, "because"), status))


@both
def test_every_payload_is_tested(bodies: Any) -> None:
    offered = {name for name, _ in inspect.getmembers(bodies, inspect.ismethod) if not name.startswith("_")}
    assert offered - {*CASES, *(item for _, item in COLLECTIONS.values())} == set()


@both
@pytest.mark.parametrize(
    "change",
    [{"state": "over"}, {"start_date": "yesterday"}, {"dag_run_id": 1}, {"surprise": None}, {"conf": "{}"}],
    ids=str,
)
def test_wrong_value_is_reported(bodies: Any, change: dict[str, Any]) -> None:
    with pytest.raises(UndescribedError):
        check(bodies, f"GET {RUN}", json_response({**bodies.dag_run(), **change}))


def test_missing_key_is_reported() -> None:
    run = payloads.v2.dag_run()
    del run["run_after"]
    with pytest.raises(UndescribedError, match="run_after"):
        check(payloads.v2, f"GET {RUN}", json_response(run))


def test_undescribed_status_is_reported() -> None:
    with pytest.raises(UndescribedError, match="418"):
        check(payloads.v2, f"GET {RUN}", ScriptedResponse(418, json.dumps({"detail": "teapot"}).encode()))

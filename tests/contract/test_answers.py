"""The canned answers of the tests are what Airflow describes, so that a test proves something of real targets."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.flow import Request
from tests.contract.description import NotAsDescribed, description
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:Unsupported scheme type")

RUN = "dags/d/dagRuns/r"
CASES: dict[str, tuple[str, Callable[[Any], payloads.JSON]]] = {
    "version": ("GET version", lambda made: made.version()),
    "dag": ("GET dags/d", lambda made: made.dag()),
    "dag_run": (f"GET {RUN}", lambda made: made.dag_run()),
    "task_instance": (f"GET {RUN}/taskInstances/t", lambda made: made.task_instance(state=None)),
    "task": ("GET dags/d/tasks/t", lambda made: made.task()),
    "pool": ("GET pools/p", lambda made: made.pool()),
    "xcom": (f"GET {RUN}/taskInstances/t/xcomEntries/k", lambda made: made.xcom({"rows": [1]})),
    "log": (f"GET {RUN}/taskInstances/t/logs/1", lambda made: made.log()),
    "error": ("GET dags/d", lambda made: made.error(404, "not found")),
    "collection": ("GET dags", lambda made: made.collection("dags", made.dag(), made.dag("other"), total=7)),
}
COLLECTIONS = {
    "dag_runs": ("GET dags/d/dagRuns", "dag_run"),
    "task_instances": (f"GET {RUN}/taskInstances", "task_instance"),
    "pools": ("GET pools", "pool"),
}

both = pytest.mark.parametrize("made", [payloads.v1, payloads.v2], ids=["v1", "v2"])


def check(made: Any, calls_received: str, said: ScriptedResponse, body: bytes | None = None) -> None:
    method, path = calls_received.split()
    url = f"https://target.example.com/api/{made.name}/{path}"
    description(made.name).check_answer(Request(method, url, {}, body), said)


@both
@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_described(made: Any, name: str) -> None:
    calls_received, make = CASES[name]
    check(made, calls_received, json_response(make(made), 404 if name == "error" else 200))


@both
@pytest.mark.parametrize("key", COLLECTIONS)
def test_a_collection_is_described(made: Any, key: str) -> None:
    calls_received, item = COLLECTIONS[key]
    check(made, calls_received, json_response(made.collection(key, getattr(made, item)())))


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_an_error_is_described(made: Any, status: int) -> None:
    check(made, "POST dags/d/dagRuns", json_response(made.error(status, "because"), status))


@both
def test_every_answer_has_such_a_test(made: Any) -> None:
    offered = {name for name, _ in inspect.getmembers(made, inspect.ismethod) if not name.startswith("_")}
    assert offered - set(CASES) == set()


@both
@pytest.mark.parametrize(
    "change",
    [{"state": "over"}, {"start_date": "yesterday"}, {"dag_run_id": 1}, {"surprise": None}, {"conf": "{}"}],
    ids=str,
)
def test_these_tests_notice(made: Any, change: dict[str, Any]) -> None:
    with pytest.raises(NotAsDescribed):
        check(made, f"GET {RUN}", json_response({**made.dag_run(), **change}))


def test_these_tests_notice_what_is_missing() -> None:
    run = payloads.v2.dag_run()
    del run["run_after"]
    with pytest.raises(NotAsDescribed, match="run_after"):
        check(payloads.v2, f"GET {RUN}", json_response(run))


def test_these_tests_notice_an_error_that_is_not_described() -> None:
    with pytest.raises(NotAsDescribed, match="418"):
        check(payloads.v2, f"GET {RUN}", ScriptedResponse(418, json.dumps({"detail": "teapot"}).encode()))

"""Every request of this package and every response of FakeAirflow match Airflow's OpenAPI descriptions."""

from __future__ import annotations

import inspect
import types
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from astro_provider.api import calls, idle_lists, poll_lists
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.client import Client
from astro_provider.api.credentials import Login
from astro_provider.api.errors import (
    AstroError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RequestNotPossible,
    ResultError,
)
from astro_provider.api.exchange import Exchange
from astro_provider.api.failed_run import describe_failure
from astro_provider.api.flow import Request
from astro_provider.api.memory import Memory
from astro_provider.api.repair import repair_dag_run
from astro_provider.api.results import ResultRequest, read_result
from astro_provider.api.sender import Sender
from astro_provider.tasks.caller_note import MAX_NOTE_CHARACTERS, caller_note, trigger_with_note
from astro_provider.tasks.clear_run import clear_run
from astro_provider.waits.find_runs import find_runs
from astro_provider.waits.loop import wait_for_dag_run, watch
from astro_provider.waits.wait import EndStates, RunWait
from tests.contract.openapi import OpenApiDescription, UndescribedError, description
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.tasks.clear_requests import FIRST_TRY, clear_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astro_provider.api.flow import Flow, Step
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

# The validator does not support Kerberos, one of the authentication schemes of v1.
pytestmark = pytest.mark.filterwarnings("ignore:Unsupported scheme type")

DAG = "zażółć.~dag-1"
RUN = {"v1": "ręczny bieg/1 50%+~.:2026-01-31T06:00:00+00:00", "v2": "A-run_~.:2026-01-31T06:00:00+00:00"}
"""Airflow 2 accepts any run id, Airflow 3 only these characters."""

KEY = "klucz/ż ?&#+%"
DATE = "2026-01-31T06:00:00+00:00"
END_STATES = EndStates(("success",), ("failed",), ("skipped",))


class DescribedAirflow(FakeAirflow):
    """A fake Airflow that validates every request and every response."""

    def __init__(self, api_version: str) -> None:
        super().__init__(api_version)
        self.requests: list[Request] = []
        self.run_id = RUN[api_version]
        self.dags = {DAG: False, "zażółć": False, "paused": True}
        self.groups = {"group": ["group.inside"]}
        self.page_limit = 2
        self.has_run(self.run_id, "running", "failed", dag_id=DAG, end_date=None)
        self.has_run("queued", "queued", dag_id="paused", end_date=None)
        log = self.payloads.log()
        self.has_task("extract", "failed", run_id=self.run_id, dag_id=DAG, log=log)
        self.has_task("load.ż", "failed", run_id=self.run_id, dag_id=DAG, log=log, map_index=3, try_number=2)
        self.has_task("group.inside", "success", run_id=self.run_id, dag_id=DAG)
        self.has_task("cut off", "skipped", run_id=self.run_id, dag_id=DAG)
        self.has_task("cut.off", "skipped", run_id=self.run_id, dag_id=DAG, map_index=3)
        self.has_xcom("extract", {"rows": [1, None]}, key=KEY)
        self.has_xcom("load.ż", None, key=KEY, map_index=3)
        self.has_xcom("load.ż", [1], key=KEY, map_index=10)
        self.mapped_tasks = {"no part"}

    def client(self, *credentials: Any, **options: Any) -> Client:
        # The authentication in the description of each API version. The login of v2 has its own test.
        if not credentials and self.api_version == "v1":
            credentials = (Login("user", "pass word"),)
        return RecordingClient(super().client(*credentials, **options))

    def _carry(self, step: Step) -> Any:
        if isinstance(step, Request):
            request = replace(step, url=step.url.replace("/dz3uu847", "", 1))
            self.requests.append(request)
            self._described.check_request(request)
        return super()._carry(step)

    def respond(self, received: ReceivedRequest) -> ScriptedResponse:
        response = super().respond(received)
        if self._requested_version == self.api_version:
            self._described.check_response(self.requests[-1], response)
        return response

    @property
    def _described(self) -> OpenApiDescription:
        is_login = urlsplit(self.requests[-1].url).path.startswith("/auth/")
        return description("auth" if is_login else self._requested_version)

    @property
    def _requested_version(self) -> str:
        """The API version in the path. The first request to a target of Airflow 2 uses v2."""
        return "v1" if urlsplit(self.requests[-1].url).path.startswith("/api/v1/") else "v2"


class RecordingClient(Client):
    """A client that records which of its methods are called."""

    called: set[str] = set()

    def __init__(self, client: Client) -> None:
        super().__init__(client.deployment, client.memory, client.clock)  # a copy of another class

    def __getattribute__(self, name: str) -> Any:
        RecordingClient.called.add(name)
        return super().__getattribute__(name)


def _finished_since_target_time(client: Client, run: str) -> Flow[Any]:
    return poll_lists.finished_runs(client, [DAG], client.at_target(0), client.at_target(0))


FLOWS: dict[str, Callable[[Client, str], Flow[Any]]] = {
    "test": lambda client, run: client.test(),
    "api version": lambda client, run: client.api_version(),
    "any endpoint": lambda client, run: client.request("get", "/pools", params={"limit": 1, "offset": None}),
    "any endpoint with a body": lambda client, run: client.request("PATCH", "dags/paused", body={"is_paused": True}),
    "any endpoint with text": lambda client, run: client.request("PATCH", "dags/paused", body='{"is_paused": true}'),
    "all pages": lambda client, run: client.all_pages("dags", params={"tags": ["daily", "ż"], "paused": False}),
    "get dag": lambda client, run: client.get_dag(DAG),
    "pause": lambda client, run: client.set_paused(DAG, paused=True),
    "unpause": lambda client, run: client.set_paused(DAG, paused=False),
    "trigger": lambda client, run: client.trigger_dag_run(DAG),
    "trigger with empty values": lambda client, run: client.trigger_dag_run(DAG, logical_date="None", conf={}),
    "trigger with everything": lambda client, run: client.trigger_dag_run(
        DAG,
        run_id="new~run+1:ok",
        logical_date=datetime(2026, 2, 1),
        data_interval_start="2026-02-01T00:00:00Z",
        data_interval_end=datetime(2026, 2, 2, tzinfo=timezone.utc),
        conf={"rows": (1, 2), "ż": None},
        note="a\nnote",
    ),
    "trigger with the longest default note": lambda client, run: trigger_with_note(
        client, DAG, note=None, default=_long_note(), run_id="noted", logical_date="2026-02-02T00:00:00Z"
    ),
    "get run": lambda client, run: client.get_dag_run(DAG, run),
    "find run": lambda client, run: client.find_dag_run(DAG, "no-such-run"),
    "find by logical date": lambda client, run: client.find_by_logical_date(DAG, DATE),
    "list dags": lambda client, run: client.list_dags(tags=["daily"], dag_id_pattern="ż", limit=3, paused=False),
    "list pools": lambda client, run: client.list_pools(),
    "list runs": lambda client, run: client.list_dag_runs(
        DAG,
        state=["failed", "success"],
        order_by="-logical_date",
        logical_date_gte=DATE,
        logical_date_lte=DATE,
        run_after_gte=DATE,
        start_date_gte=DATE,
        end_date_lte=DATE,
        limit=1,
    ),
    "list runs of all dags": lambda client, run: client.list_dag_runs("~"),
    "finished runs": lambda client, run: poll_lists.finished_runs(client, [DAG, "paused", "none"], DATE, DATE),
    "finished runs of a dag": lambda client, run: poll_lists.finished_runs_of_dag(client, DAG, DATE, DATE),
    "finished tasks": lambda client, run: poll_lists.finished_tasks(client, [DAG, "paused", "none"], DATE),
    "finished tasks of runs": lambda client, run: poll_lists.finished_tasks(client, [DAG], DATE, run_ids=[run, "none"]),
    "some finished tasks": lambda client, run: poll_lists.finished_tasks(
        client, [DAG], DATE, task_ids=["load.ż", "none"]
    ),
    "finished tasks of a dag": lambda client, run: poll_lists.finished_tasks_of_dag(client, DAG, DATE),
    "unfinished runs": lambda client, run: poll_lists.unfinished_runs(client, [DAG, "paused"], DATE, DATE),
    "oldest unfinished runs": lambda client, run: poll_lists.oldest_unfinished_runs(client, [DAG, "paused"], 150),
    "unfinished runs of a dag": lambda client, run: poll_lists.unfinished_runs_of_dag(client, DAG, DATE, DATE),
    "runs in a range": lambda client, run: poll_lists.runs_in_range(client, [DAG, "none"], DATE, DATE, by_dag=False),
    "runs of a dag in a range": lambda client, run: poll_lists.runs_in_range(client, [DAG], DATE, DATE, by_dag=True),
    "runs that a wait finds in a range": lambda client, run: find_runs(
        client, RunWait(DAG, EndStates(["success"]), logical_date_range=(DATE, "2027-01-01T00:00:00Z"))
    ),
    "active tasks": lambda client, run: idle_lists.active_tasks(client, [DAG, "paused", "none"]),
    "active tasks of a dag": lambda client, run: idle_lists.active_tasks_of_dag(client, DAG, 3),
    "first unfinished runs": lambda client, run: idle_lists.unfinished_runs(client, [DAG, "paused", "none"]),
    "first unfinished runs of a dag": lambda client, run: idle_lists.unfinished_runs_of_dag(client, DAG, 3),
    "paused dags": lambda client, run: idle_lists.paused_dags(client, 100),
    "tasks of runs": lambda client, run: poll_lists.instances_of_tasks(client, [DAG], [run], ["extract", "none"]),
    "instances of tasks": lambda client, run: client.list_instances_of_tasks(DAG, [run], ["extract", "load.ż"]),
    "the target's clock": _finished_since_target_time,
    "cancel": lambda client, run: client.cancel_dag_run(DAG, run),
    "clear": lambda client, run: client.clear_dag_run(DAG, run, only_failed=False),
    "clear failed tasks": lambda client, run: client.clear_dag_run(DAG, run, only_failed=True),
    "repair": lambda client, run: repair_dag_run(client, _ended(run)),
    "clear a run once": lambda client, run: _clear(client, run),
    "clear tasks once": lambda client, run: _clear(
        client, run, task_ids=["extract", "load.ż"], include_downstream=True, only_failed=True
    ),
    "list tasks": lambda client, run: client.list_task_instances(DAG, run),
    "list tasks of a group": lambda client, run: client.list_task_instances(
        DAG, run, group_id="group", state=["success"]
    ),
    "log": lambda client, run: client.get_task_log(DAG, run, "extract"),
    "log of a mapped task": lambda client, run: client.get_task_log(DAG, run, "load.ż", map_index=3),
    "log of a try": lambda client, run: client.get_task_log(DAG, run, "load.ż", try_number=2, map_index=3),
    "xcom": lambda client, run: client.get_xcom(DAG, run, "extract", key=KEY),
    "xcom of a mapped task": lambda client, run: client.get_xcom(DAG, run, "load.ż", key=KEY, map_index=3),
    "xcoms of all instances": lambda client, run: client.get_xcom(DAG, run, "load.ż", key=KEY),
    "xcoms of no instance": lambda client, run: client.get_xcom(DAG, run, "no part", key=KEY),
    "result": lambda client, run: read_result(client, _ended(run), ResultRequest(["extract", "load.ż"], KEY)),
    "wait": lambda client, run: wait_for_dag_run(client, DAG, run, poke_interval=5, timeout=60, log=print, warn=print),
    "describe a failure": lambda client, run: describe_failure(
        client,
        {"dag_id": DAG, "dag_run_id": run},  # type: ignore[typeddict-item]
    ),
    "wait for a run": lambda client, run: _wait(client, run_id=run, must_exist=True),
    "wait for a run of a paused dag": lambda client, run: _wait(client, "paused", run_id="queued", must_exist=True),
    "wait for a logical date": lambda client, run: _wait(client, logical_dates=[DATE, "2020-01-01T00:00:00+00:00"]),
    "wait for the newest run": lambda client, run: _wait(client, latest=True),
    "wait for tasks": lambda client, run: _wait(
        client, run_id=run, task_ids=["extract", "load.ż"], check_existence=True
    ),
    "wait for a group": lambda client, run: _wait(client, run_id=run, group_id="group", check_existence=True),
    "wait for a missing group": lambda client, run: _wait(client, run_id=run, group_id="nowhere"),
}

ONLY_V2: dict[str, Callable[[Client, str], Flow[Any]]] = {
    "trigger later": lambda client, run: client.trigger_dag_run(
        DAG, run_after="2030-01-01T00:00:00Z", partition_key="2026-01-31|ż"
    ),
}

FAILING_FLOWS: dict[str, tuple[type[AstroError], Callable[[Client, str], Flow[Any]]]] = {
    "no such dag": (NotFoundError, lambda client, run: client.get_dag("zażółc")),
    "no such run": (NotFoundError, lambda client, run: client.get_dag_run(DAG, "none")),
    "no such task": (
        NotFoundError,
        lambda client, run: _wait(client, run_id=run, task_ids=["none"], check_existence=True),
    ),
    "no such xcom": (NotFoundError, lambda client, run: client.get_xcom(DAG, run, "extract", key="none")),
    "no such result": (
        ResultError,
        lambda client, run: read_result(client, _ended(run), ResultRequest("none", KEY)),
    ),
    "no such log": (NotFoundError, lambda client, run: client.get_task_log(DAG, run, "extract", try_number=9)),
    "run exists": (ConflictError, lambda client, run: client.trigger_dag_run(DAG, run_id=run)),
    "logical date exists": (
        ConflictError,
        lambda client, run: client.trigger_dag_run(DAG, logical_date=DATE),
    ),
}


def _long_note() -> str:
    note = caller_note("{t} ", "{d}", " {r}", ids={name: name * 500 for name in "tdr"}, url="https://" + "x" * 300)
    assert len(note) > MAX_NOTE_CHARACTERS - 10
    return note


def _ended(run_id: str) -> Any:
    return {"dag_id": DAG, "dag_run_id": run_id, "end_date": None}


def _clear(client: Client, run_id: str, **fields: Any) -> Flow[Any]:
    request = clear_request(external_dag_id=DAG, external_run_id=run_id, **fields)
    return clear_run(client, request, FIRST_TRY, repairs=True, store=lambda *_: None, log=print)


def _wait(client: Client, dag_id: str = DAG, **what: Any) -> Flow[Any]:
    deadline = client.clock() + 12
    return watch(
        client,
        RunWait(dag_id, END_STATES, **what),
        poke_interval=5,
        deadline=deadline,
        on_change=print,
        warn=print,
    )


def flows(api_version: str) -> dict[str, Callable[[Client, str], Flow[Any]]]:
    return FLOWS | (ONLY_V2 if api_version == "v2" else {})


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest) -> DescribedAirflow:
    return DescribedAirflow(request.param)


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize(
    ("api_version", "name"), [(api_version, name) for api_version in ("v1", "v2") for name in flows(api_version)]
)
def test_request_is_described(api_version: str, name: str, known: bool) -> None:
    target = DescribedAirflow(api_version)
    client = target.client(memory=Memory(API_VERSIONS[api_version] if known else None))
    target.run(flows(api_version)[name](client, target.run_id))
    assert name == "api version" or [request for request in target.requests if f"/api/{api_version}/" in request.url]


@pytest.mark.parametrize("name", FAILING_FLOWS)
def test_request_with_an_error_response_is_described(target: DescribedAirflow, name: str) -> None:
    error, flow = FAILING_FLOWS[name]
    client = target.client(memory=Memory(API_VERSIONS[target.api_version]))
    with pytest.raises(error):
        target.run(flow(client, target.run_id))
    assert target.requests


def test_rejected_run_id_has_a_described_response() -> None:
    with pytest.raises(InvalidRequestError, match="does not match the pattern"):
        (v2 := DescribedAirflow("v2")).run(v2.client().trigger_dag_run(DAG, run_id="no space"))


FINISHED: dict[str, tuple[Callable[[Client], Flow[Any]], Callable[[Client, str], Flow[Any]]]] = {
    "runs": (
        lambda client: poll_lists.finished_runs(client, ["paused", DAG], DATE, DATE),
        lambda client, dag_id: poll_lists.finished_runs_of_dag(client, dag_id, DATE, DATE),
    ),
    "tasks": (
        lambda client: poll_lists.finished_tasks(client, ["paused", DAG], DATE),
        lambda client, dag_id: poll_lists.finished_tasks_of_dag(client, dag_id, DATE),
    ),
}


@pytest.mark.parametrize("kind", FINISHED)
def test_list_across_dags_returns_the_same_as_one_list_per_dag(target: DescribedAirflow, kind: str) -> None:
    """The lists have more than one page each."""
    for task_id in ("second", "third", "fourth"):
        target.has_task(task_id, "skipped", run_id=target.run_id, dag_id=DAG)
        target.has_run(f"done-{task_id}", "success", dag_id=DAG)
    client = target.client(memory=Memory(API_VERSIONS[target.api_version]))
    across, of_dag = FINISHED[kind]
    at_once = target.run(across(client))
    assert len(at_once) > target.page_limit
    assert {request.method for request in target.requests} == {"POST"}
    by_dag = [row for dag_id in ("paused", DAG) for row in target.run(of_dag(client, dag_id))]
    assert sorted(by_dag, key=str) == sorted(at_once, key=str)


def test_filter_by_partition_is_described_in_v2_and_not_sent_to_v1() -> None:
    for api_version, error in (("v2", None), ("v1", RequestNotPossible)):
        target = DescribedAirflow(api_version)
        client = target.client(memory=Memory(API_VERSIONS[api_version]))
        with pytest.raises(error) if error else nullcontext():
            target.run(find_runs(client, RunWait(DAG, EndStates(["success"]), partition_key="eu|\\x")))
        assert bool(target.requests) == (error is None)


@pytest.mark.parametrize("field", ["run_after", "partition_key"])
def test_parameter_that_v1_lacks_is_not_sent(field: str) -> None:
    target = DescribedAirflow("v1")
    client = target.client(memory=Memory(API_VERSIONS["v1"]))
    with pytest.raises(RequestNotPossible):
        target.run(client.trigger_dag_run(DAG, **{field: "2030-01-01T00:00:00Z"}))  # type: ignore[arg-type]
    assert not target.requests


def test_token_request_is_described() -> None:
    target = DescribedAirflow("v2")
    target.run(target.client(Login("user", 'p"a:ss ż')).get_dag(DAG))
    assert urlsplit(target.requests[0].url).path == "/auth/token"
    assert target.requests[1].headers["Authorization"] == "Bearer token-of-a-login"


@pytest.mark.parametrize("module", [calls, idle_lists, poll_lists])
def test_every_call_is_tested(module: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assertion names each call that no flow above makes."""
    called: set[str] = set()

    def recording(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            called.add(name)
            return function(*arguments, **options)

        return recorded

    own = {name: function for name, function in vars(module).items() if _is_public_function_of(function, module)}
    for name, function in own.items():
        monkeypatch.setattr(module, name, recording(name, function))
    for api_version in ("v1", "v2"):
        for flow in flows(api_version).values():
            target = DescribedAirflow(api_version)
            target.run(flow(target.client(), target.run_id))
    assert set(own) - called == set()


def test_every_flow_of_the_client_is_tested() -> None:
    RecordingClient.called.clear()
    for flow in flows("v2").values():
        target = DescribedAirflow("v2")
        target.run(flow(target.client(), target.run_id))
    offered = {
        name
        for owner in (Client, Exchange, Sender)
        for name, function in vars(owner).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    assert offered - RecordingClient.called == {"use", "api_has_group_filter"}, "these two are no flows"


def _is_public_function_of(thing: object, module: types.ModuleType) -> bool:
    return inspect.isfunction(thing) and thing.__module__ == module.__name__ and not thing.__name__.startswith("_")


def _undescribed_requests() -> Iterator[Any]:
    wrong: dict[str, tuple[str, str, bytes | None]] = {
        "no such path": ("GET", "/api/{v}/runs", None),
        "a slash in an id": ("GET", "/api/{v}/dags/a/b/c/d", None),
        "no such method": ("PUT", "/api/{v}/pools", None),
        "an unknown parameter": ("GET", "/api/{v}/dags/d/dagRuns?limits=1", None),
        "a parameter that is no number": ("GET", "/api/{v}/dags/d/dagRuns?limit=many", None),
        "a parameter twice": ("GET", "/api/{v}/dags/d/dagRuns?limit=1&limit=2", None),
        "a body where none belongs": ("GET", "/api/{v}/pools", b"{}"),
        "no body": ("POST", "/api/{v}/dags/d/dagRuns", None),
        "an unknown key": ("POST", "/api/{v}/dags/d/dagRuns", b'{"logical_date": null, "run_id": "r"}'),
        "no date": ("POST", "/api/{v}/dags/d/dagRuns", b'{"logical_date": "today"}'),
        "a conf that is no object": ("POST", "/api/{v}/dags/d/dagRuns", b'{"logical_date": null, "conf": []}'),
        "an unknown state": ("PATCH", "/api/{v}/dags/d/dagRuns/r", b'{"state": "cancelled"}'),
    }
    for api_version in ("v1", "v2"):
        for name, (method, path, body) in wrong.items():
            yield pytest.param(api_version, method, path.format(v=api_version), body, id=f"{api_version}-{name}")
    yield pytest.param("v2", "POST", "/api/v2/dags/d/dagRuns", b"{}", id="v2-no logical date")
    yield pytest.param("v1", "POST", "/api/v1/dags/d/dagRuns", b'{"run_after": "2030-01-01T00:00:00Z"}', id="v1-later")


@pytest.mark.parametrize(("api_version", "method", "path", "body"), list(_undescribed_requests()))
def test_undescribed_request_is_reported(api_version: str, method: str, path: str, body: bytes | None) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Basic dXNlcjpwYXNz"}
    if api_version == "v2":
        headers["Authorization"] = "Bearer token"
    request = Request(method, f"https://target.example.com{path}", headers, body)
    with pytest.raises(UndescribedError):
        description(api_version).check_request(request)

"""AstroHook with a server on this machine: every method, with both API versions, and results with the names of v2."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import (
    AccessDeniedError,
    ConflictError,
    ConnectionConfigError,
    ConnectionUnreadableError,
    InvalidRequestError,
    NotFoundError,
    RequestNotPossible,
    WaitTimeoutError,
)
from astro_provider.hooks.astro import AstroHook
from tests.unit import payloads
from tests.unit.api.json_web_token import jwt
from tests.unit.scripted_server import ScriptedServer
from tests.unit.scripted_target import TOKEN, html_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.task_runner import FakeClock

RUN = "dags/d/dagRuns/r"
RUNS = "dags/d/dagRuns"
TASK = f"{RUN}/taskInstances/t"


@pytest.fixture(params=["v1", "v2"])
def any_server(request: pytest.FixtureRequest, connect: Callable[..., None]) -> Iterator[ScriptedServer]:
    """A server with each API version, which the connection pins."""
    with ScriptedServer(request.param) as running:
        connect(running.url, password=TOKEN, extra={"api_version": request.param})
        yield running


@pytest.fixture
def hook() -> Iterator[AstroHook]:
    with AstroHook() as made:
        yield made


def calls_received(server: ScriptedServer) -> list[str]:
    """The requests that the API received, without the prefix of their paths."""
    return [line.replace(f"/api/{server.api_version}/", "") for line in server.calls_received]


# --- each method


def test_request(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("POST", "variables", json_response({"key": "k"}))
    assert hook.request("POST", "variables", params={"a": 1}, json={"key": "k"}) == {"key": "k"}
    [received] = any_server.received
    assert (received.query, received.json) == ({"a": ["1"]}, {"key": "k"})


def test_list_dags(any_server: ScriptedServer, hook: AstroHook) -> None:
    first, second = any_server.payloads.dag("a"), any_server.payloads.dag("b")
    any_server.on(
        "GET",
        "dags",
        json_response(any_server.payloads.collection("dags", first, total=2)),
        json_response(any_server.payloads.collection("dags", second, total=2)),
    )
    assert [dag["dag_id"] for dag in hook.list_dags(tags=["x"])] == ["a", "b"]
    assert [(received.query["tags"], received.query["offset"]) for received in any_server.received] == [
        (["x"], ["0"]),
        (["x"], ["1"]),
    ]


def test_get_dag(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("GET", "dags/d", json_response(any_server.payloads.dag()))
    assert hook.get_dag("d") == any_server.payloads.dag()


@pytest.mark.parametrize("paused", [True, False])
def test_pause_dag_and_unpause_dag(any_server: ScriptedServer, hook: AstroHook, paused: bool) -> None:
    any_server.on("PATCH", "dags/d", json_response(any_server.payloads.dag(is_paused=paused)))
    dag = (hook.pause_dag if paused else hook.unpause_dag)("d")
    assert dag["is_paused"] is paused
    assert any_server.received[0].json == {"is_paused": paused}


def test_trigger_dag_run(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("POST", RUNS, json_response(any_server.payloads.dag_run("r", "queued")))
    run = hook.trigger_dag_run("d", run_id="r", logical_date=payloads.DATE, conf={"a": 1}, note="n")
    assert (run["dag_run_id"], run["state"], run["logical_date"]) == ("r", "queued", payloads.DATE)
    assert "execution_date" not in run
    written = {"dag_run_id": "r", "logical_date": "2026-01-31T06:00:00+00:00", "conf": {"a": 1}, "note": "n"}
    assert any_server.received[0].json == written


def test_get_dag_run(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("GET", RUN, json_response(any_server.payloads.dag_run("r")))
    run = hook.get_dag_run("d", "r")
    assert (run["logical_date"], "execution_date" in run) == (payloads.DATE, False)


def test_list_dag_runs(any_server: ScriptedServer, hook: AstroHook) -> None:
    many = [any_server.payloads.dag_run(f"r{i}") for i in range(3)]
    any_server.on("GET", RUNS, json_response(any_server.payloads.collection("dag_runs", *many, total=9)))
    runs = hook.list_dag_runs("d", logical_date_gte=payloads.DATE, order_by="-logical_date", limit=3)
    assert [run["logical_date"] for run in runs] == [payloads.DATE] * 3
    name = "execution_date" if any_server.api_version == "v1" else "logical_date"
    [received] = any_server.received
    assert received.query == {f"{name}_gte": [payloads.DATE], "order_by": [f"-{name}"], "limit": ["3"], "offset": ["0"]}


@pytest.mark.parametrize("only_failed", [True, False])
def test_clear_dag_run(any_server: ScriptedServer, hook: AstroHook, only_failed: bool) -> None:
    tasks = json_response(any_server.payloads.collection("task_instances"))
    for path in (f"{RUN}/clear", "dags/d/clearTaskInstances"):
        any_server.on("POST", path, tasks)
    any_server.on("GET", RUN, json_response(any_server.payloads.dag_run("r", "queued")))
    assert hook.clear_dag_run("d", "r", only_failed=only_failed)["state"] == "queued"
    clears_tasks = any_server.api_version == "v1" and only_failed
    assert calls_received(any_server) == [
        f"POST {'dags/d/clearTaskInstances' if clears_tasks else f'{RUN}/clear'}",
        f"GET {RUN}",
    ]


def test_cancel_dag_run(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("PATCH", RUN, json_response(any_server.payloads.dag_run("r", "failed")))
    assert hook.cancel_dag_run("d", "r")["state"] == "failed"
    assert any_server.received[0].json == {"state": "failed"}


def test_list_task_instances(any_server: ScriptedServer, hook: AstroHook) -> None:
    task = any_server.payloads.task_instance("t")
    any_server.on("GET", f"{RUN}/taskInstances", json_response(any_server.payloads.collection("task_instances", task)))
    [found] = hook.list_task_instances("d", "r")
    assert (found["task_id"], found["state"], "execution_date" in found) == ("t", "success", False)


def test_get_task_log(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("GET", TASK, json_response(any_server.payloads.task_instance(try_number=2)))
    any_server.on("GET", f"{TASK}/logs/2", json_response(any_server.payloads.log()))
    log = hook.get_task_log("d", "r", "t")
    assert any("no rows" in f"{entry['event']} {entry['error']}" for entry in log)
    assert any_server.received[1].headers["accept"] == "application/json"


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 7, None])
def test_get_xcom(any_server: ScriptedServer, hook: AstroHook, value: Any) -> None:
    any_server.on("GET", f"{TASK}/xcomEntries/return_value", json_response(any_server.payloads.xcom(value)))
    assert hook.get_xcom("d", "r", "t") == value
    assert any_server.received[0].query == ({"stringify": ["false"]} if any_server.api_version == "v1" else {})


def test_get_xcom_of_a_mapped_task(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("GET", f"{TASK}/xcomEntries/k", json_response(any_server.payloads.xcom(1)))
    hook.get_xcom("d", "r", "t", key="k", map_index=3)
    assert any_server.received[0].query["map_index"] == ["3"]


def test_get_xcom_of_all_instances_of_a_mapped_task(any_server: ScriptedServer, hook: AstroHook) -> None:
    answers = any_server.payloads
    entries = [answers.xcom_entry(map_index=index) for index in (1, 0)]
    any_server.on("GET", f"{TASK}/xcomEntries", json_response(answers.collection("xcom_entries", *entries)))
    missing = json_response(answers.error(404, "no XCom"), 404)
    values = [json_response(answers.xcom(value)) for value in ("first", "second")]
    any_server.on("GET", f"{TASK}/xcomEntries/return_value", missing, *values)
    assert hook.get_xcom("d", "r", "t") == ["first", "second"]
    assert [received.query.get("map_index") for received in any_server.received] == [None, None, ["0"], ["1"]]


def test_list_pools(any_server: ScriptedServer, hook: AstroHook) -> None:
    pools = [any_server.payloads.pool("a"), any_server.payloads.pool("b")]
    any_server.on(
        "GET", "pools", *(json_response(any_server.payloads.collection("pools", pool, total=2)) for pool in pools)
    )
    assert hook.list_pools() == pools


# --- waiting


def test_wait_for_dag_run(any_server: ScriptedServer, hook: AstroHook, clock: FakeClock, log_lines: list[str]) -> None:
    states = ("queued", "running", "running", "failed")
    any_server.on("GET", RUN, *(json_response(any_server.payloads.dag_run("r", state)) for state in states))
    run = hook.wait_for_dag_run("d", "r", poke_interval=60)
    assert (run["state"], clock.sleeps) == ("failed", [1, 1, 1])
    logged = [line.partition(": ")[0] for line in log_lines if ": dag 'd' in " in line]
    assert logged == ["Queued", "Running", "Failed"]


def test_wait_for_dag_run_ends_at_its_timeout(server: ScriptedServer, hook: AstroHook, clock: FakeClock) -> None:
    server.on("GET", RUN, json_response(payloads.v2.dag_run("r", "running")))
    with pytest.raises(WaitTimeoutError, match=r"^Timed out after 12 s: dag 'd' in .*\n  Last seen: Running\n"):
        hook.wait_for_dag_run("d", "r", timeout=12)
    assert sum(clock.sleeps) == 12


def test_wait_for_dag_run_tolerates_transient_errors_and_warns_once(
    server: ScriptedServer, hook: AstroHook, clock: FakeClock, log_lines: list[str]
) -> None:
    running, done = (json_response(payloads.v2.dag_run("r", state)) for state in ("running", "success"))
    server.on("GET", RUN, running, *[json_response({}, 503)] * 5, *[html_response("Being deployed")] * 2, done)
    assert hook.wait_for_dag_run("d", "r")["state"] == "success"
    [warning] = [line for line in log_lines if "Still waiting" in line]
    expected = f"Still waiting: dag 'd': Deployment {server.url} (connection 'http_conn') cannot answer now"
    assert warning.startswith(expected)


# --- what goes wrong


def test_missing_connection_is_an_error() -> None:
    with pytest.raises(ConnectionUnreadableError, match="There is no such connection: 'nowhere_conn'"):
        AstroHook("nowhere_conn").get_dag("d")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"host": ""}, "field Host: it is empty; expected the Deployment URL"),
        ({"host": "not a url"}, "field Host: 'not a url' is not an http or https URL; expected the Deployment URL"),
        (
            {"host": "x", "extra": {"api_version": "v9"}},
            'field Extra "api_version": expected v1 (Airflow 2) or v2 (Airflow 3)',
        ),
    ],
)
def test_wrong_field_of_the_connection_is_an_error(
    connect: Callable[..., None], fields: dict[str, Any], message: str
) -> None:
    connect(**fields)
    with pytest.raises(ConnectionConfigError) as caught:
        AstroHook().get_dag("d")
    assert str(caught.value).startswith(f"Connection 'http_conn', {message}")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_token_is_an_error_that_names_the_deployment(server: ScriptedServer, status: int) -> None:
    server.on("GET", "dags/d", json_response({"detail": "Nope"}, status))
    with pytest.raises(AccessDeniedError) as caught:
        AstroHook().get_dag("d")
    for part in (
        f"Refused with {status}: Nope\n",
        f" in Deployment {server.url} (connection 'http_conn')\n",
        "expired",
        "another Workspace",
    ):
        assert part in str(caught.value)
    assert not caught.value.retryable


def test_missing_dag_is_an_error_that_names_similar_dags(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on(
        "GET", "dags", json_response(any_server.payloads.collection("dags", any_server.payloads.dag("sales_daily")))
    )
    with pytest.raises(NotFoundError) as caught:
        hook.trigger_dag_run("sales_dialy")
    assert f"Deployment {any_server.url} (connection 'http_conn') has no dag 'sales_dialy'" in str(caught.value)
    assert "It has 'sales_daily'." in str(caught.value)


def test_invalid_request_has_the_targets_reasons_field_by_field(server: ScriptedServer) -> None:
    reason = [{"loc": ["body", "dag_run_id"], "msg": "does not match"}, {"loc": ["body", "conf"], "msg": "no dict"}]
    server.on("POST", RUNS, json_response({"detail": reason}, 422))
    with pytest.raises(
        InvalidRequestError, match="does not accept a run of dag 'd': dag_run_id: does not match; conf: no dict"
    ):
        AstroHook().trigger_dag_run("d", run_id="a b")


def test_existing_run_is_a_conflict(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("POST", RUNS, json_response(any_server.payloads.error(409, "Unique constraint violation"), 409))
    with pytest.raises(ConflictError, match=r"a run of dag 'd'\. It says: Unique constraint violation"):
        hook.trigger_dag_run("d", run_id="r")


def test_parameter_that_airflow_2_lacks_is_an_error(server_v1: ScriptedServer) -> None:
    with pytest.raises(RequestNotPossible, match="partition_key needs Airflow 3 in the target"):
        AstroHook().trigger_dag_run("d", partition_key="p")
    assert [received.method for received in server_v1.received if received.path.startswith("/api/v1")] == []


# --- the connection page


def test_connection_test_returns_the_airflow_version(any_server: ScriptedServer, hook: AstroHook) -> None:
    any_server.on("GET", "version", json_response(any_server.payloads.version()))
    any_server.on("GET", "dags", json_response(any_server.payloads.collection("dags")))
    version = {"v1": "2.11.2", "v2": "3.3.2"}[any_server.api_version]
    api = f"REST API {any_server.api_version}"
    words = f"Airflow {version} ({api}) answers at {any_server.url}, and accepts the credentials."
    assert hook.test_connection() == (True, words)
    assert any_server.received[-1].query == {"limit": ["1"]}
    assert any_server.received[-1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (30, "accepts the credentials. The token expires on {date}."),
        (3, "accepts the credentials. Warning: the token expires on {date}. Put a new API token of this Deployment"),
    ],
)
def test_connection_test_says_when_the_token_expires(
    server: ScriptedServer, connect: Callable[..., None], days: int, words: str
) -> None:
    server.on("GET", "version", json_response(payloads.v2.version()))
    server.on("GET", "dags", json_response(payloads.v2.collection("dags")))
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)
    token = jwt({"exp": expires.timestamp()})
    connect(server.url, password=token)
    works, message = AstroHook().test_connection()
    assert works
    assert words.format(date=f"{expires:%Y-%m-%d at %H:%M:%S} UTC") in message
    assert not [part for part in token.split(".") if part in message]


def test_connection_test_returns_what_is_wrong_with_the_token(server: ScriptedServer, hook: AstroHook) -> None:
    server.on("GET", "version", json_response(payloads.v2.version()))
    server.on("GET", "dags", json_response({"detail": "Invalid JWT token"}, 401))
    works, words = hook.test_connection()
    assert not works
    assert words.startswith("Refused with 401: Invalid JWT token\n")
    assert "put an API token of this Deployment into the connection" in words


def test_connection_test_returns_what_is_wrong_with_a_field(connect: Callable[..., None]) -> None:
    connect("")
    assert AstroHook().test_connection()[0] is False
    assert AstroHook("nowhere_conn").test_connection()[0] is False


def test_connection_form_hides_and_renames_fields() -> None:
    form = AstroHook.get_ui_field_behaviour()
    assert form["hidden_fields"] == ["schema", "port", "login"]
    assert form["relabeling"] == {"host": "Deployment URL", "password": "API token"}


# --- the hook itself


def test_no_request_is_sent_before_a_method_is_called(server: ScriptedServer) -> None:
    hook = AstroHook()
    assert hook.http_conn_id == "http_conn"
    assert hook.deployment.url == server.url
    assert hook.client.deployment is hook.deployment
    assert server.connections == 0


def test_closed_hook_opens_another_connection(server: ScriptedServer) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    hook = AstroHook()
    hook.close()
    for connections in (1, 2):
        hook.get_dag("d")
        hook.get_dag("d")
        assert server.connections == connections
        hook.close()
        hook.close()


def test_the_api_version(
    any_server: ScriptedServer, server: ScriptedServer, hook: AstroHook, connect: Callable[..., None]
) -> None:
    connect(any_server.url, password=TOKEN)
    any_server.on("GET", "version", json_response(any_server.payloads.version()))
    assert [hook.api_version, hook.api_version] == [any_server.api_version] * 2
    assert calls_received(any_server).count("GET version") == 1


def test_hooks_of_the_same_deployment_share_a_token(server: ScriptedServer, connect: Callable[..., None]) -> None:
    server.on("POST", "/auth/token", json_response({"access_token": "fetched-1"}, 201))
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    for conn_id in ("http_conn", "other_conn"):
        connect(server.url, login="admin", password="admin", conn_id=conn_id)
        AstroHook(conn_id).get_dag("d")
    assert server.calls_received == ["POST /auth/token", "GET /api/v2/dags/d", "GET /api/v2/dags/d"]


def test_http_connection_of_the_documentation_works(server: ScriptedServer, connect: Callable[..., None]) -> None:
    extra = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    connect(server.host, conn_type="http", schema="http", extra=extra)
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    AstroHook().get_dag("d")
    [received] = server.received
    assert received.headers["authorization"] == f"Bearer {TOKEN}"


def test_options_of_the_connection_are_not_sent_as_headers(
    server: ScriptedServer, connect: Callable[..., None]
) -> None:
    options = {"api_version": "v2", "timeout": 5, "verify": False, "proxies": {}, "trust_env": True, "stream": True}
    oauth = {"client_id": "i", "client_secret": "s-e-c-r-e-t", "token_url": f"{server.url}/token", "audience": "a"}
    connect(server.url, extra={**options, **oauth, "X-Team": "red"})
    server.on("POST", "/token", json_response({"access_token": "fetched-1"}))
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    AstroHook().get_dag("d")
    [_, received] = server.received
    usual = {"host", "user-agent", "accept", "accept-encoding", "connection", "authorization"}
    assert set(received.headers) == {*usual, "x-team"}

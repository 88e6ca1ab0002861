"""AstroHook, against a server on this machine: every method, on both generations, with the names of v2."""

from __future__ import annotations

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
from tests.unit import answers
from tests.unit.server import Server
from tests.unit.target import TOKEN, page, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.task_runner import Clock

RUN = "dags/d/dagRuns/r"
RUNS = "dags/d/dagRuns"
TASK = f"{RUN}/taskInstances/t"


@pytest.fixture(params=["v1", "v2"])
def either(request: pytest.FixtureRequest, connect: Callable[..., None]) -> Iterator[Server]:
    """A server of either generation, that the connection pins."""
    with Server(request.param) as running:
        connect(running.url, password=TOKEN, extra={"api_version": request.param})
        yield running


@pytest.fixture
def hook() -> Iterator[AstroHook]:
    with AstroHook() as made:
        yield made


def asked(server: Server) -> list[str]:
    """What was asked of the API, without its prefix."""
    return [line.replace(f"/api/{server.generation}/", "") for line in server.asked]


# --- each method


def test_request(either: Server, hook: AstroHook) -> None:
    either.on("POST", "variables", says({"key": "k"}))
    assert hook.request("POST", "variables", params={"a": 1}, json={"key": "k"}) == {"key": "k"}
    [seen] = either.seen
    assert (seen.query, seen.json) == ({"a": ["1"]}, {"key": "k"})


def test_list_dags(either: Server, hook: AstroHook) -> None:
    first, second = either.answers.dag("a"), either.answers.dag("b")
    either.on(
        "GET",
        "dags",
        says(either.answers.collection("dags", first, total=2)),
        says(either.answers.collection("dags", second, total=2)),
    )
    assert [dag["dag_id"] for dag in hook.list_dags(tags=["x"])] == ["a", "b"]
    assert [(seen.query["tags"], seen.query["offset"]) for seen in either.seen] == [(["x"], ["0"]), (["x"], ["1"])]


def test_get_dag(either: Server, hook: AstroHook) -> None:
    either.on("GET", "dags/d", says(either.answers.dag()))
    assert hook.get_dag("d") == either.answers.dag()


@pytest.mark.parametrize("paused", [True, False])
def test_pause_dag_and_unpause_dag(either: Server, hook: AstroHook, paused: bool) -> None:
    either.on("PATCH", "dags/d", says(either.answers.dag(is_paused=paused)))
    dag = (hook.pause_dag if paused else hook.unpause_dag)("d")
    assert dag["is_paused"] is paused
    assert either.seen[0].json == {"is_paused": paused}


def test_trigger_dag_run(either: Server, hook: AstroHook) -> None:
    either.on("POST", RUNS, says(either.answers.dag_run("r", "queued")))
    run = hook.trigger_dag_run("d", run_id="r", logical_date=answers.DATE, conf={"a": 1}, note="n")
    assert (run["dag_run_id"], run["state"], run["logical_date"]) == ("r", "queued", answers.DATE)
    assert "execution_date" not in run
    written = {"dag_run_id": "r", "logical_date": "2026-01-31T06:00:00+00:00", "conf": {"a": 1}, "note": "n"}
    assert either.seen[0].json == written


def test_get_dag_run(either: Server, hook: AstroHook) -> None:
    either.on("GET", RUN, says(either.answers.dag_run("r")))
    run = hook.get_dag_run("d", "r")
    assert (run["logical_date"], "execution_date" in run) == (answers.DATE, False)


def test_list_dag_runs(either: Server, hook: AstroHook) -> None:
    many = [either.answers.dag_run(f"r{i}") for i in range(3)]
    either.on("GET", RUNS, says(either.answers.collection("dag_runs", *many, total=9)))
    runs = hook.list_dag_runs("d", logical_date_gte=answers.DATE, order_by="-logical_date", limit=3)
    assert [run["logical_date"] for run in runs] == [answers.DATE] * 3
    name = "execution_date" if either.generation == "v1" else "logical_date"
    [seen] = either.seen
    assert seen.query == {f"{name}_gte": [answers.DATE], "order_by": [f"-{name}"], "limit": ["3"], "offset": ["0"]}


@pytest.mark.parametrize("only_failed", [True, False])
def test_clear_dag_run(either: Server, hook: AstroHook, only_failed: bool) -> None:
    tasks = says(either.answers.collection("task_instances"))
    for path in (f"{RUN}/clear", "dags/d/clearTaskInstances"):
        either.on("POST", path, tasks)
    either.on("GET", RUN, says(either.answers.dag_run("r", "queued")))
    assert hook.clear_dag_run("d", "r", only_failed=only_failed)["state"] == "queued"
    of_tasks = either.generation == "v1" and only_failed
    assert asked(either) == [f"POST {'dags/d/clearTaskInstances' if of_tasks else f'{RUN}/clear'}", f"GET {RUN}"]


def test_cancel_dag_run(either: Server, hook: AstroHook) -> None:
    either.on("PATCH", RUN, says(either.answers.dag_run("r", "failed")))
    assert hook.cancel_dag_run("d", "r")["state"] == "failed"
    assert either.seen[0].json == {"state": "failed"}


def test_list_task_instances(either: Server, hook: AstroHook) -> None:
    task = either.answers.task_instance("t")
    either.on("GET", f"{RUN}/taskInstances", says(either.answers.collection("task_instances", task)))
    [found] = hook.list_task_instances("d", "r")
    assert (found["task_id"], found["state"], "execution_date" in found) == ("t", "success", False)


def test_get_task_log(either: Server, hook: AstroHook) -> None:
    either.on("GET", TASK, says(either.answers.task_instance(try_number=2)))
    either.on("GET", f"{TASK}/logs/2", says(either.answers.log()))
    log = hook.get_task_log("d", "r", "t")
    assert any("no rows" in f"{entry['event']} {entry['error']}" for entry in log)
    assert either.seen[1].headers["accept"] == "application/json"


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 7, None])
def test_get_xcom(either: Server, hook: AstroHook, value: Any) -> None:
    either.on("GET", f"{TASK}/xcomEntries/return_value", says(either.answers.xcom(value)))
    assert hook.get_xcom("d", "r", "t") == value
    assert either.seen[0].query == ({"stringify": ["false"]} if either.generation == "v1" else {})


def test_get_xcom_of_a_mapped_task(either: Server, hook: AstroHook) -> None:
    either.on("GET", f"{TASK}/xcomEntries/k", says(either.answers.xcom(1)))
    hook.get_xcom("d", "r", "t", key="k", map_index=3)
    assert either.seen[0].query["map_index"] == ["3"]


def test_list_pools(either: Server, hook: AstroHook) -> None:
    pools = [either.answers.pool("a"), either.answers.pool("b")]
    either.on("GET", "pools", *(says(either.answers.collection("pools", pool, total=2)) for pool in pools))
    assert hook.list_pools() == pools


# --- waiting


def test_wait_for_dag_run(either: Server, hook: AstroHook, clock: Clock, lines: list[str]) -> None:
    states = ("queued", "running", "running", "failed")
    either.on("GET", RUN, *(says(either.answers.dag_run("r", state)) for state in states))
    run = hook.wait_for_dag_run("d", "r", poke_interval=60)
    assert (run["state"], clock.sleeps) == ("failed", [60, 60, 60])
    told = [line for line in lines if "Dag run" in line]
    assert told == [f"Dag run r of dag d is {state}" for state in ("queued", "running", "failed")]


def test_wait_for_dag_run_gives_up_in_time(server: Server, hook: AstroHook, clock: Clock) -> None:
    server.on("GET", RUN, says(answers.v2.dag_run("r", "running")))
    with pytest.raises(WaitTimeoutError, match="is running after 12 seconds of waiting"):
        hook.wait_for_dag_run("d", "r", timeout=12)
    assert clock.sleeps == [5, 5, 2]


def test_wait_for_dag_run_survives_trouble_and_warns_once(
    server: Server, hook: AstroHook, clock: Clock, lines: list[str]
) -> None:
    running, done = (says(answers.v2.dag_run("r", state)) for state in ("running", "success"))
    server.on("GET", RUN, running, *[says({}, 503)] * 5, *[page("Being deployed")] * 2, done)
    assert hook.wait_for_dag_run("d", "r")["state"] == "success"
    [warning] = [line for line in lines if "Still waiting" in line]
    assert warning.startswith(f"Still waiting: Deployment {server.url} (connection 'http_conn') cannot answer now")


# --- what goes wrong


def test_no_such_connection() -> None:
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
def test_a_connection_that_cannot_be_used(connect: Callable[..., None], fields: dict[str, Any], message: str) -> None:
    connect(**fields)
    with pytest.raises(ConnectionConfigError) as caught:
        AstroHook().get_dag("d")
    assert str(caught.value).startswith(f"Connection 'http_conn', {message}")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_which_deployment_and_what_about_the_token(server: Server, status: int) -> None:
    server.on("GET", "dags/d", says({"detail": "Nope"}, status))
    with pytest.raises(AccessDeniedError) as caught:
        AstroHook().get_dag("d")
    for part in (
        f"Deployment {server.url} (connection 'http_conn') refused",
        str(status),
        "expired",
        "another Workspace",
    ):
        assert part in str(caught.value)
    assert not caught.value.retryable


def test_a_dag_that_is_not_there_is_told_with_those_like_it(either: Server, hook: AstroHook) -> None:
    either.on("GET", "dags", says(either.answers.collection("dags", either.answers.dag("sales_daily"))))
    with pytest.raises(NotFoundError) as caught:
        hook.trigger_dag_run("sales_dialy")
    assert f"Deployment {either.url} (connection 'http_conn') has no dag 'sales_dialy'" in str(caught.value)
    assert "It has 'sales_daily'." in str(caught.value)


def test_the_targets_reasons_field_by_field(server: Server) -> None:
    reason = [{"loc": ["body", "dag_run_id"], "msg": "does not match"}, {"loc": ["body", "conf"], "msg": "no dict"}]
    server.on("POST", RUNS, says({"detail": reason}, 422))
    with pytest.raises(
        InvalidRequestError, match="does not accept a run of dag 'd': dag_run_id: does not match; conf: no dict"
    ):
        AstroHook().trigger_dag_run("d", run_id="a b")


def test_a_run_that_is_there_already(either: Server, hook: AstroHook) -> None:
    either.on("POST", RUNS, says(either.answers.error(409, "Unique constraint violation"), 409))
    with pytest.raises(ConflictError, match=r"a run of dag 'd'\. It says: Unique constraint violation"):
        hook.trigger_dag_run("d", run_id="r")


def test_what_airflow_2_cannot_do(server_v1: Server) -> None:
    with pytest.raises(RequestNotPossible, match="partition_key needs Airflow 3 in the target"):
        AstroHook().trigger_dag_run("d", partition_key="p")
    assert [seen.method for seen in server_v1.seen if seen.path.startswith("/api/v1")] == []


# --- the connection page


def test_the_test_of_a_connection(either: Server, hook: AstroHook) -> None:
    either.on("GET", "version", says(either.answers.version()))
    either.on("GET", "dags", says(either.answers.collection("dags")))
    version = {"v1": "2.11.2", "v2": "3.3.2"}[either.generation]
    words = f"Airflow {version} (REST API {either.generation}) answers at {either.url}, and accepts the credentials."
    assert hook.test_connection() == (True, words)
    assert either.seen[-1].query == {"limit": ["1"]}
    assert either.seen[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_test_of_a_connection_with_a_wrong_token(server: Server, hook: AstroHook) -> None:
    server.on("GET", "version", says(answers.v2.version()))
    server.on("GET", "dags", says({"detail": "Invalid JWT token"}, 401))
    works, words = hook.test_connection()
    assert not works
    assert "refused" in words
    assert "put an API token of this Deployment into the connection" in words


def test_the_test_of_a_connection_that_cannot_be_used(connect: Callable[..., None]) -> None:
    connect("")
    assert AstroHook().test_connection()[0] is False
    assert AstroHook("nowhere_conn").test_connection()[0] is False


def test_the_form_of_the_connection() -> None:
    form = AstroHook.get_ui_field_behaviour()
    assert form["hidden_fields"] == ["schema", "port", "login"]
    assert form["relabeling"] == {"host": "Deployment URL", "password": "API token"}


# --- the hook itself


def test_nothing_is_asked_until_a_method_is_called(server: Server) -> None:
    hook = AstroHook()
    assert hook.http_conn_id == "http_conn"
    assert hook.deployment.url == server.url
    assert hook.client.deployment is hook.deployment
    assert server.connections == 0


def test_a_hook_that_was_closed_opens_another_connection(server: Server) -> None:
    server.on("GET", "dags/d", says(answers.v2.dag()))
    hook = AstroHook()
    hook.close()
    for connections in (1, 2):
        hook.get_dag("d")
        hook.get_dag("d")
        assert server.connections == connections
        hook.close()
        hook.close()


def test_the_api_version(either: Server, server: Server, hook: AstroHook, connect: Callable[..., None]) -> None:
    connect(either.url, password=TOKEN)
    either.on("GET", "version", says(either.answers.version()))
    assert [hook.api_version, hook.api_version] == [either.generation] * 2
    assert asked(either).count("GET version") == 1


def test_hooks_of_the_same_deployment_share_their_token(server: Server, connect: Callable[..., None]) -> None:
    server.on("POST", "/auth/token", says({"access_token": "fetched-1"}, 201))
    server.on("GET", "dags/d", says(answers.v2.dag()))
    for conn_id in ("http_conn", "other_conn"):
        connect(server.url, login="admin", password="admin", conn_id=conn_id)
        AstroHook(conn_id).get_dag("d")
    assert server.asked == ["POST /auth/token", "GET /api/v2/dags/d", "GET /api/v2/dags/d"]


def test_a_connection_of_type_http_as_the_documentation_has_it(server: Server, connect: Callable[..., None]) -> None:
    extra = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    connect(server.host, conn_type="http", schema="http", extra=extra)
    server.on("GET", "dags/d", says(answers.v2.dag()))
    AstroHook().get_dag("d")
    [seen] = server.seen
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"


def test_no_option_of_the_connection_is_sent_as_a_header(server: Server, connect: Callable[..., None]) -> None:
    options = {"api_version": "v2", "timeout": 5, "verify": False, "proxies": {}, "trust_env": True, "stream": True}
    oauth = {"client_id": "i", "client_secret": "s-e-c-r-e-t", "token_url": f"{server.url}/token", "audience": "a"}
    connect(server.url, extra={**options, **oauth, "X-Team": "red"})
    server.on("POST", "/token", says({"access_token": "fetched-1"}))
    server.on("GET", "dags/d", says(answers.v2.dag()))
    AstroHook().get_dag("d")
    [_, seen] = server.seen
    usual = {"host", "user-agent", "accept", "accept-encoding", "connection", "authorization"}
    assert set(seen.headers) == {*usual, "x-team"}

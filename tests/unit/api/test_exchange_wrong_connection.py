"""A field of the connection that is wrong is never taken for something that is not there yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import poll_lists
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.credentials import Login
from astro_provider.api.errors import ConnectionConfigError, NotAirflowError, TargetUnavailableError
from astro_provider.api.memory import Memory
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedTarget, html_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from tests.unit.scripted_target import ScriptedResponse

LOGIN = Login("admin", "pass-word-1")
WAIT = RunWait(dag_id="d", run_id="r", end_states=EndStates(("success",), ("failed",)))

every_call = pytest.mark.parametrize(
    "call",
    [
        lambda client: client.request("GET", "pools"),
        lambda client: client.get_dag("d"),
        lambda client: client.find_dag_run("d", "r"),
        lambda client: client.list_dag_runs("d"),
        lambda client: client.find_by_logical_date("d", "2026-02-01T00:00:00Z"),
        lambda client: client.trigger_dag_run("d", run_id="r"),
        lambda client: client.set_paused("d", paused=True),
        lambda client: client.request("DELETE", "pools/p"),
        lambda client: poll_lists.finished_runs(client, ["d"], "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        lambda client: WAIT.check(client),
    ],
    ids=["get", "get_dag", "find", "list", "by_date", "trigger", "patch", "delete", "finished", "wait"],
)


@every_call
@pytest.mark.parametrize(("pinned", "runs", "version"), [("v1", "v2", "3.1.0"), ("v2", "v1", "2.11.2")])
def test_an_api_version_that_the_target_does_not_have(
    call: Callable[[Client], Any], pinned: str, runs: str, version: str
) -> None:
    target = ScriptedTarget(runs)
    target.on("GET", "version", json_response({"version": version, "git_version": None}))
    with pytest.raises(ConnectionConfigError) as caught:
        target.run(call(target.client(api_version=pinned)))
    assert str(caught.value) == (
        f"Connection 'http_conn', field Extra \"api_version\": it says {pinned}, but {target.url} has REST API {runs} "
        f"(Airflow {version[0]}). Remove it, or change it to {runs}."
    )


def test_a_page_that_is_no_airflow_is_not_blamed_on_the_api_version(target: ScriptedTarget) -> None:
    target.on("GET", "dags/d", html_response("It works!", 404))
    with pytest.raises(NotAirflowError, match="titled 'It works!'"):
        target.run(target.client(api_version="v2").get_dag("d"))


def test_a_target_that_goes_down_while_its_version_is_checked(target_v1: ScriptedTarget) -> None:
    target_v1.on("GET", "version", json_response({}, 503))
    with pytest.raises(TargetUnavailableError):
        target_v1.run(target_v1.client(api_version="v2").get_dag("d"))


@every_call
@pytest.mark.parametrize(
    "answer", [json_response({"detail": "Not Found"}, 404), json_response(payloads.METHOD_NOT_ALLOWED, 405)]
)
@pytest.mark.parametrize("known", ["nothing", "v1", "v2", "pinned"])
def test_a_login_at_an_airflow_3_that_gives_no_tokens(
    target: ScriptedTarget, call: Callable[[Client], Any], answer: ScriptedResponse, known: str
) -> None:
    """Also where it was an Airflow 2 until now, which took the login as it is."""
    target.on("POST", "/auth/token", answer)
    target.on("GET", "version", json_response({"version": "3.1.0"}))
    memory = Memory({"v1": API_VERSIONS["v1"], "v2": API_VERSIONS["v2"]}.get(known))
    client = target.client(LOGIN, memory, api_version="v2" if known == "pinned" else None)
    with pytest.raises(ConnectionConfigError, match=r"'http_conn', field Login: .*/auth/token answers 40") as caught:
        target.run(call(client))
    assert "put an API token into Password" in str(caught.value)


@pytest.mark.parametrize(
    "answer", [json_response({"message": "no Route matched"}, 404), html_response("Not found", 404)]
)
def test_a_proxy_without_a_target_is_no_reason_to_give_up_the_login(
    target: ScriptedTarget, answer: ScriptedResponse
) -> None:
    """A wait tolerates this for a while: a Deployment that is redeployed is behind a proxy that says so."""
    target.on("POST", "/auth/token", answer)
    with pytest.raises(NotAirflowError):
        target.run(target.client(LOGIN).get_dag("d"))

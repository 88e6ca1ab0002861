"""A wrong field of the connection is an error of its own, and not a missing dag or run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import poll_lists
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.credentials import Login
from astro_provider.api.errors import ConnectionConfigError, NotAirflowError, TargetUnavailableError
from astro_provider.api.memory import Memory
from astro_provider.waits.check import Check
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
        lambda client: Check(client, WAIT).run(),
    ],
    ids=["get", "get_dag", "find", "list", "by_date", "trigger", "patch", "delete", "finished", "wait"],
)


@every_call
@pytest.mark.parametrize(("pinned", "runs", "version"), [("v1", "v2", "3.1.0"), ("v2", "v1", "2.11.2")])
def test_wrong_api_version_of_the_connection_is_an_error(
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


def test_html_page_is_not_blamed_on_the_api_version(target: ScriptedTarget) -> None:
    target.on("GET", "dags/d", html_response("It works!", 404))
    with pytest.raises(NotAirflowError, match="titled 'It works!'"):
        target.run(target.client(api_version="v2").get_dag("d"))


def test_target_that_goes_down_while_its_version_is_checked_is_unavailable(target_v1: ScriptedTarget) -> None:
    target_v1.on("GET", "version", json_response({}, 503))
    with pytest.raises(TargetUnavailableError):
        target_v1.run(target_v1.client(api_version="v2").get_dag("d"))


@every_call
@pytest.mark.parametrize(
    "answer", [json_response({"detail": "Not Found"}, 404), json_response(payloads.METHOD_NOT_ALLOWED, 405)]
)
@pytest.mark.parametrize("known", ["nothing", "v1", "v2", "pinned"])
def test_login_at_an_airflow_3_without_tokens_is_a_wrong_field(
    target: ScriptedTarget, call: Callable[[Client], Any], answer: ScriptedResponse, known: str
) -> None:
    """The target might have been an Airflow 2 before, which accepted the login."""
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
def test_404_of_a_proxy_is_not_blamed_on_the_login(target: ScriptedTarget, answer: ScriptedResponse) -> None:
    """A wait tolerates this for a while, because a proxy responds like this while a Deployment is redeployed."""
    target.on("POST", "/auth/token", answer)
    with pytest.raises(NotAirflowError):
        target.run(target.client(LOGIN).get_dag("d"))

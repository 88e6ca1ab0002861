"""Why the run of a wait does not exist, and how often that is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import NotAirflowError, TransportError
from astro_provider.waits.hints import HINT_INTERVAL_SECONDS, Hints, airflow_version, explain_absence
from tests.unit.scripted_target import html_response, json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ScriptedTarget

EARLIER = "2026-01-31T05:00:00+00:00"
LATER = "2026-01-31T06:00:00+00:00"
NOT_FOUND = json_response({"detail": "Not Found"}, 404)
DOWN = json_response({"detail": "down"}, 503)
REFUSED = json_response({"detail": "no"}, 403)


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def has_dag(target: ScriptedTarget, *runs: dict[str, Any], is_paused: bool = False) -> None:
    """Let the target have the dag ``d`` with these runs."""
    target.on("GET", "dags/d", json_response(target.payloads.dag(is_paused=is_paused)))
    target.on("GET", "dags/d/dagRuns", json_response(target.payloads.collection("dag_runs", *runs)))


def explain(target: ScriptedTarget, *logical_dates: str) -> str:
    return target.run(explain_absence(client_of(target), "d", logical_dates))


@pytest.mark.parametrize(("is_paused", "start"), [(False, ""), (True, "The dag is paused there. ")])
def test_dag_without_runs_is_explained(any_target: ScriptedTarget, is_paused: bool, start: str) -> None:
    has_dag(any_target, is_paused=is_paused)
    assert explain(any_target) == f"{start}The dag has no runs."


def test_newest_run_is_named(any_target: ScriptedTarget) -> None:
    has_dag(any_target, any_target.payloads.dag_run("r", "running", logical_date=EARLIER, execution_date=EARLIER))
    assert explain(any_target) == f"Its newest run is 'r' of {EARLIER} (running)."


def test_run_after_is_named_for_a_run_without_a_logical_date(target: ScriptedTarget) -> None:
    has_dag(target, target.payloads.dag_run("r", "running", logical_date=None, run_after=LATER))
    assert explain(target) == f"Its newest run is 'r' of {LATER} (running)."


@pytest.mark.parametrize("name", ["execution_date", "logical_date"])
def test_nearest_run_before_the_first_logical_date_is_named(name: str, request: pytest.FixtureRequest) -> None:
    target: ScriptedTarget = request.getfixturevalue("target_v1" if name == "execution_date" else "target")
    has_dag(target, target.payloads.dag_run("r", "failed", logical_date=EARLIER, execution_date=EARLIER))
    assert explain(target, LATER, EARLIER).startswith(f"The nearest earlier run is 'r' of {EARLIER} (failed)")
    query = target.received[-1].query
    assert (query["order_by"], query[f"{name}_lte"], query["limit"]) == ([f"-{name}"], [EARLIER], ["1"])


def test_unknown_dag_is_named_with_similar_ones(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "version", json_response(any_target.payloads.version()))
    any_target.on("GET", "dags/d", NOT_FOUND)
    any_target.on("GET", "dags", json_response(any_target.payloads.collection("dags", any_target.payloads.dag("dd"))))
    hint = explain(any_target)
    assert "has no dag 'd'" in hint
    assert "'dd'" in hint


@pytest.mark.parametrize("path", ["dags/d", "dags/d/dagRuns"])
@pytest.mark.parametrize("response", [REFUSED, TransportError("broken off"), html_response("Sign in")])
def test_other_errors_are_ignored(target: ScriptedTarget, path: str, response: Any) -> None:
    has_dag(target)
    target.on("GET", path, response)
    assert explain(target) == ""


@pytest.mark.parametrize("response", [REFUSED, DOWN, TransportError("broken off")])
def test_unknown_dag_is_explained_even_if_the_version_cannot_be_read(target: ScriptedTarget, response: Any) -> None:
    target.on("GET", "dags/d", NOT_FOUND)
    target.on("GET", "version", response)
    assert "has no dag 'd'" in explain(target)


def test_gateway_that_answers_404_to_every_request_is_not_airflow(any_target: ScriptedTarget) -> None:
    with pytest.raises(NotAirflowError, match=r"answers 404 to everything.* Check Host of the connection"):
        explain(any_target)


# airflow_version


def test_airflow_version_is_that_of_the_target(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "version", json_response(any_target.payloads.version()))
    assert any_target.run(airflow_version(client_of(any_target))) == any_target.payloads.version()["version"]


def test_airflow_version_is_an_error_if_nothing_answers_but_404(any_target: ScriptedTarget) -> None:
    with pytest.raises(NotAirflowError, match="answers 404 to everything"):
        any_target.run(airflow_version(client_of(any_target)))


# Hints


def test_hint_is_given_once_an_hour_without_requests_in_between(target: ScriptedTarget) -> None:
    has_dag(target)
    hints = Hints(target.clock)

    def give() -> str:
        return target.run(hints.give(client_of(target), "d", ()))

    assert give() == "The dag has no runs."
    requests = len(target.received)
    target.clock.now += HINT_INTERVAL_SECONDS - 1
    assert (give(), len(target.received)) == ("", requests)
    target.clock.now += 1
    assert (give(), len(target.received)) == ("The dag has no runs.", 2 * requests)


def test_hint_is_given_again_after_the_clock_was_set_back(target: ScriptedTarget) -> None:
    has_dag(target)
    hints = Hints(target.clock)
    assert target.run(hints.give(client_of(target), "d", ()))
    target.clock.now -= 1
    assert target.run(hints.give(client_of(target), "d", ()))


def test_hint_that_raises_is_requested_again_at_the_next_check(target: ScriptedTarget) -> None:
    hints = Hints(target.clock)
    for _ in range(2):
        with pytest.raises(NotAirflowError):
            target.run(hints.give(client_of(target), "d", ()))

"""Triggering a run: the request, the result, the XComs, and errors."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import (
    ConnectionUnreadableError,
    NotFoundError,
    TargetUnavailableError,
    TransportError,
)
from tests.airflow_names import TaskDeferred
from tests.unit.operators.trigger_operators import CREATED_BEFORE, NOTE, RUN_ID, RUN_PATH, trigger_operator
from tests.unit.scripted_server import HANGUP
from tests.unit.scripted_target import TOKEN, html_response, json_response
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer


def test_one_request_creates_a_run_on_v2(fake_airflow: FakeAirflowServer) -> None:
    run = trigger_operator().execute(context())
    assert fake_airflow.calls_received == ["POST /api/v2/dags/d/dagRuns"]
    date = "2026-02-01T12:00:00+00:00"
    assert fake_airflow.trigger_bodies() == [{"logical_date": date, "dag_run_id": RUN_ID, "note": NOTE}]
    assert (run["dag_id"], run["dag_run_id"], run["state"]) == ("d", RUN_ID, "queued")


@pytest.mark.parametrize("none", [{"logical_date": None}, {"logical_date": ""}, {"run_after": "2026-03-01"}], ids=str)
def test_run_without_a_logical_date_is_created_on_v2(fake_airflow: FakeAirflowServer, none: dict[str, Any]) -> None:
    assert trigger_operator(**none).execute(context())["logical_date"] is None
    assert fake_airflow.trigger_bodies()[0]["logical_date"] is None


def test_run_of_another_creator_with_the_current_time_is_no_existing_run(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "running", logical_date="2026-02-01T12:00:00+00:00")
    assert trigger_operator(on_existing_run="fail").execute(context())["dag_run_id"] == RUN_ID
    assert list(fake_airflow.runs) == ["theirs", RUN_ID]


@pytest.mark.parametrize(
    ("options", "can_start_in_triggerer", "logs"),
    [
        ({"deferrable": True}, False, True),
        ({"deferrable": True, "wait_for_completion": "{{ 'false' }}"}, False, True),
        ({"deferrable": True}, True, False),
        ({"deferrable": False}, False, False),
        ({"deferrable": True, "wait_for_completion": "{{ 'true' }}"}, False, False),
    ],
)
def test_deferrable_without_an_effect_is_logged(
    any_airflow: FakeAirflowServer,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[str],
    options: dict[str, Any],
    can_start_in_triggerer: bool,
    logs: bool,
) -> None:
    monkeypatch.setattr("astro_provider.operators.waiting.CAN_START_FROM_TRIGGER", can_start_in_triggerer)
    operator = trigger_operator(**options)
    operator.render_template_fields(context())  # type: ignore[arg-type]
    with suppress(TaskDeferred):  # if it waits
        operator.execute(context())
    assert any(line.startswith("deferrable has no effect without wait_for_completion") for line in log_lines) is logs


def test_a_run_is_created_on_v1(fake_airflow_v1: FakeAirflowServer) -> None:
    run = trigger_operator().execute(context())
    assert fake_airflow_v1.trigger_bodies()[-1] == {"dag_run_id": RUN_ID, "note": NOTE}
    assert (run["dag_run_id"], run["logical_date"]) == (RUN_ID, "2026-02-01T12:00:00+00:00")


def test_run_id_and_link_are_pushed_as_xcoms(any_airflow: FakeAirflowServer) -> None:
    ti = TaskInstance()
    trigger_operator(trigger_run_id="mine").execute(context(ti))
    path = "/dags/d/runs/mine" if any_airflow.api_version == "v2" else "/dags/d/grid?dag_run_id=mine"
    assert ti.xcoms == {"trigger_run_id": "mine", "remote_dag_run_url": any_airflow.url + path}


def test_every_parameter_is_sent(fake_airflow: FakeAirflowServer) -> None:
    tomorrow = datetime(2026, 2, 2, tzinfo=timezone(timedelta(hours=1)))
    trigger_operator(
        trigger_run_id="mine",
        logical_date=datetime(2026, 2, 1),
        data_interval_start="2026-01-31T00:00:00Z",
        data_interval_end="2026-02-01T00:00:00",
        run_after=tomorrow,
        conf={"rows": [1, {"ż": None}]},
        note="by hand",
        partition_key="2026-01-31",
    ).execute(context())
    assert fake_airflow.trigger_bodies() == [
        {
            "dag_run_id": "mine",
            "logical_date": "2026-02-01T00:00:00+00:00",
            "data_interval_start": "2026-01-31T00:00:00+00:00",
            "data_interval_end": "2026-02-01T00:00:00+00:00",
            "run_after": "2026-02-02T00:00:00+01:00",
            "conf": {"rows": [1, {"ż": None}]},
            "note": "by hand",
            "partition_key": "2026-01-31",
        }
    ]


@pytest.mark.parametrize("date", [None, "", "None", " "])
def test_missing_logical_date_is_null_on_v2_and_left_out_on_v1(
    any_airflow: FakeAirflowServer, date: str | None
) -> None:
    trigger_operator(logical_date=date).execute(context())
    expected = {"logical_date": None} if any_airflow.api_version == "v2" else {}
    assert any_airflow.trigger_bodies()[-1] == {"dag_run_id": RUN_ID, "note": NOTE, **expected}


@pytest.mark.parametrize(
    ("conf", "sent"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ({"pair": (1, 2)}, {"pair": [1, 2]}),
        ({}, {}),
    ],
)
def test_conf_is_a_dict_or_json_text(any_airflow: FakeAirflowServer, conf: Any, sent: dict[str, Any]) -> None:
    trigger_operator(conf=conf).execute(context())
    assert any_airflow.trigger_bodies()[-1]["conf"] == sent


@pytest.mark.parametrize("conf", [None, "", "None"])
def test_empty_conf_is_left_out(any_airflow: FakeAirflowServer, conf: str | None) -> None:
    trigger_operator(conf=conf).execute(context())
    assert "conf" not in any_airflow.trigger_bodies()[-1]


def test_conf_that_is_rendered_to_invalid_json_fails_for_good(fake_airflow: FakeAirflowServer) -> None:
    operator = trigger_operator(conf="{{ var.value.conf }}")
    operator.conf = "{'a': 1}"  # what the template was rendered to
    with pytest.raises(AirflowFailException, match="conf must be a dict that JSON can hold, or JSON text"):
        operator.execute(context())
    assert fake_airflow.calls_received == []


def test_invalid_date_fails_for_good(fake_airflow: FakeAirflowServer) -> None:
    operator = trigger_operator(logical_date="{{ params.day }}")
    operator.logical_date = "yesterday"  # what the template was rendered to
    with pytest.raises(AirflowFailException, match="logical_date: 'yesterday' is no ISO 8601 date"):
        operator.execute(context())
    assert fake_airflow.calls_received == []


@pytest.mark.parametrize("field", ["run_after", "partition_key"])
def test_parameter_that_airflow_2_lacks_fails_for_good(fake_airflow_v1: FakeAirflowServer, field: str) -> None:
    with pytest.raises(AirflowFailException, match=f"{field} needs Airflow 3 in the target"):
        trigger_operator(**{field: "2030-01-01T00:00:00Z"}).execute(context())
    assert fake_airflow_v1.runs == {}


def test_missing_dag_fails_with_similar_ids(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {"sales_report": False, "weather": False}
    with pytest.raises(NotFoundError, match=r"has no dag 'sales_raport'.*'sales_report'"):
        trigger_operator(trigger_dag_id="sales_raport").execute(context())


@pytest.mark.parametrize("status", [401, 403])
def test_refused_request_fails_for_good(fake_airflow: FakeAirflowServer, status: int) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({"detail": "no"}, status))
    with pytest.raises(AirflowFailException, match="expired, or of another Workspace or Deployment") as caught:
        trigger_operator().execute(context())
    assert TOKEN not in str(caught.value)


def test_error_has_the_reason_of_the_target(fake_airflow: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="does not match the pattern"):
        trigger_operator(trigger_run_id="not allowed").execute(context())


def test_a_bug_does_not_fail_the_task_for_good(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain ``ValueError`` keeps its class and its traceback, and the task its retries."""

    def trigger_run(*_: Any, **__: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("astro_provider.tasks.trigger_run.trigger_run", trigger_run)
    with pytest.raises(ValueError, match=r"^a bug$") as caught:
        trigger_operator().execute(context())
    assert type(caught.value) is ValueError


def test_missing_connection_can_be_retried(fake_airflow: FakeAirflowServer) -> None:
    with pytest.raises(ConnectionUnreadableError, match="There is no such connection: 'elsewhere'"):
        trigger_operator(http_conn_id="elsewhere").execute(context())


# The derived run id.


def created_run_id(fake_airflow: FakeAirflowServer, retries: int = 0, **ti: Any) -> str:
    trigger_operator(retries=retries).execute(context(TaskInstance(**ti)))
    run_id: str = fake_airflow.trigger_bodies()[-1]["dag_run_id"]
    fake_airflow.delete_run(run_id)
    return run_id


def test_run_id_is_the_same_on_every_retry(fake_airflow: FakeAirflowServer) -> None:
    ids = {created_run_id(fake_airflow, retries=2, try_number=number, max_tries=2) for number in (1, 2, 3)}
    assert ids == {RUN_ID}


def test_run_id_changes_after_a_clear(fake_airflow: FakeAirflowServer) -> None:
    # Cleared after its first try: max_tries has grown by one.
    assert created_run_id(fake_airflow, retries=2, try_number=2, max_tries=3) == RUN_ID[:-1] + "2"


def test_run_id_of_a_mapped_task_has_its_map_index(fake_airflow: FakeAirflowServer) -> None:
    ids = [created_run_id(fake_airflow, map_index=index) for index in (0, 1, None)]
    assert ids == [RUN_ID.replace("~1", f"{end}~1") for end in ("+0", "+1", "")]


def test_missing_base_url_is_warned_about(
    fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, log_lines: list[str]
) -> None:
    created_run_id(fake_airflow)
    assert "base_url" not in "\n".join(log_lines)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")  # the default of Airflow 3
    monkeypatch.setenv("AIRFLOW__WEBSERVER__BASE_URL", "http://localhost:8080")  # the default of Airflow 2
    assert created_run_id(fake_airflow).endswith(RUN_ID.partition("~")[2])
    assert "base_url of this Deployment is not set" in "\n".join(log_lines)


# A paused dag.


def test_paused_dag_is_triggered_by_default(fake_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    fake_airflow.dags["d"] = True
    trigger_operator().execute(context())
    assert list(fake_airflow.runs) == [RUN_ID]
    assert "If the dag is paused there" in "\n".join(log_lines)


def test_wait_logs_once_that_the_dag_is_paused(
    fake_airflow: FakeAirflowServer, log_lines: list[str], clock: Any
) -> None:
    fake_airflow.dags["d"] = True
    clock.at_sleep = lambda: fake_airflow.dags.update(d=len(clock.sleeps) < 8)
    trigger_operator(wait_for_completion=True).execute(context())
    assert len([line for line in log_lines if line.startswith("Paused: dag 'd' in ")]) == 1


def test_paused_dag_is_unpaused_first_with_unpause(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags["d"] = True
    trigger_operator(if_paused="unpause").execute(context())
    assert any_airflow.dags["d"] is False
    assert any_airflow.calls_received[-2:] == [
        f"PATCH /api/{any_airflow.api_version}/dags/d",
        f"POST /api/{any_airflow.api_version}/dags/d/dagRuns",
    ]


def test_paused_dag_fails_for_good_with_fail(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags["d"] = True
    with pytest.raises(AirflowFailException, match=r"is paused in .*\n.*if_paused='unpause' or 'trigger'"):
        trigger_operator(if_paused="fail").execute(context())
    assert any_airflow.runs == {}


def test_unpaused_dag_is_triggered_with_fail(any_airflow: FakeAirflowServer) -> None:
    trigger_operator(if_paused="fail").execute(context())
    assert list(any_airflow.runs) == [RUN_ID]


# A lost response.


def create_but_respond_with(fake_airflow: FakeAirflowServer, response: Any) -> Callable[[Any], Any]:
    """Create the run, but send this response."""

    def create(received: Any) -> Any:
        fake_airflow.stored_response(received)
        return response

    return create


@pytest.mark.parametrize(
    "response",
    [HANGUP, json_response({}, 502), json_response("surprise"), json_response({}, 500)],
    ids=["0", "502", "?", "500"],
)
def test_run_is_found_when_the_response_is_lost(fake_airflow: FakeAirflowServer, response: Any) -> None:
    fake_airflow.on(
        "POST", "dags/d/dagRuns", create_but_respond_with(fake_airflow, response), fake_airflow.stored_response
    )
    run = trigger_operator().execute(context())
    assert run["dag_run_id"] == RUN_ID
    assert list(fake_airflow.runs) == [RUN_ID]


@pytest.mark.parametrize(("given", "sent"), [(None, 2), ("nightly", 1)])
def test_request_is_only_resent_with_a_derived_run_id(
    fake_airflow: FakeAirflowServer, given: str | None, sent: int
) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({}, 503), fake_airflow.stored_response)
    if given:
        with pytest.raises(TargetUnavailableError):
            trigger_operator(trigger_run_id=given).execute(context())
    else:
        assert trigger_operator().execute(context())["dag_run_id"] == RUN_ID
    assert len(fake_airflow.trigger_bodies()) == sent


def test_run_is_found_when_every_response_is_lost(any_airflow: FakeAirflowServer) -> None:
    any_airflow.on("POST", "dags/d/dagRuns", create_but_respond_with(any_airflow, json_response({}, 502)))
    assert trigger_operator(logical_date="2026-01-31T06:00:00Z").execute(context())["dag_run_id"] == RUN_ID


@pytest.mark.parametrize("response", [HANGUP, json_response({}, 502), json_response({}, 500)], ids=["0", "502", "500"])
def test_old_run_is_not_used_when_the_response_is_lost(any_airflow: FakeAirflowServer, response: Any) -> None:
    """The lost response might have been that the run exists."""
    any_airflow.has_run(RUN_ID, "success", **CREATED_BEFORE)
    any_airflow.on("POST", "dags/d/dagRuns", create_but_respond_with(any_airflow, response))
    with pytest.raises((TransportError, TargetUnavailableError)):
        trigger_operator().execute(context())


def test_lost_response_of_a_run_that_was_not_created_is_an_error(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", HANGUP)
    with pytest.raises(TransportError):
        trigger_operator().execute(context())
    assert fake_airflow.runs == {}


def test_first_error_is_raised_when_finding_the_run_fails_too(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", json_response({"detail": "first"}, 500))
    fake_airflow.on("GET", RUN_PATH, html_response("Sign in"))
    with pytest.raises(Exception, match="first"):
        trigger_operator().execute(context())


def test_run_with_a_given_run_id_is_not_used_when_the_response_is_lost(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.on("POST", "dags/d/dagRuns", create_but_respond_with(fake_airflow, HANGUP))
    with pytest.raises(TransportError):
        trigger_operator(trigger_run_id="nightly").execute(context())

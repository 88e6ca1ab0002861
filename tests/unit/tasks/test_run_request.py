"""What a task wants to trigger, read from its rendered fields."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.tasks.run_request import REQUEST_FIELDS, stored_date
from tests.unit.tasks.run_requests import run_request


def test_every_field_is_a_template_of_the_operator() -> None:
    assert AstroTriggerDagRunOperator.template_fields == REQUEST_FIELDS


def test_fields_are_read() -> None:
    request = run_request(
        trigger_dag_id=7,
        trigger_run_id=8,
        logical_date=datetime(2026, 1, 31, 6),
        run_after="2026-02-01T00:00:00Z",
        conf='{"a": 1}',
        note=9,
        partition_key="p",
        wait_for_completion="True",
        on_existing_run="attach",
        on_active_run="skip",
        if_paused="unpause",
    )
    assert (request.http_conn_id, request.dag_id, request.run_id, request.waits) == ("http_conn", "7", "8", True)
    assert (request.on_existing_run, request.on_active_run, request.if_paused) == ("attach", "skip", "unpause")
    assert request.logical_date == "2026-01-31T06:00:00+00:00"
    assert request.arguments == {
        "logical_date": "2026-01-31T06:00:00+00:00",
        "data_interval_start": None,
        "data_interval_end": None,
        "run_after": "2026-02-01T00:00:00+00:00",
        "conf": {"a": 1},
        "note": "9",
        "partition_key": "p",
    }


@pytest.mark.parametrize("nothing", [None, "", " ", "None"])
def test_optional_field_that_is_rendered_to_nothing_counts_as_not_given(nothing: str | None) -> None:
    request = run_request(trigger_run_id=nothing, logical_date=nothing, conf=nothing)
    assert (request.run_id, request.logical_date, request.arguments["conf"]) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "date", "is_unique"),
    [
        ({"logical_date": "now"}, None, True),
        ({"logical_date": " now "}, None, True),
        ({"logical_date": "None"}, None, True),
        ({"logical_date": "2026-01-31T06:00:00Z"}, "2026-01-31T06:00:00+00:00", False),
        ({"trigger_run_id": "mine"}, None, False),
    ],
)
def test_run_with_the_current_time_is_not_found_by_its_logical_date(
    fields: dict[str, Any], date: str | None, is_unique: bool
) -> None:
    request = run_request(**fields)
    assert (request.logical_date, request.is_unique) == (date, is_unique)
    assert (request.arguments["logical_date"] == "now") is ("now" in fields.get("logical_date", ""))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trigger_dag_id": ""}, "trigger_dag_id was rendered to ''"),
        ({"http_conn_id": None}, "http_conn_id was rendered to None"),
        ({"run_after": "tomorrow"}, "run_after: 'tomorrow' is no ISO 8601 date"),
        ({"conf": [1]}, "conf must be a dict"),
        ({"wait_for_completion": "maybe"}, "wait_for_completion must be true or false"),
        ({"on_existing_run": "stop"}, "on_existing_run must be one of fail, attach, reset, resume, skip, not 'stop'"),
        ({"on_active_run": "wait"}, "on_active_run must be one of trigger, attach, skip, fail, not 'wait'"),
        ({"if_paused": "wait"}, "if_paused must be one of trigger, unpause, fail, not 'wait'"),
    ],
)
def test_field_that_cannot_be_used_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        run_request(**fields)


def test_date_is_stored_in_a_trigger_as_text() -> None:
    assert stored_date("run_after", datetime(2026, 2, 1, tzinfo=timezone.utc)) == "2026-02-01T00:00:00+00:00"
    assert stored_date("run_after", "{{ ds }}") == "{{ ds }}"
    assert stored_date("run_after", None) is None

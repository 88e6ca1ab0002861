"""The backfill that a task wants to create, read from fields that are rendered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.backfill_request import read_backfill_request
from astro_provider.tasks.parameter_error import ParameterError
from tests.unit.backfills import backfill_operator, request
from tests.unit.fake_backfills import FROM, TO

BACKFILL: Any = {
    "from_date": "2026-01-02T00:00:00Z",
    "to_date": "2026-01-04T01:00:00+01:00",
    "dag_run_conf": None,
    "reprocess_behavior": "none",
    "max_active_runs": 10,
}


def test_rendered_text_is_read() -> None:
    given = request(
        max_active_runs="3", run_backwards="true", dag_run_conf='{"a": 1}', from_date="2026-01-02", to_date=TO
    )
    assert given.body("none") == {
        "from_date": FROM,
        "to_date": TO,
        "reprocess_behavior": "none",
        "max_active_runs": 3,
        "run_backwards": True,
        "dag_run_conf": {"a": 1},
    }


@pytest.mark.parametrize(
    "options",
    [
        {"from_date": "yesterday"},
        {"to_date": None},
        {"to_date": "None"},
        {"reprocess_behavior": "all"},
        {"max_active_runs": 0},
        {"max_active_runs": "many"},
        {"run_backwards": "maybe"},
        {"wait_for_completion": None},
        {"dag_run_conf": [1]},
    ],
    ids=str,
)
def test_wrong_value_is_an_error(options: dict[str, Any]) -> None:
    """Also in the DAG file, unless it is a template."""
    with pytest.raises(ParameterError):
        backfill_operator(**options)
    (name,) = options
    operator = backfill_operator(**{name: "{{ params.x }}"})
    setattr(operator, name, options[name])
    with pytest.raises(InvalidParameterError):
        read_backfill_request(operator)


def test_first_date_after_the_last_one_is_an_error() -> None:
    with pytest.raises(ParameterError, match="from_date must not be later than to_date, but is 2026-01-04"):
        backfill_operator(from_date="2026-01-04", to_date="2026-01-03")
    operator = backfill_operator(from_date="2026-01-04", to_date="{{ ds }}")
    operator.to_date = "2026-01-03"
    with pytest.raises(InvalidParameterError, match="from_date must not be later than to_date"):
        read_backfill_request(operator)
    backfill_operator(from_date="2026-01-03", to_date=datetime(2026, 1, 3))


def test_backfill_with_the_same_parameters_matches() -> None:
    assert request().matches(BACKFILL)
    assert request(dag_run_conf={}).matches(BACKFILL)
    assert request().matches({**BACKFILL, "reprocess_behavior": "failed"})


@pytest.mark.parametrize(
    "other",
    [
        {"from_date": "2026-01-01T00:00:00Z"},
        {"to_date": "2026-01-03T00:00:00Z"},
        {"dag_run_conf": {"a": 1}},
        {"reprocess_behavior": "completed"},
        {"max_active_runs": 3},
    ],
    ids=str,
)
def test_backfill_with_another_parameter_does_not_match(other: dict[str, Any]) -> None:
    assert not request().matches({**BACKFILL, **other})

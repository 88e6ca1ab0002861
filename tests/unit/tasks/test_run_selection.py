"""The runs that the fields of a sensor name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.run_selection import OPTIONS_OF_WAYS, WAYS, check_selection, selected_runs
from astro_provider.waits.wait import EndStates, RunWait

START, END = "2026-01-31T00:00:00+00:00", "2026-02-01T00:00:00+00:00"


def selected(*given: str, latest: bool = False, **fields: Any) -> RunWait:
    """Complete a wait in a run with the logical date START."""
    return selected_runs(
        RunWait("d", EndStates(["success"]), latest=latest),
        fields,
        given=given or tuple(fields),
        own_date=datetime.fromisoformat(START),
        execution_delta=timedelta(),
        logical_dates=None,
    )


def parameters(**given: Any) -> dict[str, Any]:
    return {**dict.fromkeys((*WAYS, *OPTIONS_OF_WAYS)), **given}


@pytest.mark.parametrize(
    "value",
    [
        (START, END),
        [datetime(2026, 1, 31, tzinfo=timezone.utc), datetime(2026, 2, 1, tzinfo=timezone.utc)],
        ("2026-01-31", "2026-02-01"),
    ],
)
def test_range_is_read_from_dates_and_text(value: Any) -> None:
    wait = selected(logical_date_range=value, expected_runs="24")
    assert (wait.logical_date_range, wait.expected_runs, wait.logical_dates) == ([START, END], 24, ())
    assert selected(logical_date_range=value).expected_runs == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logical_date_range": (END, START)}, "must start before it ends, but is from 2026-02-01"),
        ({"logical_date_range": (START, START)}, "must start before it ends"),
        ({"logical_date_range": ("None", END)}, "logical_date_range was rendered to 'None', which is no date"),
        ({"logical_date_range": f"{START},{END}"}, "must be a start and an end, not '2026-01-31"),
        ({"logical_date_range": None}, "must be a start and an end, not None"),
        ({"logical_date_range": (START, END), "expected_runs": "0"}, "a whole number of 1 or more, not '0'"),
        ({"logical_date_range": (START, END), "expected_runs": "many"}, "a whole number of 1 or more, not 'many'"),
        ({"latest": True, "since": ""}, "since was rendered to '', which is no date"),
        ({"partition_key": ""}, "partition_key"),
    ],
)
def test_field_that_is_rendered_to_nothing_is_an_error(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        selected(**fields)


def test_newest_run_since_a_date_and_partition_need_no_date_of_the_own_run() -> None:
    assert selected(latest=True, since=datetime(2026, 1, 31)).since == START
    wait = selected(partition_key="eu")
    assert (wait.partition_key, wait.logical_dates) == ("eu", ())


def test_own_date_is_the_default() -> None:
    assert selected("external_dag_id").logical_dates == [START]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"latest": True, "partition_key": "p"}, "latest and partition_key exclude each other"),
        ({"logical_date_range": (START, END), "since": START}, "since needs latest"),
        ({"partition_key": "p", "expected_runs": 2}, "expected_runs needs logical_date_range"),
        ({"logical_date_range": (END, START)}, "must start before it ends"),
        ({"logical_date": "yesterday"}, "logical_date: 'yesterday' is no ISO 8601 date"),
        ({"latest": True, "since": "yesterday"}, "since: 'yesterday' is no ISO 8601 date"),
        ({"logical_date_range": (START, END), "expected_runs": 0}, "a whole number of 1 or more"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        check_selection(parameters(**given))


@pytest.mark.parametrize(
    "given",
    [
        {"logical_date_range": "{{ [start, end] }}", "expected_runs": "{{ params.n }}"},
        {"logical_date_range": ("{{ ds }}", END), "expected_runs": 24},
        {"latest": True, "since": "{{ ds }}"},
        {"idle": True},
        {},
    ],
)
def test_templates_are_checked_when_they_are_rendered(given: dict[str, Any]) -> None:
    check_selection(parameters(**given))

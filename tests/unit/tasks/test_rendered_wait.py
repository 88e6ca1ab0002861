"""The wait that rendered fields describe."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered_wait import (
    TASK_FIELDS,
    dates_from_function,
    own_run_date,
    rendered_wait,
)
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.task_runner import LOGICAL_DATE, context

RUN_AFTER = LOGICAL_DATE + timedelta(hours=2)
DATE = LOGICAL_DATE.isoformat()
UNRENDERED = RunWait("{{ dag }}", EndStates(["running"], ["failed"], ["queued"]), check_existence=True)


def wait_for(
    *,
    wait: RunWait = UNRENDERED,
    given: tuple[str, ...] = (),
    own_date: datetime | None = LOGICAL_DATE,
    execution_delta: timedelta = timedelta(),
    logical_dates: list[str] | None = None,
    **fields: Any,
) -> RunWait:
    """Complete a wait for the dag ``d`` with these rendered fields."""
    return rendered_wait(
        wait,
        {"external_dag_id": "d", "external_run_id": None, "logical_date": None, **fields},
        given=given,
        own_date=own_date,
        execution_delta=execution_delta,
        logical_dates=logical_dates,
    )


def test_options_that_are_not_rendered_are_kept() -> None:
    expected = RunWait("d", UNRENDERED.end_states, logical_dates=[DATE], task_ids=[], check_existence=True)
    assert wait_for() == expected


def test_run_id_needs_no_logical_date() -> None:
    wait = wait_for(external_run_id="r", given=("external_run_id",), own_date=None)
    assert (wait.run_id, wait.logical_dates) == ("r", ())


def test_number_is_read_as_an_id() -> None:
    wait = wait_for(external_dag_id=123, external_run_id=7)
    assert (wait.dag_id, wait.run_id) == ("123", "7")


@pytest.mark.parametrize("value", [None, "", " ", "None"])
@pytest.mark.parametrize("field", ["external_run_id", "logical_date"])
def test_field_that_was_set_and_names_no_run_is_refused(field: str, value: str | None) -> None:
    with pytest.raises(InvalidParameterError, match=f"{field} was rendered to {value!r}"):
        wait_for(given=(field,), **{field: value})


@pytest.mark.parametrize("value", [None, "", "None", ["d"]])
def test_dag_id_is_required(value: Any) -> None:
    with pytest.raises(InvalidParameterError, match="external_dag_id"):
        wait_for(external_dag_id=value, external_run_id="r")


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2026-02-01T05:00:00Z", "2026-02-01T05:00:00+00:00"),
        ("2026-02-01", "2026-02-01T00:00:00+00:00"),
        (datetime(2026, 2, 1, 5, tzinfo=timezone.utc), "2026-02-01T05:00:00+00:00"),
    ],
)
def test_logical_date_is_read_from_text_or_datetime(value: Any, date: str) -> None:
    assert wait_for(logical_date=value, given=("logical_date",)).logical_dates == [date]


def test_text_that_is_no_date_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="logical_date: 'tomorrow' is no ISO 8601 date"):
        wait_for(logical_date="tomorrow", given=("logical_date",))


def test_execution_delta_is_subtracted_from_the_own_date() -> None:
    wait = wait_for(execution_delta=timedelta(hours=1))
    assert wait.logical_dates == [(LOGICAL_DATE - timedelta(hours=1)).isoformat()]


def test_wait_without_any_date_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="This task's run has no logical date"):
        wait_for(own_date=None)


def test_latest_needs_no_logical_date() -> None:
    latest = RunWait("d", EndStates(["success"]), latest=True)
    wait = wait_for(wait=latest, own_date=None)
    assert (wait.latest, wait.run_id, wait.logical_dates) == (True, None, ())


def test_dates_of_a_function_replace_the_own_date() -> None:
    assert wait_for(logical_dates=["A", "B"], own_date=None).logical_dates == ["A", "B"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("external_task_id", "t", (["t"], None)),
        ("external_task_id", 7, (["7"], None)),
        ("external_task_ids", ["a", 7], (["a", "7"], None)),
        ("external_task_ids", ("a",), (["a"], None)),
        ("external_task_ids", {"a"}, (["a"], None)),
        ("external_task_group_id", "g", ([], "g")),
    ],
)
def test_tasks_are_read_from_the_field_that_was_set(field: str, value: Any, expected: Any) -> None:
    fields = {**dict.fromkeys(TASK_FIELDS), field: value}
    wait = wait_for(external_run_id="r", given=(field,), **fields)
    assert (wait.task_ids, wait.group_id) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_task_id", None),
        ("external_task_id", ""),
        ("external_task_ids", None),
        ("external_task_ids", []),
        ("external_task_ids", [""]),
        ("external_task_ids", "load"),
        ("external_task_group_id", "None"),
    ],
)
def test_field_that_was_set_and_names_no_task_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=field):
        wait_for(external_run_id="r", given=(field,), **{field: value})


# own_run_date


def test_own_run_date_is_the_logical_date() -> None:
    assert own_run_date(context()) == LOGICAL_DATE


def test_own_run_date_is_run_after_without_a_logical_date() -> None:
    dag_run = SimpleNamespace(run_after=RUN_AFTER)
    assert own_run_date(context(logical_date=None, dag_run=dag_run)) == RUN_AFTER


@pytest.mark.parametrize("variables", [{}, {"dag_run": None}, {"dag_run": SimpleNamespace()}])
def test_own_run_date_is_none_if_the_context_has_no_date(variables: dict[str, Any]) -> None:
    assert own_run_date(variables) is None


# dates_from_function


def positional(date: datetime) -> list[Any]:
    return [date]


def by_the_name_of_airflow(logical_date: datetime) -> list[Any]:
    return [logical_date]


def with_keywords(logical_date: datetime, **kwargs: Any) -> list[Any]:
    assert {"ds", "ti", "context"} <= set(kwargs)
    return [logical_date]


def with_the_context(date: datetime, context: Any) -> list[Any]:
    assert context["ds"] == "2026-02-01"
    return [date]


def with_named_variables(date: datetime, ds: str, ti: Any = None) -> list[Any]:
    assert (ds, ti.task_id) == ("2026-02-01", "trigger")
    return [date]


@pytest.mark.parametrize(
    "function", [positional, by_the_name_of_airflow, with_keywords, with_the_context, with_named_variables]
)
@pytest.mark.parametrize("own_date", [LOGICAL_DATE, None])
def test_function_is_called_as_external_task_sensor_calls_it(function: Any, own_date: datetime | None) -> None:
    variables = context(logical_date=own_date, execution_date=own_date, dag_run=SimpleNamespace(run_after=RUN_AFTER))
    assert dates_from_function(function, variables) == [(own_date or RUN_AFTER).isoformat()]


@pytest.mark.parametrize(
    "returned",
    [LOGICAL_DATE, DATE, [LOGICAL_DATE], (DATE,), {LOGICAL_DATE}, [None, LOGICAL_DATE], [LOGICAL_DATE, None]],
    ids=str,
)
def test_function_can_return_one_date_or_several(returned: Any) -> None:
    assert dates_from_function(lambda date: returned, context()) == [DATE]


@pytest.mark.parametrize("returned", [None, [], (), [None], ""], ids=str)
def test_function_that_returns_no_date_is_refused(returned: Any) -> None:
    with pytest.raises(InvalidParameterError, match="execution_date_fn returned no logical date"):
        dates_from_function(lambda date: returned, context())


def test_function_that_returns_no_valid_date_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="execution_date_fn: 'tomorrow' is no ISO 8601 date"):
        dates_from_function(lambda date: "tomorrow", context())

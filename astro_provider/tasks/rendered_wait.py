"""The wait that a sensor's fields describe after rendering, on a worker and in the triggerer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from astro_provider.api.dates import iso
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.waits.wait import RunWait

RUN_FIELDS = ("external_run_id", "logical_date")
"""Sensor fields that name the run. By default, it is the run with the date of the sensor's own run."""

TASK_FIELDS = ("external_task_id", "external_task_ids", "external_task_group_id")
"""Sensor fields that name the tasks. A sensor for dag runs has none of them."""


def rendered_wait(
    wait: RunWait,
    fields: Mapping[str, Any],
    *,
    given: Collection[str],
    own_date: datetime | None,
    execution_delta: timedelta = timedelta(),
    logical_dates: list[str] | None = None,
) -> RunWait:
    """
    Complete a wait with the run and the tasks that the rendered fields of a sensor name.

    :param wait: the wait, with the options of the sensor that are not rendered
    :param fields: the rendered fields by name: ``external_dag_id``, those of ``RUN_FIELDS``, and those of
        ``TASK_FIELDS`` for a sensor for tasks
    :param given: names of the fields that the user set. A field that was set and is rendered to nothing is an error,
        because its default would be another run
    :param own_date: date of the sensor's own run, see :func:`own_run_date`
    :param execution_delta: how much earlier than ``own_date`` the logical date of the run is
    :param logical_dates: logical dates that ``execution_date_fn`` returned, see :func:`dates_from_function`
    :return: the wait
    :raise InvalidParameterError: the fields name no run or no task
    """
    run_id = fields.get("external_run_id")
    if "external_run_id" in given or run_id is not None:
        run_id = rendered_id("external_run_id", run_id)
    if logical_dates is None:
        logical_dates = []
        if run_id is None and not wait.latest:
            is_given = "logical_date" in given
            date = _logical_date(fields.get("logical_date"), is_given, own_date, execution_delta)
            logical_dates = [date]
    task_ids, group_id = _tasks(fields, given)
    return replace(
        wait,
        dag_id=rendered_id("external_dag_id", fields["external_dag_id"]),
        run_id=run_id,
        logical_dates=logical_dates,
        task_ids=task_ids,
        group_id=group_id,
    )


def _logical_date(
    value: datetime | str | None, is_given: bool, own_date: datetime | None, execution_delta: timedelta
) -> str:
    if (date := iso("logical_date", value)) is not None:
        return date
    if is_given:
        raise InvalidParameterError(
            f"logical_date was rendered to {value!r}, so there is no run to wait for. A run without a logical "
            "date has none to give to a template: give external_run_id instead, or choose latest=True"
        )
    if own_date is None:
        raise InvalidParameterError(
            "This task's run has no logical date, so there is none to wait for: "
            "give external_run_id or logical_date, or choose latest=True"
        )
    return (own_date - execution_delta).isoformat()


def _tasks(fields: Mapping[str, Any], given: Collection[str]) -> tuple[list[str], str | None]:
    """Read the task ids, or the id of the task group."""
    name = next((name for name in TASK_FIELDS if name in given), None)
    if name is None:
        return [], None
    value = fields[name]
    if name == "external_task_group_id":
        return [], rendered_id(name, value)
    if name == "external_task_id":
        return [rendered_id(name, value)], None
    if not isinstance(value, (list, tuple, set)) or not value:
        raise InvalidParameterError(f"{name} must be a list of task ids, but was rendered to {value!r}")
    return [rendered_id(name, each) for each in value], None


def stored_value(value: datetime | str | Sequence[str] | None) -> str | list[str] | None:
    """
    Convert the value of a template field, before it is rendered, so that Airflow can store it in a trigger.

    :param value: the value
    """
    if isinstance(value, datetime):
        return iso("logical_date", value)
    return value if value is None or isinstance(value, str) else list(value)


def own_run_date(context: Context) -> datetime | None:
    """
    Find the date of the sensor's own run, as ``ExternalTaskSensor`` does.

    :param context: the context of the task
    :return: the logical date; for a run without one, its ``run_after``; ``None`` if the context has neither
    """
    date = context.get("logical_date") or getattr(context.get("dag_run"), "run_after", None)
    return cast("datetime | None", date)


def dates_from_function(function: Callable[..., Any], context: Context) -> list[str]:
    """
    Call an ``execution_date_fn`` as ``ExternalTaskSensor`` does, and read the logical dates that it returns.

    :param function: called with the date of the sensor's own run and, by name, with the context variables that it
        accepts and with ``context`` itself
    :param context: the context of the task
    :return: logical dates of the runs to wait for (ISO 8601)
    :raise InvalidParameterError: the function returned no date
    """
    from astro_provider.airflow_versions import determine_kwargs

    own_date = own_run_date(context)
    variables = {name: context[name] for name in context if name not in ("logical_date", "execution_date")}  # type: ignore[literal-required]  # a TypedDict of Airflow
    variables["context"] = context
    returned = function(own_date, **determine_kwargs(function, [own_date], variables))
    dates = returned if isinstance(returned, (list, tuple, set)) else [returned]
    logical_dates = [date for each in dates if (date := iso("execution_date_fn", each)) is not None]
    if not logical_dates:
        raise InvalidParameterError("execution_date_fn returned no logical date, so there is no run to wait for")
    return logical_dates

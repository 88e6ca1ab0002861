"""The wait that a sensor's fields describe after rendering, on a worker and in the triggerer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from astro_provider.api.dates import iso
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.run_selection import selected_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from astro_provider.airflow_versions import Context
    from astro_provider.waits.wait import RunWait

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
    wait = selected_runs(
        wait,
        fields,
        given=given,
        own_date=own_date,
        execution_delta=execution_delta,
        logical_dates=logical_dates,
    )
    task_ids, group_id = _tasks(fields, given)
    return replace(
        wait,
        dag_id=rendered_id("external_dag_id", fields["external_dag_id"]),
        task_ids=task_ids,
        group_id=group_id,
    )


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

"""What a sensor's fields come to once they are rendered, on a worker or in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from astro_provider.api.dates import iso
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from astro_provider.airflow_versions import Context


def run_id(value: object, *, given: bool) -> str | None:
    """
    Read the rendered ``external_run_id``.

    :param value: what it was rendered to
    :param given: whether the user gave the parameter
    :return: the run's id; ``None`` if the user did not name a run by its id
    :raise InvalidParameterError: it was given, but names nothing: another run must not be waited for instead
    """
    return rendered_id("external_run_id", value) if given or value is not None else None


def logical_dates(
    *,
    by_other_means: bool,
    logical_date: datetime | str | None,
    given: bool,
    execution_delta: timedelta,
    own: datetime | None,
) -> list[str]:
    """
    Derive the logical dates (ISO 8601) of the runs to wait for.

    :param by_other_means: whether the run is named by its id, or as the newest
    :param logical_date: that of the run, rendered
    :param given: whether the user gave ``logical_date``; by default it is the task's own
    :param execution_delta: how much earlier than the task's own it is
    :param own: see :func:`own_date`
    :return: one date; none where the run is named otherwise
    :raise InvalidParameterError: they name no run
    """
    if by_other_means:
        return []
    if (date := iso("logical_date", logical_date)) is not None:
        return [date]
    if given:
        raise InvalidParameterError(
            f"logical_date was rendered to {logical_date!r}, so there is no run to wait for. A run without a logical "
            "date has none to give to a template: give external_run_id instead, or choose latest=True"
        )
    if own is None:
        raise InvalidParameterError(
            "This task's run has no logical date, so there is none to wait for: "
            "give external_run_id or logical_date, or choose latest=True"
        )
    return [(own - execution_delta).isoformat()]


def own_date(context: Context) -> datetime | None:
    """
    Find the date of the waiting task's own run, as ``ExternalTaskSensor`` does.

    :param context: the task's context
    :return: its logical date; for a run without one its ``run_after``; ``None`` if the context has neither
    """
    date = context.get("logical_date") or getattr(context.get("dag_run"), "run_after", None)
    return cast("datetime | None", date)


def called_with_date(function: Callable[..., Any], context: Context) -> list[str]:
    """
    Call an ``execution_date_fn`` as ``ExternalTaskSensor`` does, and read the logical dates that it returns.

    :param function: called with the date of this task's own run and, by name, with what it takes of the context and
        with ``context`` itself
    :param context: the task's context
    :return: logical dates of the runs to wait for (ISO 8601)
    :raise InvalidParameterError: it returned none
    """
    from astro_provider.airflow_versions import determine_kwargs

    own = own_date(context)
    named = {name: context[name] for name in context if name not in ("logical_date", "execution_date")}  # type: ignore[literal-required]  # a TypedDict of Airflow
    named["context"] = context
    found = function(own, **determine_kwargs(function, [own], named))
    dates = found if isinstance(found, (list, tuple, set)) else [found]
    written = [date for each in dates if (date := iso("execution_date_fn", each)) is not None]
    if not written:
        raise InvalidParameterError("execution_date_fn returned no logical date, so there is no run to wait for")
    return written


TASK_FIELDS = ("external_task_id", "external_task_ids", "external_task_group_id")
"""The parameters of which one names the tasks to wait for."""


def tasks(parameter: str, value: object) -> tuple[list[str], str | None]:
    """
    Read what names the tasks to wait for.

    :param parameter: which one of ``TASK_FIELDS`` the user gave
    :param value: what it was rendered to
    :return: the task ids, or the group's
    :raise InvalidParameterError: a template came to nothing, or to a text where a list is wanted
    """
    if parameter == "external_task_group_id":
        return [], rendered_id(parameter, value)
    if parameter == "external_task_id":
        return [rendered_id(parameter, value)], None
    if not isinstance(value, (list, tuple, set)) or not value:
        raise InvalidParameterError(f"{parameter} must be a list of task ids, but was rendered to {value!r}")
    return [rendered_id(parameter, each) for each in value], None


def timed_out(seconds: float, option: str, last_seen: str) -> str:
    """Say that a wait was given up, which option of the sensor ended it, and what was seen last."""
    return f"Not over after {seconds:g} seconds ({option}). Last seen: {last_seen}"

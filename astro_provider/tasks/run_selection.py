"""The parameters of a sensor that name the runs it waits for: which go together, and what they are rendered to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from astro_provider.api.dates import iso, parse_date
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import is_template, rendered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime, timedelta

    from astro_provider.waits.wait import RunWait

RUN_FIELDS = ("external_run_id", "logical_date", "logical_date_range", "expected_runs", "since", "partition_key")
"""Template fields that name the runs. By default, it is the run with the date of the sensor's own run."""

WAYS = (
    *("external_run_id", "logical_date", "execution_delta", "execution_date_fn"),
    *("latest", "logical_date_range", "partition_key", "idle"),
)
"""The parameters that name the runs. They exclude each other."""

OPTIONS_OF_WAYS = {"since": "latest", "expected_runs": "logical_date_range"}
"""Parameters that need another one."""


def check_selection(parameters: Mapping[str, object]) -> None:
    """
    Check the parameters that name the runs when the DAG is parsed, as far as they are no templates.

    :param parameters: the values of ``WAYS`` and of the keys of ``OPTIONS_OF_WAYS`` by name; ``None`` and ``False`` are
        not given
    :raise InvalidParameterError: two of them exclude each other, one needs another, or a value cannot be used
    """
    chosen = [way for way in WAYS if parameters[way] not in (None, False)]
    if len(chosen) > 1:
        raise InvalidParameterError(f"{chosen[0]} and {chosen[1]} exclude each other: choose one way to name the run")
    for option, way in OPTIONS_OF_WAYS.items():
        if parameters[option] is not None and way not in chosen:
            raise InvalidParameterError(f"{option} needs {way}")
    if (expected := parameters["expected_runs"]) is not None and not is_template(expected):
        _expected_runs(expected)
    for name in ("logical_date", "since"):
        if not is_template(parameters[name]):
            iso(name, parameters[name])  # type: ignore[arg-type]  # it checks the type
    date_range = parameters["logical_date_range"]
    if date_range is not None and not is_template(date_range):
        start, end = _pair(date_range)
        if not (is_template(start) or is_template(end)):
            _date_range(date_range)


def selected_runs(
    wait: RunWait,
    fields: Mapping[str, Any],
    *,
    given: Collection[str],
    own_date: datetime | None,
    execution_delta: timedelta,
    logical_dates: list[str] | None,
) -> RunWait:
    """
    Complete a wait with the runs that the rendered fields name.

    :param wait: the wait, with the options of the sensor that are not rendered: ``latest`` and ``idle``
    :param fields: the rendered fields of ``RUN_FIELDS`` by name
    :param given: names of the fields that the user set. A field that was set and is rendered to nothing is an error,
        because its default would be another run
    :param own_date: date of the sensor's own run
    :param execution_delta: how much earlier than ``own_date`` the logical date of the run is
    :param logical_dates: logical dates that ``execution_date_fn`` returned, if it is set
    :raise InvalidParameterError: the fields name no run
    """
    for name, read in _READERS.items():
        if name in given or fields.get(name) is not None:
            wait = read(wait, fields[name])
    if wait.run_id or wait.latest or wait.idle or wait.logical_date_range or wait.partition_key:
        return wait
    if logical_dates is None:
        is_given = "logical_date" in given
        logical_dates = [_logical_date(fields.get("logical_date"), is_given, own_date, execution_delta)]
    return replace(wait, logical_dates=logical_dates)


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


def _required_date(parameter: str, value: datetime | str | None) -> str:
    date = iso(parameter, value)
    if date is None:
        raise InvalidParameterError(
            f"{parameter} was rendered to {value!r}, which is no date. A run without a logical date has none to give "
            "to a template: use dag_run.run_after instead"
        )
    return date


def _pair(value: object) -> tuple[Any, Any]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InvalidParameterError(f"logical_date_range must be a start and an end, not {value!r}")
    return value[0], value[1]


def _date_range(value: object) -> list[str]:
    start, end = (_required_date("logical_date_range", date) for date in _pair(value))
    if parse_date(start) >= parse_date(end):
        raise InvalidParameterError(f"logical_date_range must start before it ends, but is from {start} to {end}")
    return [start, end]


def _expected_runs(value: object) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise InvalidParameterError(f"expected_runs must be a whole number of 1 or more, not {value!r}")
    return number


_READERS: dict[str, Callable[[RunWait, Any], RunWait]] = {
    "external_run_id": lambda wait, value: replace(wait, run_id=rendered_id("external_run_id", value)),
    "logical_date_range": lambda wait, value: replace(wait, logical_date_range=_date_range(value)),
    "expected_runs": lambda wait, value: replace(wait, expected_runs=_expected_runs(value)),
    "since": lambda wait, value: replace(wait, since=_required_date("since", value)),
    "partition_key": lambda wait, value: replace(wait, partition_key=rendered_id("partition_key", value)),
}

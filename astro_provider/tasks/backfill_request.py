"""The backfill that a task wants to create, read from its rendered fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from astro_provider.api.dates import iso, parse_date
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import as_bool, as_choice, is_template, rendered_id
from astro_provider.tasks.run_conf import check_conf, parsed_conf

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.types import Backfill, JSONInput

ReprocessBehavior: TypeAlias = Literal["none", "failed", "completed"]
"""The user's choice for dates that have a run already."""

REPROCESS_BEHAVIORS: tuple[ReprocessBehavior, ...] = get_args(ReprocessBehavior)

BACKFILL_FIELDS = (
    *("external_dag_id", "http_conn_id", "from_date", "to_date", "reprocess_behavior", "max_active_runs"),
    *("run_backwards", "dag_run_conf", "wait_for_completion"),
)
"""The fields of the operator from which the request is read, all of them templates."""


@dataclass(frozen=True)
class BackfillRequest:
    """
    The backfill that a task wants to create.

    :param http_conn_id: id of the Airflow connection to the target
    :param dag_id: the dag in the target
    :param from_date: the first date (ISO 8601)
    :param to_date: the last date (ISO 8601)
    :param reprocess_behavior: the user's choice for dates that have a run already
    :param max_active_runs: how many of its runs run at the same time
    :param run_backwards: whether the latest date runs first
    :param dag_run_conf: conf of the runs
    :param waits: whether the task waits until the backfill is over
    """

    http_conn_id: str
    dag_id: str
    from_date: str
    to_date: str
    reprocess_behavior: ReprocessBehavior
    max_active_runs: int
    run_backwards: bool
    dag_run_conf: dict[str, Any] | None
    waits: bool

    def body(self, reprocess_behavior: ReprocessBehavior) -> dict[str, JSONInput]:
        """
        Return the fields of the request to the target.

        :param reprocess_behavior: what to do with dates that have a run already
        """
        return {
            "from_date": self.from_date,
            "to_date": self.to_date,
            "reprocess_behavior": reprocess_behavior,
            "max_active_runs": self.max_active_runs,
            "run_backwards": self.run_backwards,
            "dag_run_conf": self.dag_run_conf,
        }

    def matches(self, backfill: Backfill) -> bool:
        """
        Decide whether a backfill could be one that this task has created.

        A target does not tell whether a backfill runs backwards. A retry creates a backfill that reprocesses failed
        runs, whatever ``reprocess_behavior`` is.
        """
        return (
            parse_date(backfill["from_date"]) == parse_date(self.from_date)
            and parse_date(backfill["to_date"]) == parse_date(self.to_date)
            and backfill["reprocess_behavior"] in (self.reprocess_behavior, "failed")
            and backfill["max_active_runs"] == self.max_active_runs
            and (backfill["dag_run_conf"] or {}) == (self.dag_run_conf or {})
        )


def check_backfill_fields(operator: object) -> None:
    """
    Check the fields when the DAG is parsed, as far as they are no templates.

    :param operator: has the fields of ``BACKFILL_FIELDS`` as attributes
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    for name, read in _READERS.items():
        value = getattr(operator, name)
        if not is_template(value):
            read(name, value)
    dates: tuple[Any, Any] = operator.from_date, operator.to_date  # type: ignore[attr-defined]
    if not any(map(is_template, dates)):
        _date_range(*dates)
    check_conf(operator.dag_run_conf)  # type: ignore[attr-defined]


def read_backfill_request(rendered: object) -> BackfillRequest:
    """
    Read the backfill that a task wants to create.

    :param rendered: the operator, whose attributes of ``BACKFILL_FIELDS`` are rendered
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    fields = {name: getattr(rendered, name) for name in BACKFILL_FIELDS}
    from_date, to_date = _date_range(fields["from_date"], fields["to_date"])
    return BackfillRequest(
        http_conn_id=rendered_id("http_conn_id", fields["http_conn_id"]),
        dag_id=rendered_id("external_dag_id", fields["external_dag_id"]),
        from_date=from_date,
        to_date=to_date,
        reprocess_behavior=_reprocess_behavior("reprocess_behavior", fields["reprocess_behavior"]),
        max_active_runs=_positive("max_active_runs", fields["max_active_runs"]),
        run_backwards=as_bool("run_backwards", fields["run_backwards"]),
        dag_run_conf=parsed_conf(fields["dag_run_conf"]),
        waits=as_bool("wait_for_completion", fields["wait_for_completion"]),
    )


def _date(name: str, value: Any) -> str:
    if (date := iso(name, value)) is None:
        raise InvalidParameterError(f"{name} was rendered to {value!r}: a backfill needs a first and a last date")
    return date


def _date_range(first: Any, last: Any) -> tuple[str, str]:
    from_date, to_date = _date("from_date", first), _date("to_date", last)
    if parse_date(from_date) > parse_date(to_date):
        raise InvalidParameterError(f"from_date must not be later than to_date, but is {from_date}, not {to_date}")
    return from_date, to_date


def _reprocess_behavior(name: str, value: object) -> ReprocessBehavior:
    return as_choice(name, value, REPROCESS_BEHAVIORS)


def _positive(name: str, value: object) -> int:
    text = str(value).strip()
    if not text.isdecimal() or int(text) < 1:
        raise InvalidParameterError(f"{name} must be a whole number of 1 or more, not {value!r}")
    return int(text)


_READERS: dict[str, Callable[[str, Any], object]] = {
    "from_date": _date,
    "to_date": _date,
    "reprocess_behavior": _reprocess_behavior,
    "max_active_runs": _positive,
    "run_backwards": as_bool,
    "wait_for_completion": as_bool,
}

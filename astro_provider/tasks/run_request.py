"""What a task wants to trigger, read from its rendered fields: the same on a worker and in the triggerer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from astro_provider.api.dates import NOW, iso, iso_or_now
from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.template_values import is_empty
from astro_provider.tasks.caller_note import given_note
from astro_provider.tasks.existing_run import ON_ACTIVE_RUN, ON_EXISTING_RUN
from astro_provider.tasks.rendered import as_bool, as_choice, as_text, is_template, rendered_id
from astro_provider.tasks.rendered_result import RESULT_FIELDS, check_result, rendered_result
from astro_provider.tasks.run_conf import check_conf, run_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from astro_provider.api.results import ResultRequest
    from astro_provider.tasks.existing_run import OnActiveRun, OnExistingRun

IfPaused: TypeAlias = Literal["trigger", "unpause", "fail"]
"""The user's choice for a dag that is paused in the target."""

IF_PAUSED: tuple[IfPaused, ...] = get_args(IfPaused)

DATE_FIELDS = ("logical_date", "data_interval_start", "data_interval_end", "run_after")

REQUEST_FIELDS = (
    *("trigger_dag_id", "http_conn_id", "trigger_run_id"),
    *DATE_FIELDS,
    *("conf", "note", "partition_key", "wait_for_completion"),
    *("on_existing_run", "on_active_run", "if_paused"),
    *RESULT_FIELDS,
)
"""The fields of the operator from which the request is read, all of them templates."""

_NO_WAIT = "result_task_id needs wait_for_completion=True, because there is no result before the run has finished"


@dataclass(frozen=True)
class RunRequest:
    """
    What a task wants to trigger.

    :param http_conn_id: id of the Airflow connection to the target
    :param dag_id: the dag in the target
    :param run_id: the run id that the user chose; ``None`` to derive it
    :param arguments: the other arguments of ``AstroHook.trigger_dag_run``; a ``note`` that is ``None`` stands for the
        default note, and ``""`` for none
    :param waits: whether the task waits for the run
    :param on_existing_run: the user's choice for a run that the task did not create
    :param on_active_run: the user's choice for a dag that has a queued or running run
    :param if_paused: the user's choice for a dag that is paused
    :param result: the XComs of the run that are the result of the task; ``None`` for the run itself
    """

    http_conn_id: str
    dag_id: str
    run_id: str | None
    arguments: Mapping[str, Any]
    waits: bool
    on_existing_run: OnExistingRun
    on_active_run: OnActiveRun
    if_paused: IfPaused
    result: ResultRequest | None = None

    @property
    def logical_date(self) -> str | None:
        """
        The logical date that the user gave (ISO 8601), by which an existing run is found.

        ``None`` for a run without one, and for one whose logical date is the current time.
        """
        date: str | None = self.arguments["logical_date"]
        return None if date == NOW else date

    @property
    def is_unique(self) -> bool:
        """Whether no other task triggers the same run, as its run id is derived and it has no given logical date."""
        return self.run_id is None and self.logical_date is None


def check_request(operator: object) -> None:
    """
    Check the fields when the DAG is parsed, as far as they are no templates.

    :param operator: has the fields of ``REQUEST_FIELDS`` as attributes
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    fields = {name: getattr(operator, name) for name in REQUEST_FIELDS}
    for name, read in _READERS.items():
        if not is_template(fields[name]):
            read(name, fields[name])
    check_conf(fields["conf"])
    check_result(fields["result_task_id"], fields["result_key"])
    waits = fields["wait_for_completion"]
    if fields["result_task_id"] is not None and not (is_template(waits) or as_bool("wait_for_completion", waits)):
        raise InvalidParameterError(_NO_WAIT)


def stored_date(name: str, date: datetime | str | None) -> str | None:
    """
    Convert a date whose template is not rendered yet, so that Airflow can store it in a trigger.

    :param name: name of the field
    :param date: the date; text stays as it is
    """
    return date if isinstance(date, str) else iso(name, date)


def read_request(rendered: object, *, lineage_parent: Any = None) -> RunRequest:
    """
    Read what a task wants to trigger.

    With native rendering, a field can be rendered to a number or another type instead of text.

    :param rendered: the operator or the trigger whose attributes of ``REQUEST_FIELDS`` are rendered
    :param lineage_parent: the task instance that OpenLineage shows as the parent of the run; ``None`` (the default) for
        none
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    fields = {name: getattr(rendered, name) for name in REQUEST_FIELDS}
    given_run_id = as_text(fields["trigger_run_id"])
    waits = as_bool("wait_for_completion", fields["wait_for_completion"])
    result = rendered_result(fields["result_task_id"], fields["result_key"])
    if result is not None and not waits:
        raise InvalidParameterError(_NO_WAIT)
    return RunRequest(
        http_conn_id=rendered_id("http_conn_id", fields["http_conn_id"]),
        dag_id=rendered_id("trigger_dag_id", fields["trigger_dag_id"]),
        run_id=None if is_empty(given_run_id) else given_run_id,
        arguments={
            **{name: iso(name, fields[name]) for name in DATE_FIELDS if name != "logical_date"},
            "logical_date": iso_or_now("logical_date", fields["logical_date"]),
            "conf": run_conf(fields["conf"], lineage_parent),
            "note": given_note(fields["note"]),
            "partition_key": as_text(fields["partition_key"]) or None,
        },
        waits=waits,
        on_existing_run=_on_existing_run("on_existing_run", fields["on_existing_run"]),
        on_active_run=_on_active_run("on_active_run", fields["on_active_run"]),
        if_paused=_if_paused("if_paused", fields["if_paused"]),
        result=result,
    )


def _on_existing_run(name: str, value: object) -> OnExistingRun:
    return as_choice(name, value, ON_EXISTING_RUN)


def _on_active_run(name: str, value: object) -> OnActiveRun:
    return as_choice(name, value, ON_ACTIVE_RUN)


def _if_paused(name: str, value: object) -> IfPaused:
    return as_choice(name, value, IF_PAUSED)


_READERS: dict[str, Callable[[str, Any], object]] = {
    **dict.fromkeys(DATE_FIELDS, iso),
    "logical_date": iso_or_now,
    "wait_for_completion": as_bool,
    "on_existing_run": _on_existing_run,
    "on_active_run": _on_active_run,
    "if_paused": _if_paused,
}

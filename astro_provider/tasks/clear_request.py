"""What a task wants to clear, read from its rendered fields."""

from __future__ import annotations

from ast import literal_eval
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_provider.api.dates import iso
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import as_bool, is_template, rendered_id

if TYPE_CHECKING:
    from typing import Any

CLEAR_FIELDS = (
    *("external_dag_id", "http_conn_id", "external_run_id", "logical_date"),
    *("task_ids", "include_downstream", "only_failed", "wait_for_completion"),
)
"""The fields of the operator from which the request is read, all of them templates."""

_FLAGS = ("include_downstream", "only_failed", "wait_for_completion")


@dataclass(frozen=True)
class ClearRequest:
    """
    What a task wants to clear.

    :param http_conn_id: id of the Airflow connection to the target
    :param dag_id: the dag in the target
    :param run_id: the run; ``None`` if it is named in another way
    :param logical_date: logical date of the run (ISO 8601), instead of ``run_id``. If both are ``None``, the newest run
        is meant
    :param task_ids: the tasks to clear; empty for the whole run
    :param include_downstream: whether the tasks downstream of ``task_ids`` are cleared, too
    :param only_failed: whether only failed tasks are cleared
    :param waits: whether the task waits for the run
    """

    http_conn_id: str
    dag_id: str
    run_id: str | None
    logical_date: str | None
    task_ids: tuple[str, ...]
    include_downstream: bool
    only_failed: bool
    waits: bool


def check_clear_request(operator: Any) -> None:
    """
    Check the fields when the DAG is parsed, as far as they are no templates.

    :param operator: has the fields of ``CLEAR_FIELDS`` and ``latest`` as attributes
    :raise InvalidParameterError: not exactly one of the three ways to name the run is used, or a field has a value that
        cannot be used
    """
    given = [name for name in ("external_run_id", "logical_date") if getattr(operator, name) is not None]
    if operator.latest:
        given.append("latest")
    if len(given) != 1:
        which = f"not {' and '.join(given)}" if given else "none of them was given"
        raise InvalidParameterError(f"Name the run with one of external_run_id, logical_date and latest=True: {which}")
    if not is_template(operator.logical_date):
        iso("logical_date", operator.logical_date)
    for name in _FLAGS:
        if not is_template(getattr(operator, name)):
            as_bool(name, getattr(operator, name))
    if operator.task_ids is None:
        if not is_template(operator.include_downstream) and as_bool("", operator.include_downstream):
            raise InvalidParameterError("include_downstream needs task_ids: without them, the whole run is cleared")
    elif not is_template(operator.task_ids):
        _task_ids(operator.task_ids)


def read_clear_request(rendered: Any) -> ClearRequest:
    """
    Read what a task wants to clear. With native rendering, a field can be rendered to another type instead of text.

    :param rendered: the operator, whose attributes of ``CLEAR_FIELDS`` are rendered
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    run_id = logical_date = None
    if rendered.logical_date is not None:
        logical_date = iso("logical_date", rendered.logical_date)
        if logical_date is None:
            raise InvalidParameterError(
                f"logical_date was rendered to {rendered.logical_date!r}, so there is no run to clear. A run without a "
                "logical date has none to give to a template: give external_run_id instead, or choose latest=True"
            )
    elif not rendered.latest:
        run_id = rendered_id("external_run_id", rendered.external_run_id)
    return ClearRequest(
        http_conn_id=rendered_id("http_conn_id", rendered.http_conn_id),
        dag_id=rendered_id("external_dag_id", rendered.external_dag_id),
        run_id=run_id,
        logical_date=logical_date,
        task_ids=() if rendered.task_ids is None else _task_ids(rendered.task_ids),
        include_downstream=as_bool("include_downstream", rendered.include_downstream),
        only_failed=as_bool("only_failed", rendered.only_failed),
        waits=as_bool("wait_for_completion", rendered.wait_for_completion),
    )


def _task_ids(value: object) -> tuple[str, ...]:
    """Read a list of task ids, or text to which a template has rendered one. Nothing must not mean the whole run."""
    ids = value
    if isinstance(value, str):
        try:
            ids = literal_eval(value)
        except (ValueError, SyntaxError):
            ids = None
    elif not isinstance(value, (list, tuple, set)) and hasattr(value, "__iter__"):
        ids = list(value)  # such as the results of a mapped task
    if not isinstance(ids, (list, tuple, set)) or not ids:
        raise InvalidParameterError(
            f"task_ids must be a list of task ids, not {value!r}. Leave it out to clear the whole run"
        )
    return tuple(rendered_id("task_ids", each) for each in ids)

"""Which templates the triggerer renders as a worker does (Airflow 3.3 and later)."""

from __future__ import annotations

from ast import literal_eval, parse
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import DAG

    from astro_provider.airflow_versions import BaseOperator, Context

RENDERED_IN_TRIGGERER = frozenset(
    (
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date"),
        *("data_interval_start", "data_interval_end", "dag_run", "dag", "task", "task_instance_key_str"),
        *("run_id", "partition_key", "params", "macros"),
    )
)
"""
Context variables that the triggerer renders without a request to Airflow.

Measured: on 3.3.2, other variables, such as ``ti`` with its XComs and ``prev_start_date_success``, block the trigger
for ever. Check: render them in ``tests/integration/dags/triggering/cases.py::in_triggerer``.
"""

DAG_RUN_FIELDS = (
    *("run_id", "conf", "logical_date", "data_interval_start", "data_interval_end"),
    *("run_after", "start_date", "partition_key"),
)
"""
Fields of ``dag_run`` that have the same values in the triggerer and on a worker.

Measured: on 3.3.2, the triggerer has other values for ``run_type``, ``state``, ``note`` and ``clear_number``. Check:
compare ``TriggerRunner.create_runtime_ti`` with the context of a task on a worker.
"""

_RENDERABLE_FIELDS = {"dag_run": DAG_RUN_FIELDS, "dag": ("dag_id",), "task": ("task_id",)}
"""The context variables that are objects, each with the fields that a template can use in the triggerer."""

AIRFLOW_FILTERS = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz")
"""Jinja filters that Airflow adds to every environment."""


class Rendering:
    """
    How a worker renders the templates of a task, as far as the triggerer can render them in another way.

    Measured: 3.3.2 renders all templates of a trigger to text, without the options of the DAG. Check:
    ``Templater._render`` is called without the DAG.

    :param task: the task
    :param dag: its DAG, if it has one
    """

    def __init__(self, task: BaseOperator, dag: DAG | None) -> None:
        of_task: bool | None = getattr(task, "render_template_as_native_obj", None)
        self.is_native = bool(dag and dag.render_template_as_native_obj) if of_task is None else of_task
        self._template_ext = tuple(task.template_ext)
        macros = dag.user_defined_macros if dag else None
        # A worker uses a macro of this name in a run whose context lacks the variable.
        self._names = RENDERED_IN_TRIGGERER.difference(macros) if macros else RENDERED_IN_TRIGGERER

    def is_same_in_triggerer(self, value: Any) -> bool:
        """
        Decide whether the triggerer renders the value of a field as a worker does, and a trigger can store it.

        Like Airflow, goes through the values of collections. Keys are not rendered. A trigger stores them as text, and
        would read ``__type`` as a key of its own.
        """
        if isinstance(value, str):
            return self._is_same_text(value)
        if value is None or isinstance(value, (bool, int, float, datetime)):
            return True
        if isinstance(value, (list, tuple)):
            return all(map(self.is_same_in_triggerer, value))
        return (
            isinstance(value, dict)
            and "__type" not in value
            and all(isinstance(key, str) for key in value)
            and all(map(self.is_same_in_triggerer, value.values()))
        )

    def _is_same_text(self, text: str) -> bool:
        if text.endswith(self._template_ext):
            return False  # the name of a file, which only a worker reads
        if self.is_native:
            return "{" not in text and not _is_literal(text)
        return "{" not in text or _names_of_template(text) <= self._names


def _is_literal(text: str) -> bool:
    """Decide whether native rendering reads a text without a template as another value, such as a number."""
    try:
        return bool(literal_eval(parse(text, mode="eval")) != text)
    except (ValueError, SyntaxError, MemoryError):  # the errors after which Jinja's native_concat keeps the text
        return False


@lru_cache(maxsize=1024)  # Airflow reads the attributes several times per task and parse
def _names_of_template(template: str) -> frozenset[str]:
    """List the variables that a template uses; an invalid template uses a name that nothing has."""
    from jinja2 import Environment, TemplateError, meta

    environment = Environment()
    environment.filters.update(dict.fromkeys(AIRFLOW_FILTERS, str))
    try:
        return frozenset(meta.find_undeclared_variables(environment.parse(template)))
    except TemplateError:  # also for an unknown filter, which may be one of the worker's
        return frozenset({"<invalid>"})


class Renderable:
    """
    The fields of a context variable that a template can use in the triggerer.

    Any other one raises an error instead of being undefined, because ``{{ dag_run.note | default('') }}`` would render
    what is undefined to another value than on a worker.

    :param name: name of the variable
    :param value: its value in the triggerer
    :param fields: the fields that have the same values on a worker
    """

    def __init__(self, name: str, value: object, fields: Sequence[str]) -> None:
        vars(self).update({field: getattr(value, field) for field in fields if hasattr(value, field)})
        self.__name = name

    def __getattr__(self, field: str) -> NoReturn:
        if field.startswith("__"):  # Jinja and Python look for methods that an object may lack
            raise AttributeError(field)
        from jinja2 import UndefinedError

        raise UndefinedError(f"the triggerer cannot render {self.__name}.{field}")

    def __str__(self) -> str:
        raise TypeError(f"the triggerer cannot render {self.__name} as a whole")


def renderable_context(context: Context) -> Context:
    """
    Make the context with which a trigger renders its templates.

    :param context: the context of the task in the triggerer
    """
    objects = {name: Renderable(name, context.get(name), fields) for name, fields in _RENDERABLE_FIELDS.items()}
    return cast("Context", {**context, **objects})

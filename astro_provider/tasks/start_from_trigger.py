"""Starting a deferrable task in the triggerer, without a worker (Airflow 3.3 and later)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from astro_provider.airflow_versions import CAN_START_FROM_TRIGGER, Param, has_pre_execute
from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.tasks.triggerer_templates import Rendering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.airflow_versions import BaseOperator, Context

T = TypeVar("T")

DEFAULT_POOL = "default_pool"

WORKER_METHODS = (
    *("execute", "execute_complete", "poke", "pre_execute", "post_execute", "resume_execution"),
    "render_template_fields",
)
"""Methods that only a worker calls, so that a subclass that overrides one of them needs a worker."""

WORKER_OPTIONS = (
    *("on_execute_callback", "retry_policy", "inlets", "map_index_template"),
    # The scheduler applies these limits only to tasks on their way to a worker.
    *("max_active_tis_per_dag", "max_active_tis_per_dagrun"),
)
"""Options of every operator that only a worker applies."""


class SerializedAttribute(Generic[T]):
    """
    A class attribute whose value for a task is computed when Airflow serializes the DAG.

    Airflow reads it in two places. The serializer reads it from the task, after the DAG file and the cluster policies
    have changed the task for the last time. ``partial()`` reads it from the class, for mapped tasks.

    :param compute: returns the value for a task
    :param of_class: the value that is read from the class, for mapped tasks, which must start on a worker
    """

    def __init__(self, compute: Callable[[Any], T], of_class: T) -> None:
        self._compute = compute
        self._of_class = of_class

    def __get__(self, task: BaseOperator | None, owner: type[BaseOperator]) -> T:
        return self._of_class if task is None else self._compute(task)


def _start_from_trigger(task: StartFromTriggerMixin) -> bool:
    return task.allows_start_from_trigger and task.deferrable and task.worker_reason() is None


def _start_trigger_args(task: StartFromTriggerMixin) -> StartTriggerArgs | None:
    return cast("StartTriggerArgs", LazyStartTriggerArgs(task)) if _start_from_trigger(task) else None


class LazyStartTriggerArgs:
    """
    ``StartTriggerArgs`` that are built when Airflow uses them: it first checks whether there are any.

    :param task: the task that builds them
    """

    def __init__(self, task: StartFromTriggerMixin) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        if name not in ("trigger_cls", "trigger_kwargs", "next_method", "next_kwargs", "timeout"):
            raise AttributeError(name)
        vars(self).update(vars(self._task.build_start_trigger_args()))
        return vars(self)[name]


if TYPE_CHECKING:
    _Base = BaseOperator
else:
    _Base = object


class StartFromTriggerMixin(_Base):
    """
    Mixin for operators and sensors that Airflow can start in the triggerer.

    Airflow reads the attributes ``start_from_trigger`` and ``start_trigger_args``. The user's parameter
    ``start_from_trigger`` is therefore stored as ``allows_start_from_trigger``.

    Airflow's metaclass reads both attributes each time an ``__init__`` in the class hierarchy returns. When the
    ``__init__`` of a base class returns, the subclass has not set its own attributes yet. For this reason,
    ``allows_start_from_trigger`` is ``False`` until the base class sets it as its last attribute, and a subclass
    declares defaults on the class for the attributes that its trigger needs.
    """

    start_from_trigger = SerializedAttribute(_start_from_trigger, of_class=False)
    start_trigger_args = SerializedAttribute(_start_trigger_args, of_class=None)
    allows_start_from_trigger: bool = False
    deferrable: bool
    trigger_fields: Sequence[str] = ()
    """Template fields that the trigger renders if the task starts in the triggerer."""
    worker_options: Sequence[str] = ()
    """Options of this operator that only a worker applies."""
    is_limited_by_pool: bool = False
    """Whether a pool other than the default one needs a worker, as only tasks on their way there wait for its slots."""

    def build_start_trigger_args(self) -> StartTriggerArgs:
        """Make the class path and the arguments of the trigger that Airflow starts."""
        raise NotImplementedError

    def worker_reason(self) -> str | None:
        """
        Find out why this task must start on a worker although it is deferrable.

        :return: the reason, for the log; ``None`` if the task can start in the triggerer
        """
        if not CAN_START_FROM_TRIGGER:
            return "this is Airflow below 3.3"
        if queues_are_enabled():
            return "[triggerer] queues_enabled is set"  # only a worker assigns a trigger to a queue
        for option in (*self.worker_options, *WORKER_OPTIONS):
            if getattr(self, option, None):
                return f"{option} is set"
        if has_pre_execute(self):
            return "pre_execute is set"
        if self.is_limited_by_pool and self.pool != DEFAULT_POOL:
            return "pool is set"
        if _overrides_worker_method(type(self)):
            return f"{type(self).__name__} overrides what runs on a worker"
        return self._rendering_reason()

    def _validate_start_from_trigger_kwargs(self) -> None:
        """
        Skip a check of Airflow for functions in the arguments of the trigger, which are JSON values here.

        Measured: 3.3.2 computes the arguments for this check whenever an ``__init__`` returns. Check: count the calls
        of :meth:`build_start_trigger_args` while a DAG with one task is built.
        """

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """
        Leave out ``start_trigger_args``, which Airflow's serializer also reads and writes separately.

        Measured: 3.3.2 converts it to text as one of these fields, and then replaces the text. Check: count the calls
        of :meth:`build_start_trigger_args` while a DAG with one task is serialized.
        """
        return _without_start_trigger_args(super().get_serialized_fields())  # type: ignore[no-untyped-call]  # Airflow's has no types

    def log_worker_reason(self, context: Context) -> None:
        """
        Log why this task starts on a worker, if it is deferrable and Airflow can start tasks in the triggerer.

        :param context: the context of the task, on the worker
        """
        if not (CAN_START_FROM_TRIGGER and self.deferrable and self.allows_start_from_trigger):
            return
        is_mapped = context["ti"].map_index not in (None, -1)  # or is in a mapped task group
        # The fields are rendered by now, so that nothing shows any more what they were rendered from.
        changed = "a template uses what the triggerer does not know, or the DAG was changed"
        reason = self.worker_reason() or ("it is mapped" if is_mapped else changed)
        self.log.info("The task starts on a worker, not in the triggerer: %s.", reason)

    def _rendering_reason(self) -> str | None:
        dag = self.dag if self.has_dag() else None  # type: ignore[no-untyped-call]  # Airflow's has no types
        if reason := _params_reason(self.params, dag.params if dag else {}):
            return reason
        # The triggerer would ignore these options and render another text.
        if dag and (dag.jinja_environment_kwargs or dag.user_defined_filters):
            return "the DAG has Jinja options of its own"
        rendering = Rendering(self, dag)
        for field in self.trigger_fields:
            if not rendering.is_same_in_triggerer(getattr(self, field)):
                source = "to a native object" if rendering.is_native else "from what the triggerer does not know"
                return f"{field} is rendered {source}"
        return None


def _params_reason(of_task: Mapping[str, Any], of_dag: Mapping[str, Any]) -> str | None:
    """Find out why the Params of a task, which include those of its DAG, need a worker."""
    if not of_task and not of_dag:
        return None
    # Measured: on 3.3.2, a Param without a value raises before the trigger is created, which ends the triggerer.
    # Check: not needed any more once TriggerRunner.create_triggers catches more than TypeError.
    if any(isinstance(param, Param) and not param.has_value for param in (*of_task.values(), *of_dag.values())):
        return "a Param has no value"
    # Measured: 3.3.2 validates the Params of a DAG when it creates a run, and those of a task only on a worker. Check:
    # the triggerer of a task with Param(1, type="integer") renders another type from the conf of the run.
    schemas_of_dag = {name: getattr(param, "schema", None) for name, param in of_dag.items()}
    for name, param in of_task.items():
        schema = getattr(param, "schema", None)
        if schema and schema != schemas_of_dag.get(name):
            return "a Param of the task has a schema"
    return None


@cache  # Airflow calls it for each task
def _without_start_trigger_args(fields: frozenset[str]) -> frozenset[str]:
    return fields - {"start_trigger_args"}


@cache
def queues_are_enabled() -> bool:
    enabled: bool = airflow_conf.getboolean("triggerer", "queues_enabled", fallback=False)
    return enabled


@lru_cache(maxsize=128)
def _overrides_worker_method(kind: type[BaseOperator]) -> bool:
    """Decide whether a subclass of an operator of this package overrides a method that only a worker calls."""
    ours = next(each for each in kind.__mro__ if each.__module__.startswith("astro_provider."))
    return any(getattr(kind, name, None) is not getattr(ours, name, None) for name in WORKER_METHODS)

"""Whether a deferrable sensor starts in the triggerer, without a worker, and what it may end as there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from astro_provider.airflow_versions import AIRFLOW_VERSION, Param
from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.dates import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.sensors.dag_run import AstroDagRunSensor

T = TypeVar("T")

BACKSTOP = timedelta(minutes=5)
"""How much later than the sensor's own timeout Airflow ends the deferral, should the trigger be stuck."""

RENDERED_IN_TRIGGERER = frozenset(
    (
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date"),
        *("data_interval_start", "data_interval_end", "dag_run", "run_id", "partition_key", "params", "macros"),
    )
)
"""What templates may name there. What Airflow must be asked for wants a worker: an XCom would hang the trigger."""

DAG_RUN_FIELDS = frozenset(
    (
        *("run_id", "conf", "logical_date", "data_interval_start", "data_interval_end"),
        *("run_after", "start_date", "partition_key"),
    )
)
"""What a triggerer knows of the dag run, and writes as a worker does."""

_FILTERS = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz")
"""Airflow's own; a DAG's are not known to the triggerer."""

_RUN_ON_WORKERS = (
    *("execute", "execute_complete", "poke", "pre_execute", "post_execute", "resume_execution"),
    "render_template_fields",
)

_WORKERS_OPTIONS = {
    "execution_date_fn": "execution_date_fn",
    "on_execute_callback": "on_execute_callback",
    "_pre_execute_hook": "pre_execute",
    "retry_policy": "retry_policy",
    "inlets": "inlets",
    # The scheduler counts by them on the way to a worker only.
    "max_active_tis_per_dag": "max_active_tis_per_dag",
    "max_active_tis_per_dagrun": "max_active_tis_per_dagrun",
}
"""Attributes that want a worker when they are set, and what their arguments are called."""

RETRIES_ARE_HONOURED = AIRFLOW_VERSION >= (3, 3, 1)
"""Whether a task that fails in the triggerer is retried; 3.3.0 forgets it."""


class OfTask(Generic[T]):
    """
    An attribute that Airflow reads of a sensor when it serializes its DAG, worked out at that time.

    By then all is known that makes the difference, cluster policies included. Of the class, Airflow reads it for
    mapped tasks, and they start on workers.
    """

    def __init__(self, work_out: Callable[[AstroDagRunSensor], T], of_class: T) -> None:
        self._work_out = work_out
        self._of_class = of_class

    def __get__(self, sensor: AstroDagRunSensor | None, owner: type[AstroDagRunSensor]) -> T:
        return self._of_class if sensor is None else self._work_out(sensor)


def starts_in_triggerer(sensor: AstroDagRunSensor) -> bool:
    """Say whether Airflow is to start it there."""
    return sensor.may_start_from_trigger and sensor.deferrable and needs_worker(sensor) is None


def start_trigger_args(sensor: AstroDagRunSensor) -> StartTriggerArgs | None:
    """
    Work out what Airflow is to start in the triggerer.

    :return: the trigger's class path and keyword arguments; ``None`` where the sensor starts on a worker
    """
    if not starts_in_triggerer(sensor):
        return None
    from airflow.triggers.base import StartTriggerArgs

    timeout = timedelta(seconds=sensor.timeout) + BACKSTOP
    if sensor.execution_timeout:
        timeout = min(timeout, sensor.execution_timeout)
    return StartTriggerArgs(
        trigger_cls="astro_provider.triggers.sensor.AstroSensorTrigger",
        trigger_kwargs={
            **{field: _plain(getattr(sensor, field)) for field in sensor.run_fields},
            "execution_delta": (sensor.execution_delta or timedelta()).total_seconds(),
            "latest": sensor.latest,
            "allowed_states": list(sensor.allowed_states),
            "failed_states": list(sensor.failed_states),
            "skipped_states": list(sensor.skipped_states),
            "check_existence": sensor.check_existence,
            "poke_interval": sensor.poke_interval,
            "timeout": sensor.timeout,
            "airflow_timeout": timeout.total_seconds(),
            "soft_fail": sensor.soft_fail,
            "ends": endings(sensor),
        },
        next_method="execute_complete",
        timeout=timeout,
    )


def needs_worker(sensor: AstroDagRunSensor) -> str | None:
    """
    Say why a deferrable sensor must start on a worker.

    :return: the reason, or ``None`` where it can start in the triggerer
    """
    if AIRFLOW_VERSION < (3, 3):
        return "this is Airflow below 3.3"
    if airflow_conf.getboolean("triggerer", "queues_enabled", fallback=False):
        return "[triggerer] queues_enabled is set"  # only a worker tells which queue a trigger belongs to
    for attribute, option in _WORKERS_OPTIONS.items():
        if getattr(sensor, attribute, None):
            return f"{option} is set"
    if _overridden(sensor):
        return f"{type(sensor).__name__} overrides what runs on a worker"
    return _unrenderable(sensor)


def endings(sensor: AstroDagRunSensor) -> dict[str, str]:
    """
    Work out what a wait that ends in the triggerer makes of the task there.

    :return: the task's end by the outcome of the wait, see ``AstroSensorTrigger``; what is not in
        it resumes the task on a worker, as callbacks, emails and asset events are a worker's work, and as
        a task that fails in the triggerer is retried, whether a retry can help or not
    """
    ends = {}
    if not (sensor.on_success_callback or sensor.outlets or sensor._post_execute_hook):
        ends["success"] = "success"
    if not sensor.on_skipped_callback:
        ends["skipped"] = "skipped"
        if sensor.soft_fail:
            ends |= dict.fromkeys(("failed", "timeout", "error"), "skipped")
    if not _failure_is_heard_of(sensor) and (RETRIES_ARE_HONOURED or not sensor.retries):
        ends["retryable error"] = "failed"
        if not sensor.soft_fail:
            ends |= dict.fromkeys(("failed",) if sensor.retries else ("failed", "timeout", "error"), "failed")
    return ends


def _failure_is_heard_of(sensor: AstroDagRunSensor) -> bool:
    """Say whether a worker must tell somebody, or do more than fail this task."""
    return bool(
        sensor.on_failure_callback
        or sensor.on_retry_callback
        or (sensor.email and (sensor.email_on_failure or sensor.email_on_retry))
        or getattr(sensor, "never_fail", False)
        or getattr(sensor, "silent_fail", False)
        or (sensor.has_dag() and sensor.dag.fail_fast)  # type: ignore[no-untyped-call]  # Airflow's has no types
    )


def _overridden(sensor: AstroDagRunSensor) -> bool:
    from astro_provider.sensors.dag_run import AstroDagRunSensor

    return any(getattr(type(sensor), name) is not getattr(AstroDagRunSensor, name) for name in _RUN_ON_WORKERS)


def _plain(value: Any) -> Any:
    """Write a field as a trigger can be stored with it."""
    if isinstance(value, datetime):
        return iso("logical_date", value)
    return value if value is None or isinstance(value, str) else list(value)


def _unrenderable(sensor: AstroDagRunSensor) -> str | None:
    """Say what the triggerer cannot render as a worker does."""
    dag = sensor.dag if sensor.has_dag() else None  # type: ignore[no-untyped-call]  # Airflow's has no types
    for params in (sensor.params, dag.params if dag else {}):
        if any(isinstance(param, Param) and not param.has_value for param in params.values()):
            return "a Param has no value"  # were it not given either, it would end the triggerer
    if dag and (dag.jinja_environment_kwargs or dag.user_defined_filters or not _is_strict(dag.template_undefined)):
        return "the DAG has Jinja options of its own"
    for field in sensor.run_fields:
        value = getattr(sensor, field)
        is_one_list = field == "external_task_ids" and isinstance(value, str)  # is text, rendered in the triggerer
        if is_one_list or not _renders_in_triggerer(value):
            return f"{field} is rendered from what the triggerer does not know"
    return None


def _is_strict(undefined: type) -> bool:
    from jinja2 import StrictUndefined

    return undefined is StrictUndefined


def _renders_in_triggerer(value: Any) -> bool:
    if value is None or isinstance(value, datetime):
        return True
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_renders_in_triggerer(each) for each in value)
    return isinstance(value, str) and ("{" not in value or _names_only_what_is_there(value))


@lru_cache(maxsize=1024)  # Airflow asks several times for every sensor, at every parse
def _names_only_what_is_there(template: str) -> bool:
    from jinja2 import Environment, TemplateError, meta, nodes

    environment = Environment()
    environment.filters.update(dict.fromkeys(_FILTERS, str))
    try:
        parsed = environment.parse(template)
        names = meta.find_undeclared_variables(parsed)  # refuses filters that it does not know
    except TemplateError:
        return False
    runs = [name for name in parsed.find_all(nodes.Name) if name.name == "dag_run"]
    fields = [of.node for of in parsed.find_all(nodes.Getattr) if of.attr in DAG_RUN_FIELDS]
    return (
        names <= RENDERED_IN_TRIGGERER
        and all(any(run is node for node in fields) for run in runs)
        and not any(parsed.find_all((nodes.Include, nodes.Import, nodes.FromImport)))
    )

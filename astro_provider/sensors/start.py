"""Whether a deferrable sensor starts in the triggerer, without a worker, and what it may end as there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

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

_FILTERS = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz")
"""Airflow's own; a DAG's are not known to the triggerer."""

_RUN_ON_WORKERS = ("execute", "execute_complete", "poke", "pre_execute", "post_execute", "render_template_fields")


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

    :return: what for, or ``None`` where it can start in the triggerer
    """
    if not AIRFLOW_V_3_3_PLUS:
        return "Airflow below 3.3"
    if sensor.execution_date_fn is not None:
        return "execution_date_fn"
    if _overridden(sensor):
        return f"{type(sensor).__name__} overrides what runs on a worker"
    for option in ("on_execute_callback", "_pre_execute_hook", "retry_policy", "inlets"):
        if getattr(sensor, option, None):
            return option.strip("_")
    for field in sensor.run_fields:
        value = getattr(sensor, field)
        is_one_list = field == "external_task_ids" and isinstance(value, str)  # is text, rendered in the triggerer
        if is_one_list or not _renders_in_triggerer(value):
            return f"what {field} is rendered from"
    return None


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
    if not _failure_is_heard_of(sensor):
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
    return names <= RENDERED_IN_TRIGGERER and not any(parsed.find_all((nodes.Include, nodes.Import, nodes.FromImport)))

"""What the sensors for runs and tasks share: parameters, deferral, and the start in the triggerer."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.airflow_versions import given_parameters
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds, timeout_seconds
from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.message import dag_subject
from astro_provider.api.states import checked_states
from astro_provider.links import RemoteDagRunLink
from astro_provider.sensors.waiting import BACKSTOP, DEFAULT_TIMEOUT_SECONDS, WaitingSensor
from astro_provider.tasks.rendered import rendered_id, stored_value
from astro_provider.tasks.rendered_wait import dates_from_function, own_run_date, rendered_wait
from astro_provider.tasks.run_selection import OPTIONS_OF_WAYS, RUN_FIELDS, WAYS, check_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.airflow_versions import Context
    from astro_provider.waits.wait import RunWait


class AstroBaseSensor(WaitingSensor):
    """
    Base class of the sensors; see :class:`~astro_provider.sensors.dag_run.AstroDagRunSensor` for the parameters.

    A subclass sets the states that exist, the default of ``failed_states``, and its template fields.
    """

    trigger_fields: Sequence[str] = ("external_dag_id", "http_conn_id", *RUN_FIELDS)
    template_fields: Sequence[str] = trigger_fields
    worker_options: Sequence[str] = ("execution_date_fn",)
    operator_extra_links = (RemoteDagRunLink(),)
    ui_color = "#dbe9ff"
    valid_states: ClassVar[tuple[str, ...]]
    """The states that ``allowed_states``, ``failed_states`` and ``skipped_states`` can name."""
    default_failed_states: ClassVar[tuple[str, ...]]
    logical_date_range: Sequence[datetime | str] | str | None = None
    expected_runs: int | str | None = None
    since: datetime | str | None = None
    partition_key: str | None = None
    idle: bool = False

    def __init__(
        self,
        *,
        external_dag_id: str,
        http_conn_id: str = "http_conn",
        external_run_id: str | None = None,
        logical_date: datetime | str | None = None,
        execution_delta: timedelta | None = None,
        execution_date_fn: Callable[..., Any] | None = None,
        latest: bool = False,
        since: datetime | str | None = None,
        logical_date_range: Sequence[datetime | str] | str | None = None,
        expected_runs: int | str | None = None,
        partition_key: str | None = None,
        idle: bool = False,
        allowed_states: Sequence[str] | None = None,
        failed_states: Sequence[str] | None = None,
        skipped_states: Sequence[str] | None = None,
        check_existence: bool = False,
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL_SECONDS,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        start_from_trigger: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval_seconds(poke_interval), timeout=timeout_seconds(timeout), **kwargs)
        self.external_dag_id = external_dag_id
        self.http_conn_id = http_conn_id
        self.external_run_id = external_run_id
        self.logical_date = logical_date
        self.execution_delta = execution_delta
        self.execution_date_fn = execution_date_fn
        self.latest = latest
        self._set_if_given(
            since=since,
            logical_date_range=logical_date_range,
            expected_runs=expected_runs,
            partition_key=partition_key,
            idle=idle or None,
        )
        self.allowed_states = checked_states("allowed_states", allowed_states, self.valid_states, ("success",))
        self.skipped_states = checked_states("skipped_states", skipped_states, self.valid_states, ())
        other_states = (*self.allowed_states, *self.skipped_states)
        default_failed = tuple(state for state in self.default_failed_states if state not in other_states)
        self.failed_states = checked_states("failed_states", failed_states, self.valid_states, default_failed)
        self.check_existence = check_existence
        self.deferrable = deferrable
        self._given = {name for name in RUN_FIELDS if getattr(self, name) is not None}
        if idle and any(states is not None for states in (allowed_states, failed_states, skipped_states)):
            raise InvalidParameterError("idle excludes allowed_states, failed_states and skipped_states")
        self._check_parameters()
        self.allows_start_from_trigger = start_from_trigger

    def _set_if_given(self, **values: object) -> None:
        """Set the attributes that are not ``None``; the class has the defaults. Airflow makes setting one expensive."""
        for name, value in values.items():
            if value is not None:
                setattr(self, name, value)

    def _check_parameters(self) -> None:
        """Refuse parameters that are invalid whatever the templates are rendered to."""
        check_selection({name: getattr(self, name) for name in (*WAYS, *OPTIONS_OF_WAYS)})
        named = [*self.allowed_states, *self.failed_states, *self.skipped_states]
        if twice := sorted({state for state in named if named.count(state) > 1}):
            raise InvalidParameterError(
                f"{', '.join(twice)} stands in more than one of allowed_states, failed_states and skipped_states"
            )

    def _unrendered_wait(self) -> RunWait:
        """Make the wait with every option that is not rendered; :meth:`_wait` completes it."""
        from astro_provider.waits.wait import EndStates, RunWait

        return RunWait(
            dag_id=self.external_dag_id,
            end_states=EndStates(self.allowed_states, self.failed_states, self.skipped_states),
            latest=self.latest,
            idle=self.idle,
            check_existence=self.check_existence,
        )

    @property
    def _subject(self) -> str:
        return dag_subject(str(self.external_dag_id))

    def _wait(self, context: Context) -> RunWait:
        function = self.execution_date_fn
        return rendered_wait(
            self._unrendered_wait(),
            {name: getattr(self, name) for name in self.trigger_fields},
            given=self._given_fields(context),
            own_date=own_run_date(context),
            execution_delta=self.execution_delta or timedelta(),
            logical_dates=dates_from_function(function, context) if function else None,
        )

    def _given_fields(self, context: Context) -> set[str]:
        """Name the fields that the user set, whatever their templates are rendered to."""
        if context["ti"].map_index in (None, -1):
            return self._given
        # A mapped task is created with rendered values, so a field that the user set can be None from the beginning.
        return self._given | (given_parameters(self) & set(RUN_FIELDS))

    def build_start_trigger_args(self) -> StartTriggerArgs:
        """Make the class path and the arguments of the trigger that Airflow starts instead of a worker."""
        from airflow.triggers.base import StartTriggerArgs

        from astro_provider.triggers.endings import endings

        timeout = timedelta(seconds=self.timeout) + BACKSTOP
        if self.execution_timeout:
            timeout = min(timeout, self.execution_timeout)
        fields = {name: getattr(self, name) for name in self.trigger_fields}
        return StartTriggerArgs(
            trigger_cls="astro_provider.triggers.sensor.AstroSensorTrigger",
            trigger_kwargs={
                **{name: stored_value(value) for name, value in fields.items() if value is not None},
                "wait": self._unrendered_wait().serialize(),
                "execution_delta": (self.execution_delta or timedelta()).total_seconds(),
                "poke_interval": self.poke_interval,
                "timeout": self.timeout,
                "airflow_timeout": timeout.total_seconds(),
                "soft_fail": self.soft_fail,
                "ends": endings(self),
            },
            next_method="execute_complete",
            timeout=timeout,
        )

    def _defer(self, context: Context) -> None:
        from astro_provider.triggers.dag_run import AstroDagRunTrigger

        deadline, timeout = self._deferral_limits(context)
        self.defer(
            trigger=AstroDagRunTrigger(
                http_conn_id=rendered_id("http_conn_id", self.http_conn_id),
                wait=self._wait(context),
                poke_interval=self.poke_interval,
                deadline=deadline,
                started_at=time.time(),
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

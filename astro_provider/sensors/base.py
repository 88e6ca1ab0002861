"""What all sensors share: execution on a worker, deferral, and the start in the triggerer."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.airflow_versions import given_parameters, was_rescheduled
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds, timeout_seconds
from astro_provider.api.errors import AstroError, DagRunFailedError, InvalidParameterError, UnexpectedEventError
from astro_provider.api.states import checked_states
from astro_provider.links import XCOM_URL, RemoteDagRunLink
from astro_provider.sensors.poke_interval import PokeIntervalMixin
from astro_provider.task_errors import fail_or_skip, final_errors
from astro_provider.tasks.execution_timeout import wait_timeout_message
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.rendered_wait import (
    RUN_FIELDS,
    dates_from_function,
    own_run_date,
    rendered_wait,
    stored_value,
)
from astro_provider.tasks.start_from_trigger import StartFromTriggerMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.airflow_versions import Context
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.triggers.events import WaitEvent
    from astro_provider.waits.loop import Progress
    from astro_provider.waits.transient import Tolerance
    from astro_provider.waits.wait import RunWait, Verdict

DEFAULT_TIMEOUT_SECONDS: float = airflow_conf.getfloat("sensors", "default_timeout")
"""Read once, because Airflow would read it for each sensor, which takes a fifth of the time to create one."""

BACKSTOP = timedelta(minutes=5)
"""Time after the sensor's timeout at which Airflow ends a deferral whose trigger is stuck."""

REFUSED_PAUSE_SECONDS = 10.0
"""Seconds before a sensor whose last check was refused checks again on its worker."""


class AstroBaseSensor(StartFromTriggerMixin, PokeIntervalMixin):
    """
    Base class of the sensors; see :class:`~astro_provider.sensors.dag_run.AstroDagRunSensor` for the parameters.

    A subclass sets the states that exist, the default of ``failed_states``, and its template fields.
    """

    trigger_fields: Sequence[str] = ("external_dag_id", "http_conn_id", "external_run_id", "logical_date")
    template_fields: Sequence[str] = trigger_fields
    worker_options: Sequence[str] = ("execution_date_fn",)
    operator_extra_links = (RemoteDagRunLink(),)
    ui_color = "#dbe9ff"
    valid_states: ClassVar[tuple[str, ...]]
    """The states that ``allowed_states``, ``failed_states`` and ``skipped_states`` can name."""
    default_failed_states: ClassVar[tuple[str, ...]]
    # What a running task knows; class attributes, because Airflow makes setting an attribute of a task expensive.
    _tolerance: Tolerance | None = None
    _progress: Progress | None = None
    _url: str | None = None
    _refused = False
    _was_rescheduled = False
    _hook: AstroHook | None = None  # keeps its connection to the target between checks
    _is_restarted = False

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
        self.allowed_states = checked_states("allowed_states", allowed_states, self.valid_states, ("success",))
        self.skipped_states = checked_states("skipped_states", skipped_states, self.valid_states, ())
        other_states = (*self.allowed_states, *self.skipped_states)
        default_failed = tuple(state for state in self.default_failed_states if state not in other_states)
        self.failed_states = checked_states("failed_states", failed_states, self.valid_states, default_failed)
        self.check_existence = check_existence
        self.deferrable = deferrable
        self._given = {name for name in RUN_FIELDS if getattr(self, name) is not None}
        self._check_parameters()
        self.allows_start_from_trigger = start_from_trigger

    def _check_parameters(self) -> None:
        """Refuse parameters that are invalid whatever the templates are rendered to."""
        ways = ("external_run_id", "logical_date", "execution_delta", "execution_date_fn", "latest")
        chosen = [way for way in ways if getattr(self, way) not in (None, False)]
        if len(chosen) > 1:
            raise InvalidParameterError(
                f"{chosen[0]} and {chosen[1]} exclude each other: choose one way to name the run"
            )
        named = [*self.allowed_states, *self.failed_states, *self.skipped_states]
        if twice := sorted({state for state in named if named.count(state) > 1}):
            raise InvalidParameterError(
                f"{', '.join(twice)} stands in more than one of allowed_states, failed_states and skipped_states"
            )

    def execute(self, context: Context) -> None:
        """
        Wait on the worker, or defer to the triggerer.

        :param context: the context of the task
        :raise DagRunFailedError: a run or task is in one of ``failed_states`` (with ``soft_fail``, the sensor skips)
        :raise AirflowSkipException: a run or task is in one of ``skipped_states``
        :raise AirflowSensorTimeout: the wait took longer than ``timeout`` (with ``soft_fail``, the sensor skips)
        :raise AirflowTaskTimeout: the wait took longer than ``execution_timeout``, and that is shorter than ``timeout``
            (with ``soft_fail``, the sensor skips)
        :raise AirflowFailException: a retry cannot help, because a request was refused or a parameter is invalid
        """
        from astro_provider.airflow_versions import AirflowFailException
        from astro_provider.waits.transient import Tolerance

        if not self._is_restarted:
            self.log_worker_reason(context)
        self._was_rescheduled = self.reschedule and was_rescheduled(self, context)
        self._tolerance = Tolerance(has_answered=self._was_rescheduled)
        try:
            if not self.deferrable:
                super().execute(context)
            elif not self.poke(context):  # a wait that is over needs no deferral
                self._defer(context)
        except AirflowFailException as error:  # by poke() above; super().execute() applies soft_fail itself
            fail_or_skip(self, error)
        finally:
            if self._hook is not None:
                self._hook.close()

    def poke(self, context: Context) -> bool:
        """
        Check once.

        An error that the wait tolerates counts as a check without a result. A refusal is tolerated for a limited time,
        which only a running process can measure. A sensor whose check was refused therefore repeats the check here
        before it is rescheduled or deferred.

        :param context: the context of the task
        :return: whether the wait is over, successfully
        :raise Exception: see :meth:`execute`
        """
        gives_up_at = time.time() + self.timeout
        with final_errors():
            while (verdict := self._check(context)) is None:
                if not self._refused or not (self.reschedule or self.deferrable) or time.time() >= gives_up_at:
                    return False
                time.sleep(REFUSED_PAUSE_SECONDS)
        if verdict.url and verdict.url != self._url:
            self._url = verdict.url
            context["ti"].xcom_push(key=XCOM_URL, value=verdict.url)
        return self._conclude(verdict.outcome, verdict.message)

    def _check(self, context: Context) -> Verdict | None:
        """Check; return ``None`` after an error that the wait tolerates."""
        from astro_provider.waits.hints import Hints
        from astro_provider.waits.loop import Progress
        from astro_provider.waits.transient import Tolerance, is_refusal

        if self._progress is None:
            # A rescheduled sensor is a new process, which does not know when the last hint was given.
            hints = None if self._was_rescheduled else Hints()
            self._progress = Progress(self._log_verdict, hints)
        tolerance = self._tolerance = self._tolerance or Tolerance()
        try:
            wait = self._wait(context)
            hook = self._open_hook()
            if self._refused:
                hook.reload_connection()
            verdict = hook.run(self._progress.check(hook.client, wait))
        except AstroError as error:
            if not tolerance.tolerates(error, self._log_tolerated_error):
                raise
            self._refused = is_refusal(error)
            return None
        tolerance.note_answer()
        self._refused = False
        return verdict

    def _log_verdict(self, verdict: Verdict) -> None:
        self.log.info("%s", verdict.explained)

    def _log_tolerated_error(self, error: AstroError) -> None:
        from astro_provider.waits.loop import still_waiting

        self.log.warning("%s", still_waiting(error))

    def _open_hook(self) -> AstroHook:
        if self._hook is None:
            from astro_provider.hooks.astro import AstroHook

            self._hook = AstroHook(rendered_id("http_conn_id", self.http_conn_id))
        return self._hook

    def _unrendered_wait(self) -> RunWait:
        """Make the wait with every option that is not rendered; :meth:`_wait` completes it."""
        from astro_provider.waits.wait import EndStates, RunWait

        return RunWait(
            dag_id=self.external_dag_id,
            end_states=EndStates(self.allowed_states, self.failed_states, self.skipped_states),
            latest=self.latest,
            check_existence=self.check_existence,
        )

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
        from astro_provider.tasks.execution_timeout import deferral_limits
        from astro_provider.triggers.dag_run import AstroDagRunTrigger

        now = time.time()
        deadline, timeout = now + self.timeout, timedelta(seconds=self.timeout) + BACKSTOP
        if self._execution_timeout_is_shorter:
            limit, limit_timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
            deadline, timeout = limit or deadline, limit_timeout or timeout
        self.defer(
            trigger=AstroDagRunTrigger(
                http_conn_id=rendered_id("http_conn_id", self.http_conn_id),
                wait=self._wait(context),
                poke_interval=self.poke_interval,
                deadline=deadline,
                started_at=now,
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """
        Resume on a worker after the wait in the triggerer.

        :param context: the context of the task
        :param event: see :func:`astro_provider.triggers.events.read_event`; after ``restart`` the sensor waits again
        :raise AstroError: the wait ended with an error that a retry may resolve
        :raise Exception: see :meth:`execute`
        """
        from astro_provider.airflow_versions import AirflowFailException
        from astro_provider.triggers.events import EventOutcome, read_event

        try:
            ended = read_event(event)
        except UnexpectedEventError as error:
            fail_or_skip(self, AirflowFailException(str(error)))
        self.log.info("%s", ended.message)
        if ended.outcome is EventOutcome.RESTART:
            self._is_restarted = True
            self.execute(context)
        else:
            self._resume(context, ended)

    def _resume(self, context: Context, ended: WaitEvent) -> None:
        from astro_provider.airflow_versions import AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout
        from astro_provider.triggers.events import EventOutcome

        if ended.outcome is EventOutcome.TIMEOUT:
            if self.execution_timeout and self._execution_timeout_is_shorter:
                message = wait_timeout_message(self.execution_timeout, "execution_timeout", ended.message)
                fail_or_skip(self, AirflowTaskTimeout(message))
            fail_or_skip(self, AirflowSensorTimeout(wait_timeout_message(self.timeout, "timeout", ended.message)))
        if ended.error is not None and ended.error.retryable and not getattr(self, "never_fail", False):
            raise ended.error  # soft_fail does not apply to an error that a retry may resolve
        if ended.error is not None:
            fail_or_skip(self, AirflowFailException(ended.message))
        if ended.url:
            context["ti"].xcom_push(key=XCOM_URL, value=ended.url)
        self._conclude(ended.outcome.value, ended.message)

    @property
    def _execution_timeout_is_shorter(self) -> bool:
        return self.execution_timeout is not None and self.execution_timeout.total_seconds() < self.timeout

    def _conclude(self, outcome: str, message: str) -> bool:
        """Return whether the wait is over successfully; raise the exception of any other outcome that ends it."""
        if outcome == "failed":
            fail_or_skip(self, DagRunFailedError(message))
        if outcome == "skipped":
            from astro_provider.airflow_versions import AirflowSkipException

            raise AirflowSkipException(message)
        return outcome == "success"

"""Waiting of a sensor on a worker, and its end after a deferral."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.errors import AstroError, DagRunFailedError, UnexpectedEventError
from astro_provider.api.message import subject_message
from astro_provider.links import XCOM_URL
from astro_provider.sensors.poke_interval import PokeIntervalMixin
from astro_provider.task_errors import fail_or_skip, final_errors, skip_task
from astro_provider.tasks.deferral_timeout import DeferralTimeoutMixin
from astro_provider.tasks.execution_timeout import timed_out
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.start_from_trigger import StartFromTriggerMixin

if TYPE_CHECKING:
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


class WaitingSensor(DeferralTimeoutMixin, StartFromTriggerMixin, PokeIntervalMixin):
    """
    Base class that waits on a worker, and ends the task as the wait has ended.

    A subclass says what is waited for (``_wait``, ``_subject``) and how to defer (``_defer``).
    """

    http_conn_id: str
    # What a running task knows; class attributes, because Airflow makes setting an attribute of a task expensive.
    _tolerance: Tolerance | None = None
    _progress: Progress | None = None
    _url: str | None = None
    _refused = False
    _was_rescheduled = False
    _hook: AstroHook | None = None  # keeps its connection to the target between checks
    _is_restarted = False
    _is_resumed = False

    def _wait(self, context: Context) -> RunWait:
        """Make the wait from the rendered fields."""
        raise NotImplementedError

    @property
    def _last_seen(self) -> str:
        """The message of the last check."""
        last = self._progress.last if self._progress else None
        return last.message if last else subject_message("No answer yet", self._subject)

    def _defer(self, context: Context) -> None:
        """Defer to the triggerer."""
        raise NotImplementedError

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
        from astro_provider.airflow_versions import (
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
            was_rescheduled,
        )
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
        except AirflowSkipException as skip:
            if not skip.args:  # the log has the reason
                raise
            # Airflow skips instead of failing: because of the cause, or without one, because of the timeout.
            self._end(skip.__cause__ or AirflowSensorTimeout())
        except (AirflowSensorTimeout, AirflowTaskTimeout) as error:
            self._end(error)
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
        from astro_provider.airflow_versions import AirflowFailException

        gives_up_at = time.time() + self.timeout
        try:
            with final_errors(self._subject, self.log.info):
                while (verdict := self._check(context)) is None:
                    if not self._refused or not (self.reschedule or self.deferrable) or time.time() >= gives_up_at:
                        return False
                    time.sleep(REFUSED_PAUSE_SECONDS)
        except AirflowFailException as error:
            fail_or_skip(self, error, self._subject)
        if verdict.url and verdict.url != self._url:
            self._url = verdict.url
            context["ti"].xcom_push(key=XCOM_URL, value=verdict.url)
        return self._conclude(verdict.outcome, verdict.message)

    def _check(self, context: Context) -> Verdict | None:
        """Check; return ``None`` after an error that the wait tolerates."""
        from astro_provider.waits.transient import Tolerance, is_refusal

        tolerance = self._tolerance = self._tolerance or Tolerance()
        try:
            verdict = self._check_once(context)
        except AstroError as error:
            if not tolerance.tolerates(error, self._log_tolerated_error):
                raise
            self._refused = is_refusal(error)
            return None
        if tolerance.note_answer():
            self._log_answer()
        self._refused = False
        return verdict

    def _check_once(self, context: Context) -> Verdict:
        """Check, and log what is new; raise any error of the target."""
        from astro_provider.waits.hints import Hints
        from astro_provider.waits.loop import Progress

        if self._progress is None:
            # A rescheduled sensor is a new process, which does not know when the last hint was given.
            hints = None if self._was_rescheduled else Hints()
            self._progress = Progress(self._log_verdict, hints)
        wait = self._wait(context)
        hook = self._open_hook()
        return hook.run(self._progress.check(hook.client, wait))

    def _log_verdict(self, verdict: Verdict) -> None:
        if verdict.outcome in ("pending", "success"):  # any other is the message of the task's exception
            self.log.info("%s", verdict.explained)

    def _log_tolerated_error(self, error: AstroError) -> None:
        from astro_provider.waits.loop import still_waiting

        self.log.warning("%s", still_waiting(self._subject, error))

    def _log_answer(self) -> None:
        from astro_provider.waits.loop import answers_again

        self.log.warning("%s", answers_again(self._subject, self._open_hook().deployment))

    def _open_hook(self) -> AstroHook:
        if self._hook is None:
            from astro_provider.hooks.astro import AstroHook

            self._hook = AstroHook(rendered_id("http_conn_id", self.http_conn_id))
            self._hook.warns_of_expiry = not (self._was_rescheduled or self._is_resumed)
        if self._refused:
            self._hook.reload_connection()
        return self._hook

    def _deferral_limits(self, context: Context) -> tuple[float, timedelta]:
        """Return the deadline of the trigger, in seconds since the epoch, and the ``timeout`` of the deferral."""
        from astro_provider.tasks.execution_timeout import deferral_limits

        deadline, timeout = time.time() + self.timeout, timedelta(seconds=self.timeout) + BACKSTOP
        if self._execution_timeout_is_shorter:
            limit, limit_timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
            deadline, timeout = limit or deadline, limit_timeout or timeout
        return deadline, timeout

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
            fail_or_skip(self, AirflowFailException(str(error)), self._subject)
        if ended.outcome in (EventOutcome.RESTART, EventOutcome.SUCCESS):
            self.log.info("%s", ended.message)
        if ended.outcome is EventOutcome.RESTART:
            self._is_restarted = True
            self.execute(context)
        else:
            self._is_resumed = True
            self._resume(context, ended)

    def _resume(self, context: Context, ended: WaitEvent) -> None:
        from astro_provider.airflow_versions import AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout
        from astro_provider.triggers.events import EventOutcome

        if ended.outcome is EventOutcome.TIMEOUT:
            error = AirflowTaskTimeout() if self._execution_timeout_is_shorter else AirflowSensorTimeout()
            self._end(error, ended.message)
        if ended.error is not None and ended.error.retryable and not getattr(self, "never_fail", False):
            with final_errors(self._subject, self.log.info):
                raise ended.error  # soft_fail does not apply to an error that a retry may resolve
        if ended.error is not None:
            fail_or_skip(self, AirflowFailException(ended.message), self._subject)
        if ended.url:
            context["ti"].xcom_push(key=XCOM_URL, value=ended.url)
        self._conclude(ended.outcome.value, ended.message)

    def _end(self, error: BaseException, last_seen: str | None = None) -> NoReturn:
        """
        End the sensor with an error.

        :param error: the error; a timeout gets its message here
        :param last_seen: the message of the last check, by default of the last one on this worker
        """
        from astro_provider.airflow_versions import AirflowSensorTimeout, AirflowTaskTimeout

        seen = last_seen or self._last_seen
        if isinstance(error, AirflowTaskTimeout):
            error.args = (timed_out(seen, self.execution_timeout, "execution_timeout"),)
        elif isinstance(error, AirflowSensorTimeout):
            error.args = (timed_out(seen, self.timeout, "timeout"),)
        fail_or_skip(self, error, self._subject)

    @property
    def _execution_timeout_is_shorter(self) -> bool:
        return self.execution_timeout is not None and self.execution_timeout.total_seconds() < self.timeout

    def _conclude(self, outcome: str, message: str) -> bool:
        """Return whether the wait is over successfully; raise the exception of any other outcome that ends it."""
        if outcome == "failed":
            fail_or_skip(self, DagRunFailedError(message), self._subject)
        if outcome == "skipped":
            skip_task(message, self.log.info)
        return outcome == "success"

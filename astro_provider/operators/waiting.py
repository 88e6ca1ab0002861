"""The base of the operators that wait for a dag run which they created, reset or found, on a worker or deferred."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import CAN_START_FROM_TRIGGER, BaseOperator
from astro_provider.api.durations import poke_interval_seconds
from astro_provider.api.errors import DagRunFailedError, InvalidParameterError, UnexpectedEventError
from astro_provider.api.message import dag_subject, first_line, outcome_message, with_details
from astro_provider.api.states import DAG_RUN_STATES, checked_states
from astro_provider.links import XCOM_RUN_ID, XCOM_URL, RemoteDagRunLink
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.deferral_timeout import DeferralTimeoutMixin
from astro_provider.tasks.lineage import RunLineageMixin
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import JSON, DagRun
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.waits.wait import RunWait, Verdict


class RunWaitingOperator(DeferralTimeoutMixin, RunLineageMixin, BaseOperator):
    """
    Base of the operators that end with the outcome of a dag run in another Deployment.

    A subclass implements ``execute``, which finds the run and returns the result of :meth:`_finish`.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param wait_for_completion: whether to wait for the run (a template that the subclass reads)
    :param poke_interval: longest interval between two checks in seconds, or a ``timedelta``
    :param allowed_states: states of the run with which this task succeeds, by default ``["success"]``
    :param failed_states: states of the run with which this task fails, by default ``["failed"]``, unless
        ``allowed_states`` has it
    :param cancel_on_kill: whether to cancel the run if this task is ended while it waits
    :param deferrable: whether to wait in the triggerer
    :raise ParameterError: ``poke_interval`` or a state is invalid, or a state is in both lists
    """

    operator_extra_links = (RemoteDagRunLink(),)
    ui_color = "#e9e4ff"

    def __init__(
        self,
        *,
        http_conn_id: str,
        wait_for_completion: bool | str,
        poke_interval: float | timedelta,
        allowed_states: Sequence[str] | None,
        failed_states: Sequence[str] | None,
        cancel_on_kill: bool,
        deferrable: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.http_conn_id = http_conn_id
        self.wait_for_completion = wait_for_completion
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self._waiting_for: DagRun | None = None
        self._attached = False
        self._context: Context | None = None
        with parameter_errors():
            self.poke_interval = poke_interval_seconds(poke_interval)
            self.allowed_states = checked_states("allowed_states", allowed_states, DAG_RUN_STATES, ("success",))
            default_failed = () if "failed" in self.allowed_states else ("failed",)
            self.failed_states = checked_states("failed_states", failed_states, DAG_RUN_STATES, default_failed)
            if both := set(self.allowed_states) & set(self.failed_states):
                raise InvalidParameterError(f"allowed_states and failed_states both have {', '.join(sorted(both))}")

    @property
    def _subject(self) -> str:
        """What the task is about, in messages."""
        return dag_subject(str(self._remote_dag_id))

    def _finish(
        self, hook: AstroHook, run: DagRun, context: Context, *, url: str, waits: bool, attached: bool = False
    ) -> DagRun:
        """
        Push the XComs of a run and, if this task waits for it, wait on the worker or defer.

        :param hook: the target
        :param run: the run as it was last seen
        :param context: the task's context
        :param url: URL of the run in the target's UI
        :param waits: whether to wait for the run
        :param attached: whether the task neither created nor reset the run, so that it does not cancel it
        :return: the run as it was last seen
        """
        self._context, self._attached = context, attached
        self._remember_run(run, url)
        context["ti"].xcom_push(key=XCOM_RUN_ID, value=run["dag_run_id"])
        context["ti"].xcom_push(key=XCOM_URL, value=url)
        if not waits:
            if self.deferrable and not CAN_START_FROM_TRIGGER:
                self.log.info("deferrable has no effect without wait_for_completion before Airflow 3.3")
            return run
        if self.deferrable and run["state"] not in self._end_states:
            self._defer(run, context)
        return self._wait(hook, run)

    def _result_of(self, run: DagRun) -> DagRun | JSON:
        """
        Return the result of a task that was resumed after its run has succeeded: the run, unless a subclass reads one.

        :param run: the run as it was last seen
        """
        return run

    @property
    def _cancels(self) -> bool:
        """Whether to cancel the run when this task is ended: only a run that the task created or reset."""
        return self.cancel_on_kill and not self._attached

    def _defer(self, run: DagRun, context: Context) -> None:
        from astro_provider.tasks.execution_timeout import deferral_limits
        from astro_provider.triggers.dag_run import AstroDagRunTrigger

        deadline, timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
        self.defer(
            trigger=AstroDagRunTrigger(
                http_conn_id=rendered_id("http_conn_id", self.http_conn_id),
                wait=self._run_wait(run),
                poke_interval=self.poke_interval,
                deadline=deadline,
                cancel_on_kill=self._cancels,
                started_at=time.time(),
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> DagRun | JSON:
        """
        Finish the task after its trigger has ended, or do all of it if the trigger could not.

        :param context: the task's context
        :param event: the payload of the trigger's event, see :func:`astro_provider.triggers.events.read_event`
        :return: the result of the task, see ``execute``
        :raise AirflowSkipException: an existing run with ``on_existing_run="skip"``
        :raise DagRunFailedError: the run ended in one of ``failed_states``
        :raise AirflowTaskTimeout: the run did not end within ``execution_timeout``
        :raise AirflowFailException: an error that a retry cannot help, or an event of another wait
        :raise AstroError: another error of the target
        """
        from astro_provider.airflow_versions import AirflowSkipException, AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timed_out
        from astro_provider.triggers.events import EventOutcome, read_event

        with final_errors(self._subject, self.log.info):
            ended = read_event(event)
            self._remember_run(ended.run, ended.url)
            if ended.outcome is EventOutcome.RESTART:
                self.log.info("%s", ended.message)
                self._context = context
                result: DagRun | JSON = self.execute(context)
                return result
            if ended.error:
                raise ended.error
            if ended.outcome is EventOutcome.FAILED:
                raise DagRunFailedError(ended.message)
            if ended.outcome is EventOutcome.SKIPPED:
                raise AirflowSkipException(ended.message)
            if ended.outcome is EventOutcome.TIMEOUT:
                raise AirflowTaskTimeout(timed_out(ended.message, self.execution_timeout, "execution_timeout"))
            if ended.outcome is not EventOutcome.SUCCESS or ended.run is None:
                raise UnexpectedEventError(f"The task was resumed with an event of another wait: {ended.message}")
            self.log.info("%s", ended.message)
            return self._result_of(ended.run)

    def _run_wait(self, run: DagRun) -> RunWait:
        from astro_provider.waits.wait import EndStates, RunWait

        states = EndStates(self.allowed_states, self.failed_states)
        return RunWait(dag_id=run["dag_id"], end_states=states, run_id=run["dag_run_id"], must_exist=True)

    def _wait(self, hook: AstroHook, run: DagRun) -> DagRun:
        from astro_provider.airflow_versions import AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timed_out
        from astro_provider.waits.loop import watch

        wait = self._run_wait(run)
        url = hook.client.run_url(run["dag_id"], run["dag_run_id"])
        last = outcome_message(
            run["state"].capitalize(), run["dag_id"], where=hook.deployment, run_id=run["dag_run_id"], url=url
        )

        def on_change(verdict: Verdict) -> None:
            nonlocal last
            last = verdict.message
            self._remember_run(verdict.run)
            self.log.info("%s", verdict.explained)

        self._waiting_for = run
        try:
            verdict = hook.run(
                watch(
                    hook.client,
                    wait,
                    poke_interval=self.poke_interval,
                    deadline=None,
                    on_change=on_change,
                    warn=self.log.warning,
                )
            )
        except AirflowTaskTimeout:
            # on_kill, which Airflow calls next, would not cancel the run: it cancels only if a user ended the task, but
            # the state of the task is still "running".
            self._waiting_for = None
            last_seen = with_details(last, first_line(self._cancel(run))) if self._cancels else last
            raise AirflowTaskTimeout(timed_out(last_seen, self.execution_timeout, "execution_timeout")) from None
        self._waiting_for = None
        self._remember_run(verdict.run)
        if verdict.outcome != "success" or verdict.run is None:
            raise DagRunFailedError(verdict.message)
        return verdict.run

    def on_kill(self) -> None:
        """Cancel the remote run if a user ends this task while it waits on a worker. Airflow calls this method."""
        from astro_provider.tasks.task_state import ended_by_user

        run, self._waiting_for = self._waiting_for, None
        if run is None or not self._cancels or self._context is None:
            return
        if ended_by_user(self._context["ti"]):
            self._cancel(run)
        else:
            from astro_provider.tasks.cancel import not_cancelled

            self.log.info("%s", not_cancelled(run["dag_id"], run["dag_run_id"], "no user ended this task"))

    def _cancel(self, run: DagRun) -> str:
        from astro_provider.tasks.cancel import cancel_on_worker

        http_conn_id = rendered_id("http_conn_id", self.http_conn_id)
        return cancel_on_worker(http_conn_id, run["dag_id"], run["dag_run_id"], self.log, end_states=self._end_states)

    @property
    def _end_states(self) -> tuple[str, ...]:
        return (*self.allowed_states, *self.failed_states)

"""The operator that creates a backfill in a target Deployment, and waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BaseOperator
from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.durations import poke_interval_seconds
from astro_provider.api.errors import DagRunFailedError, UnexpectedEventError
from astro_provider.api.message import dag_subject, first_line, with_details
from astro_provider.links import XCOM_BACKFILL_ID, XCOM_BACKFILL_URL, RemoteBackfillLink
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.backfill_request import BACKFILL_FIELDS, check_backfill_fields, read_backfill_request
from astro_provider.tasks.deferral_timeout import DeferralTimeoutMixin
from astro_provider.tasks.lineage import BackfillLineageMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import Backfill, BackfillResult
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.backfill_request import ReprocessBehavior
    from astro_provider.waits.backfill import BackfillVerdict, BackfillWait

DEFAULT_POKE_INTERVAL_SECONDS = 30.0
"""A check takes a request for each hundred runs, and Airflow completes a backfill only every 30 seconds."""


class AstroBackfillOperator(DeferralTimeoutMixin, BackfillLineageMixin, BaseOperator):
    """
    Creates a backfill in another Deployment (``POST backfills``, Airflow 3.0 and later) and, on request, waits for it.

    The target creates a run for each date of the dag's schedule from ``from_date`` to ``to_date``. The task succeeds if
    all runs of the backfill succeed; otherwise, its error names the failed runs, and the failed tasks of the first one.
    If no date needs a run, the task succeeds, too, and the log says so.

    Returns the backfill as a dict. With ``wait_for_completion``, it has ``total_runs``, ``succeeded_runs`` and
    ``failed_runs`` (run ids) in addition. Pushes the XComs ``backfill_id`` and ``remote_backfill_url``; the second is
    the target of the extra link "Remote backfill".

    * A dag can have one running backfill. If somebody else's is running, this task fails without retries, and names it.
    * A retry continues with the backfill of an earlier try instead of creating a second one: the newest one of the dag
      with the same parameters that was created since the first try started.
    * If runs of that backfill have failed (or were cancelled), and this task waits, the retry creates another backfill
      with ``reprocess_behavior="failed"``: it runs the failed runs of these dates again, whole. The result then counts
      only these runs.
    * A task that was cleared creates a new backfill. With ``reprocess_behavior="none"``, it runs the failed runs again
      if runs of the task's earlier backfill have failed; dates whose run succeeded are left as they are.
    * The runs of a dag that is paused in the target stay queued until somebody unpauses it; the log says so.
    * Airflow marks a backfill as completed up to 30 seconds after its last run has finished. The task waits for this,
      because the target refuses another backfill of the dag until then.

    :param external_dag_id: id of the dag in the target, which must have a schedule (templated)
    :param from_date: the first logical date (templated). This and ``to_date`` are a datetime or ISO 8601 text, UTC
        without an offset
    :param to_date: the last logical date, inclusive (templated). A day without a time means midnight, so that a run
        later on that day is not part of the backfill
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    :param reprocess_behavior: what happens to a date that has a run already (templated): ``"none"`` (the default; the
        run is left as it is), ``"failed"`` (it runs again if it has failed) or ``"completed"`` (it runs again if it has
        finished). A run that is queued or running is always left as it is. If tasks of the dag depend on past runs, the
        target refuses ``"none"``
    :param max_active_runs: how many runs of the backfill run at the same time, by default 10, as in Airflow (templated)
    :param run_backwards: whether the latest date runs first, by default ``False`` (templated)
    :param dag_run_conf: conf of the runs: a dict, or the JSON text of one (templated). By default, new runs have none,
        and runs that run again keep theirs
    :param wait_for_completion: whether to wait until the backfill is over, by default ``False`` (templated)
    :param poke_interval: longest interval between two checks in seconds, or a ``timedelta``, by default 30. The
        interval is one second at first, then a tenth of the time waited
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :param cancel_on_kill: whether to cancel the backfill if a user marks, clears or kills this task while it waits, or
        if the task exceeds its ``execution_timeout``; by default ``True``. Its queued and its running runs are marked
        failed. A worker or triggerer that restarts cancels nothing
    """

    template_fields: Sequence[str] = BACKFILL_FIELDS
    template_fields_renderers = {"dag_run_conf": "json"}
    operator_extra_links = (RemoteBackfillLink(),)
    ui_color = "#e9e4ff"

    def __init__(
        self,
        *,
        external_dag_id: str,
        from_date: datetime | str,
        to_date: datetime | str,
        http_conn_id: str = "http_conn",
        reprocess_behavior: ReprocessBehavior | str = "none",
        max_active_runs: int | str = 10,
        run_backwards: bool | str = False,
        dag_run_conf: Mapping[str, Any] | str | None = None,
        wait_for_completion: bool | str = False,
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL_SECONDS,
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.external_dag_id = external_dag_id
        self.from_date = from_date
        self.to_date = to_date
        self.http_conn_id = http_conn_id
        self.reprocess_behavior = reprocess_behavior
        self.max_active_runs = max_active_runs
        self.run_backwards = run_backwards
        self.dag_run_conf = dag_run_conf
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self._waiting_for: BackfillWait | None = None
        self._context: Context | None = None
        with parameter_errors():
            self.poke_interval = poke_interval_seconds(poke_interval)
            check_backfill_fields(self)

    def execute(self, context: Context) -> Backfill | BackfillResult:
        """
        Create the backfill and, if ``wait_for_completion`` is set, wait for it on the worker or in the triggerer.

        :return: the backfill; if the task waits, with the numbers of its runs
        :raise AirflowFailException: an error that a retry cannot help: a request that the target refuses, such as one
            for a dag without a schedule, an Airflow 2 target, an invalid parameter, another backfill that is running
        :raise DagRunFailedError: a run of the backfill failed
        :raise AirflowTaskTimeout: the backfill was not over within ``execution_timeout``
        :raise AstroError: another error of the target
        """
        from astro_provider.hooks.astro import AstroHook
        from astro_provider.tasks.create_backfill import earlier_tries, ensure_backfill
        from astro_provider.waits.backfill import BackfillWait, backfills_url

        self._context = context
        with final_errors(self._subject, self.log.info):
            request = read_backfill_request(self)
            earlier = earlier_tries(context, retries=self.retries or 0)
        with final_errors(self._subject, self.log.info), AstroHook(request.http_conn_id) as hook:
            flow = ensure_backfill(hook.client, request, earlier, log=self.log.info, warn=self.log.warning)
            backfill = hook.run(flow)
            wait = BackfillWait.of(backfill)
            url = backfills_url(hook.client, wait.dag_id)
            self._remember_backfill(wait.backfill_id, url)
            context["ti"].xcom_push(key=XCOM_BACKFILL_ID, value=wait.backfill_id)
            context["ti"].xcom_push(key=XCOM_BACKFILL_URL, value=url)
            if not request.waits:
                return backfill
            if self.deferrable and backfill["completed_at"] is None:
                self._defer(wait, request.http_conn_id, context)
            return self._wait(hook, wait)

    @property
    def _subject(self) -> str:
        return dag_subject(str(self.external_dag_id))

    def _defer(self, wait: BackfillWait, http_conn_id: str, context: Context) -> None:
        from astro_provider.tasks.execution_timeout import deferral_limits
        from astro_provider.triggers.backfill import AstroBackfillTrigger

        deadline, timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
        self.defer(
            trigger=AstroBackfillTrigger(
                http_conn_id=http_conn_id,
                wait=wait,
                poke_interval=self.poke_interval,
                deadline=deadline,
                cancel_on_kill=self.cancel_on_kill,
                started_at=time.time(),
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> BackfillResult:
        """
        Finish the task after its trigger has ended.

        :param context: the task's context
        :param event: the payload of the trigger's event, see
            :class:`astro_provider.triggers.backfill.BackfillEventPayload`
        :return: the backfill with the numbers of its runs
        :raise DagRunFailedError: a run of the backfill failed
        :raise AirflowTaskTimeout: the backfill was not over within ``execution_timeout``
        :raise AirflowFailException: an error that a retry cannot help, or an event of another wait
        :raise AstroError: another error of the target
        """
        from astro_provider.airflow_versions import AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timed_out
        from astro_provider.triggers.events import EventOutcome, read_event

        with final_errors(self._subject, self.log.info):
            ended = read_event(event)
            result: BackfillResult | None = event.get("backfill")
            if result is not None:
                self._remember_backfill(result["id"], ended.url)
            if ended.error:
                raise ended.error
            if ended.outcome is EventOutcome.FAILED:
                raise DagRunFailedError(ended.message)
            if ended.outcome is EventOutcome.TIMEOUT:
                raise AirflowTaskTimeout(timed_out(ended.message, self.execution_timeout, "execution_timeout"))
            if ended.outcome is not EventOutcome.SUCCESS or result is None:
                raise UnexpectedEventError(f"The task was resumed with an event of another wait: {ended.message}")
        self.log.info("%s", ended.message)
        return result

    def _wait(self, hook: AstroHook, wait: BackfillWait) -> BackfillResult:
        from astro_provider.airflow_versions import AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timed_out
        from astro_provider.waits.backfill import watch_backfill

        last = wait.unseen

        def on_change(verdict: BackfillVerdict) -> None:
            nonlocal last
            last = verdict.message
            self.log.info("%s", last)

        self._waiting_for = wait
        flow = watch_backfill(
            hook.client, wait, poke_interval=self.poke_interval, on_change=on_change, warn=self.log.warning
        )
        try:
            verdict = hook.run(flow)
        except AirflowTaskTimeout:
            # on_kill, which Airflow calls next, would not cancel the backfill, because the task is still "running".
            self._waiting_for = None
            last_seen = with_details(last, first_line(self._cancel(wait))) if self.cancel_on_kill else last
            raise AirflowTaskTimeout(timed_out(last_seen, self.execution_timeout, "execution_timeout")) from None
        self._waiting_for = None
        if verdict.result is None or verdict.outcome != "success":
            raise DagRunFailedError(verdict.message)
        return verdict.result

    def on_kill(self) -> None:
        """Cancel the backfill if a user ends this task while it waits on a worker. Airflow calls this method."""
        from astro_provider.tasks.task_state import ended_by_user

        wait, self._waiting_for = self._waiting_for, None
        if wait is None or not self.cancel_on_kill or self._context is None:
            return
        if ended_by_user(self._context["ti"]):
            self._cancel(wait)
        else:
            from astro_provider.tasks.cancel_backfill import backfill_not_cancelled

            self.log.info("%s", backfill_not_cancelled(wait, "no user ended this task"))

    def _cancel(self, wait: BackfillWait) -> str:
        from astro_provider.tasks.cancel_backfill import cancel_backfill_on_worker

        return cancel_backfill_on_worker(str(self.http_conn_id), wait, self.log)

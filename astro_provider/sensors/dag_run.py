"""The sensor that waits for a dag run in a target Deployment."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import AIRFLOW_VERSION, BaseSensorOperator, was_rescheduled
from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds, timeout_seconds
from astro_provider.api.errors import AstroError, DagRunFailedError, InvalidParameterError, UnexpectedEventError
from astro_provider.api.states import DAG_RUN_STATES, checked_states
from astro_provider.links import XCOM_URL, RemoteDagRunLink
from astro_provider.sensors.start import BACKSTOP, OfTask, needs_worker, start_trigger_args, starts_in_triggerer
from astro_provider.task_errors import fail_or_skip, final_errors
from astro_provider.tasks import sensor_fields
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.triggers.events import WaitEvent
    from astro_provider.waits.hints import Hints
    from astro_provider.waits.transient import Tolerance
    from astro_provider.waits.wait import RunWait, Verdict

REFUSED_PAUSE_SECONDS = 10.0
"""How long a sensor that waits out a refusal on its worker pauses before it checks again."""


class AstroDagRunSensor(BaseSensorOperator):
    """
    Waits for a dag run in another Deployment.

    Which run: the one with ``external_run_id``; else the one with ``logical_date``, by default this task's own (in a
    run without one, its ``run_after``) minus ``execution_delta``, or those that ``execution_date_fn`` returns; or, with
    ``latest``, the newest one at each check. A parameter that was given and is rendered to nothing fails the sensor.
    A run that is not there yet is waited for, never taken for success.

    The link to the run is pushed as XCom ``remote_dag_run_url``, behind the extra link "Remote dag run".

    Deferrable and on Airflow 3.3 and up, it starts in the triggerer and ends there: no worker is occupied, and no slot
    of a pool is waited for. Of such a task, Airflow tells its listeners (OpenLineage) nothing, and shows no rendered
    templates: the log has what they came to. ``dag.test()`` runs it as a worker would.

    It starts on a worker, as on older Airflow, where that is needed: when it is mapped; with ``execution_date_fn``,
    ``on_execute_callback``, ``pre_execute``, ``retry_policy``, ``inlets`` or ``max_active_tis_per_dag(run)``; when a
    template names more than ``run_id``, ``params``, ``macros``, the dates and the like of ``dag_run.conf`` (an XCom, a
    Variable, a macro of the DAG's own); with Jinja options of the DAG, a Param without a value, or ``[triggerer]
    queues_enabled``; in a subclass that overrides ``execute`` or ``poke``. The log says so.

    It ends on a worker from its second try on, and where it must do more than end: call a callback, send an email, tell
    of ``outlets``, stop a DAG with ``fail_fast``, or fail in spite of ``retries`` that are left.

    :param external_dag_id: the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    :param external_run_id: the run (templated)
    :param logical_date: logical date of the run, a datetime or ISO 8601 text, UTC without an offset (templated)
    :param execution_delta: how much earlier than this task's own logical date that of the run is
    :param execution_date_fn: called with this task's logical date (in a run without one, its ``run_after``) and, by
        name, with what it takes of the context, as ``ExternalTaskSensor`` does; returns the logical date of the run,
        or a list of several, all of which are waited for
    :param latest: wait for the newest run (of those whose time has come)
    :param allowed_states: states that end the wait well, by default ``success``
    :param failed_states: states that fail the sensor at once, by default ``failed``
    :param skipped_states: states that skip it, by default none
    :param check_existence: fail when the dag is not there, rather than wait for it
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :param poke_interval: seconds between two checks, or a ``timedelta``; 5 by default, at least 0.5 (less is raised to
        that)
    :param start_from_trigger: whether a deferrable sensor may start in the triggerer (see above), by default ``True``
    """

    run_fields: Sequence[str] = ("external_dag_id", "http_conn_id", "external_run_id", "logical_date")
    """The fields that say what is waited for."""

    template_fields: Sequence[str] = run_fields
    operator_extra_links = (RemoteDagRunLink(),)
    ui_color = "#dbe9ff"
    start_from_trigger = OfTask(starts_in_triggerer, of_class=False)
    start_trigger_args = OfTask(start_trigger_args, of_class=None)
    may_start_from_trigger = False  # until all else is known
    _states: tuple[str, ...] = DAG_RUN_STATES
    _default_failed_states: tuple[str, ...] = ("failed",)

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
        start_from_trigger: bool = True,
        **kwargs: Any,
    ) -> None:
        if "timeout" in kwargs:
            kwargs["timeout"] = timeout_seconds(kwargs["timeout"])
        super().__init__(poke_interval=poke_interval_seconds(poke_interval), **kwargs)
        self.external_dag_id = external_dag_id
        self.http_conn_id = http_conn_id
        self.external_run_id = external_run_id
        self.logical_date = logical_date
        self.execution_delta = execution_delta
        self.execution_date_fn = execution_date_fn
        self.latest = latest
        self.allowed_states = checked_states("allowed_states", allowed_states, self._states, ("success",))
        self.skipped_states = checked_states("skipped_states", skipped_states, self._states, ())
        self.failed_states = checked_states(
            "failed_states",
            failed_states,
            self._states,
            tuple(
                state
                for state in self._default_failed_states
                if state not in (*self.allowed_states, *self.skipped_states)
            ),
        )
        self.check_existence = check_existence
        self.deferrable = deferrable
        self._given = {field for field in ("external_run_id", "logical_date") if getattr(self, field) is not None}
        self._check_parameters()
        self.may_start_from_trigger = start_from_trigger
        self._patience: Tolerance | None = None
        self._last: Verdict | None = None
        self._refused = False
        self._was_rescheduled = False
        self._hints: Hints | None = None
        self._opened: AstroHook | None = None

    def _check_parameters(self) -> None:
        """Refuse, when the DAG file is parsed, what can be known to be wrong by then."""
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
        Wait, here or in the triggerer.

        :raise DagRunFailedError: a run is in one of ``failed_states`` (skips with ``soft_fail``)
        :raise AirflowSkipException: a run is in one of ``skipped_states``
        :raise AirflowSensorTimeout: ``timeout`` is over (skips with ``soft_fail``)
        :raise AirflowTaskTimeout: ``execution_timeout`` is over, and is shorter (skips with ``soft_fail``)
        :raise AirflowFailException: what a retry cannot help: refused, or a wrong parameter, also one that was given
            and was rendered to nothing
        """
        from astro_provider.airflow_versions import AirflowFailException
        from astro_provider.waits.transient import Tolerance

        if self.deferrable and self.may_start_from_trigger and AIRFLOW_VERSION >= (3, 3):
            is_mapped = context["ti"].map_index not in (None, -1)
            reason = "it is mapped" if is_mapped else needs_worker(self)
            self.log.info("It starts on a worker, not in the triggerer, as %s.", reason or "Airflow chose to")
        self._was_rescheduled = self.reschedule and was_rescheduled(self, context)
        self._patience = Tolerance(has_answered=self._was_rescheduled)
        try:
            if not self.deferrable:
                super().execute(context)
            elif not self.poke(context):  # it may be over already: then nothing needs to be deferred
                self._defer(context)
        except AirflowFailException as error:  # the look before deferring is none of Airflow's own loop
            fail_or_skip(self, error)
        finally:
            if self._opened is not None:
                self._opened.close()

    def poke(self, context: Context) -> bool:
        """
        Check once.

        Transient errors of the target count as "not yet". Only a process that goes on can tell for how long a target
        has refused, so a sensor that is about to be rescheduled or deferred waits out a refusal on its worker.

        :return: whether the wait is over, and well
        :raise: see :meth:`execute`
        """
        gives_up_at = time.time() + self.timeout
        with final_errors():
            while (verdict := self._checked(context)) is None:
                if not self._refused or not (self.reschedule or self.deferrable) or time.time() >= gives_up_at:
                    return False
                time.sleep(REFUSED_PAUSE_SECONDS)
        if self._last is None or verdict.hint or verdict.message != self._last.message:
            self.log.info("%s", verdict.explained)
        if verdict.url and (self._last is None or verdict.url != self._last.url):
            context["ti"].xcom_push(key=XCOM_URL, value=verdict.url)
        self._last = verdict
        return self._conclude(verdict.outcome, verdict.message)

    def _checked(self, context: Context) -> Verdict | None:
        """Check; ``None`` after an error that is tolerated."""
        from astro_provider.waits.hints import Hints
        from astro_provider.waits.transient import Tolerance, is_refusal

        if self._hints is None and not self._was_rescheduled:  # a later process does not know of earlier hints
            self._hints = Hints()
        tolerance = self._patience = self._patience or Tolerance()
        try:
            hook = self._hook()
            if self._refused:
                hook.reload_connection()
            verdict = hook.run(self._wait(context).check(hook.client, first=self._last is None, hints=self._hints))
        except AstroError as error:
            if not tolerance.tolerates(error, lambda error: self.log.warning("Still waiting: %s", error)):
                raise
            self._refused = is_refusal(error)
            return None
        tolerance.note_answer()
        self._refused = False
        return verdict

    def _hook(self) -> AstroHook:
        """Make the hook at the first check; later ones use its connection to the target again."""
        if self._opened is None:
            from astro_provider.hooks.astro import AstroHook

            self._opened = AstroHook(rendered_id("http_conn_id", self.http_conn_id))
        return self._opened

    def _wait(self, context: Context) -> RunWait:
        from astro_provider.waits.wait import EndStates, RunWait

        run_id = sensor_fields.run_id(self.external_run_id, given=self._is_given("external_run_id", context))
        return RunWait(
            dag_id=rendered_id("external_dag_id", self.external_dag_id),
            end_states=EndStates(self.allowed_states, self.failed_states, self.skipped_states),
            run_id=run_id,
            logical_dates=sensor_fields.called_with_date(self.execution_date_fn, context)
            if self.execution_date_fn
            else sensor_fields.logical_dates(
                by_other_means=run_id is not None or self.latest,
                logical_date=self.logical_date,
                given=self._is_given("logical_date", context),
                execution_delta=self.execution_delta or timedelta(),
                own=sensor_fields.own_date(context),
            ),
            latest=self.latest,
            check_existence=self.check_existence,
        )

    def _is_given(self, parameter: str, context: Context) -> bool:
        """Say whether the user gave a parameter: what a template has become at run time does not tell."""
        if parameter in self._given:
            return True
        # A mapped task is made with the values themselves, which may be None.
        mapped: dict[str, Any] = getattr(self, "_BaseOperator__init_kwargs", {})
        return parameter in mapped and context["ti"].map_index not in (None, -1)

    def _defer(self, context: Context) -> None:
        from astro_provider.tasks.execution_timeout import deferral_limits
        from astro_provider.triggers.dag_run import AstroDagRunTrigger

        wait = self._wait(context)
        deadline, timeout = time.time() + self.timeout, timedelta(seconds=self.timeout) + BACKSTOP
        if self._execution_timeout_is_shorter:
            limit, limit_timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
            deadline, timeout = limit or deadline, limit_timeout or timeout
        self.defer(
            trigger=AstroDagRunTrigger(
                http_conn_id=rendered_id("http_conn_id", self.http_conn_id),
                external_dag_id=wait.dag_id,
                external_run_id=wait.run_id,
                logical_dates=wait.logical_dates,
                latest=wait.latest,
                external_task_ids=wait.task_ids,
                external_task_group_id=wait.group_id,
                allowed_states=self.allowed_states,
                failed_states=self.failed_states,
                skipped_states=self.skipped_states,
                check_existence=self.check_existence,
                poke_interval=self.poke_interval,
                deadline=deadline,
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """
        Resume after the wait in the triggerer.

        :param context: the task's context
        :param event: see :func:`astro_provider.triggers.events.read_event`; ``changed`` begins again, as the DAG was
            changed while the sensor waited
        :raise AstroError: the wait ended with an error that a retry may help
        :raise: see :meth:`execute`
        """
        from astro_provider.airflow_versions import AirflowFailException
        from astro_provider.triggers.events import read_event

        try:
            ended = read_event(event)
        except UnexpectedEventError as error:
            fail_or_skip(self, AirflowFailException(str(error)))
        self.log.info("%s", ended.message)
        if ended.outcome == "changed":
            self.execute(context)
        else:
            self._resume(context, ended)

    def _resume(self, context: Context, ended: WaitEvent) -> None:
        from astro_provider.airflow_versions import AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout

        if ended.outcome == "timeout" and self.execution_timeout and self._execution_timeout_is_shorter:
            seconds = self.execution_timeout.total_seconds()
            fail_or_skip(self, AirflowTaskTimeout(sensor_fields.timed_out(seconds, "execution_timeout", ended.message)))
        if ended.outcome == "timeout":
            fail_or_skip(self, AirflowSensorTimeout(sensor_fields.timed_out(self.timeout, "timeout", ended.message)))
        if ended.error is not None and ended.error.retryable and not getattr(self, "never_fail", False):
            raise ended.error  # as on a worker: soft_fail is for an outcome, and this is none
        if ended.error is not None:
            fail_or_skip(self, AirflowFailException(ended.message))
        if ended.url:
            context["ti"].xcom_push(key=XCOM_URL, value=ended.url)
        self._conclude(ended.outcome, ended.message)

    @property
    def _execution_timeout_is_shorter(self) -> bool:
        return self.execution_timeout is not None and self.execution_timeout.total_seconds() < self.timeout

    def _conclude(self, outcome: str, message: str) -> bool:
        """Do what an outcome means for this task."""
        if outcome == "failed":
            fail_or_skip(self, DagRunFailedError(message))
        if outcome == "skipped":
            from astro_provider.airflow_versions import AirflowSkipException

            raise AirflowSkipException(message)
        return outcome == "success"

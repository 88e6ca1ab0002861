"""The operator that triggers a dag run in a target Deployment, and waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BaseOperator
from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds
from astro_provider.api.errors import DagRunFailedError, InvalidParameterError, UnexpectedEventError
from astro_provider.api.states import DAG_RUN_STATES, checked_states
from astro_provider.links import XCOM_RUN_ID, XCOM_URL, RemoteDagRunLink
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.existing_run import ON_EXISTING_RUN
from astro_provider.tasks.own_run import note_attached, own_run
from astro_provider.tasks.rendered import as_bool, as_choice, as_text, is_resolved_later, rendered_id
from astro_provider.tasks.run_conf import check_conf, run_conf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import DagRun
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.own_run import OwnRun
    from astro_provider.waits.wait import Verdict

IF_PAUSED = ("trigger", "unpause", "fail")


class AstroTriggerDagRunOperator(BaseOperator):
    """
    Triggers a dag run in another Deployment; with ``wait_for_completion``, waits for it and brings its outcome home.

    Retrying is safe. Without ``trigger_run_id``, the run id is derived from this Deployment, dag, run, task, map
    index and the first try since the task was last cleared, so that a retry finds the run of an earlier try and goes
    on with it. If that run has failed meanwhile and this task waits for it, the tasks that failed in it run again,
    and those that were skipped because the run was cancelled or timed out; its successes and branches stay. A request
    whose answer is lost is sent again. (Before Airflow 3.3, which keeps a note for the retry, the run id changes if
    ``retries`` is changed between two tries. There, a retry after a clear also cannot tell a finished run with a given
    run id of before the clear from one of after it, and treats it as ``on_existing_run`` says. Nor can a retry with a
    given run id and ``on_existing_run="attach"`` tell whether an earlier try created the run or attached to it, so it
    clears nothing in it.)

    After a clear of this task, a new run is created; but for Airflow, clearing a task that runs on a worker at that
    moment is a retry. With a ``logical_date``, of which a dag can have only one run, the run of before the clear is
    reset instead and runs again, with the conf, note and dates that it was created with.

    Returns the remote dag run, as it was last seen; pushes the XComs ``trigger_run_id`` and ``remote_dag_run_url``
    (behind the extra link "Remote dag run"). Dates are datetimes or ISO 8601 text, UTC where they have no offset.

    :param trigger_dag_id: the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    :param trigger_run_id: run id of the new run (templated); derived by default, with at most 200 characters
    :param logical_date: logical date of the new run (templated). ``None``, ``""`` and ``"None"`` mean none; an
        Airflow 2 target takes the current time then
    :param data_interval_start: start of its data interval, together with its end (templated)
    :param data_interval_end: end of its data interval (templated)
    :param run_after: earliest time at which it may start (templated; Airflow 3 targets)
    :param conf: its conf, a dict or JSON text (templated); sequences, such as the results of a mapped task, are lists
    :param note: a note on it (templated)
    :param partition_key: its partition (templated; Airflow 3.2+ targets)
    :param wait_for_completion: whether to wait until it is in one of ``allowed_states`` or ``failed_states``, by
        default not (templated: ``true``, ``false``, ``1``, ``0`` and the like)
    :param poke_interval: seconds between two checks while waiting, or a ``timedelta``; at least 0.5, less is raised to
        that
    :param allowed_states: states that end the wait well, by default ``success``
    :param failed_states: states that fail this task, by default ``failed`` (unless that is allowed)
    :param on_existing_run: what to do if the run that it would create exists already (the same run id, or the same
        logical date) and was not created by a try of this task since it was last cleared, as far as can be told:
        ``"fail"`` for good (the default), ``"attach"`` to that run, ``"reset"`` it (clear it and let it run again),
        or ``"skip"`` this task (templated). The run keeps the conf, note and dates that it was created with
    :param if_paused: what to do if the dag is paused in the target: ``"trigger"`` anyway (the default; the run stays
        queued), ``"unpause"`` it first, or ``"fail"`` (templated). The last two take one more request
    :param cancel_on_kill: whether a user who marks, clears or kills this task while it waits, or its
        ``execution_timeout``, cancels the remote run too. Only a run that this task created or reset is cancelled,
        never one that it attached to. A worker or triggerer that restarts, or hands its triggers over, cancels nothing.
        (On Airflow 3, a worker that was frozen until its heartbeat timed out on the last try of the task cancels the
        run, because Airflow shows a task no difference to a user who marks it failed)
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :param openlineage_inject_parent_info: whether the run's conf gets OpenLineage's parent facts, where the
        OpenLineage provider is there and active
    """

    template_fields: Sequence[str] = (
        "trigger_dag_id",
        "http_conn_id",
        "trigger_run_id",
        "logical_date",
        "data_interval_start",
        "data_interval_end",
        "run_after",
        "conf",
        "note",
        "partition_key",
        "wait_for_completion",
        "on_existing_run",
        "if_paused",
    )
    template_fields_renderers = {"conf": "json"}
    operator_extra_links = (RemoteDagRunLink(),)
    ui_color = "#e9e4ff"

    def __init__(
        self,
        *,
        trigger_dag_id: str,
        http_conn_id: str = "http_conn",
        trigger_run_id: str | None = None,
        logical_date: datetime | str | None = None,
        data_interval_start: datetime | str | None = None,
        data_interval_end: datetime | str | None = None,
        run_after: datetime | str | None = None,
        conf: Mapping[str, Any] | str | None = None,
        note: str | None = None,
        partition_key: str | None = None,
        wait_for_completion: bool | str = False,
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL_SECONDS,
        allowed_states: Sequence[str] | None = None,
        failed_states: Sequence[str] | None = None,
        on_existing_run: str = "fail",
        if_paused: str = "trigger",
        cancel_on_kill: bool = True,
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
        openlineage_inject_parent_info: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.trigger_dag_id = trigger_dag_id
        self.http_conn_id = http_conn_id
        self.trigger_run_id = trigger_run_id
        self.logical_date = logical_date
        self.data_interval_start = data_interval_start
        self.data_interval_end = data_interval_end
        self.run_after = run_after
        self.conf = conf
        self.note = note
        self.partition_key = partition_key
        self.wait_for_completion = wait_for_completion
        self.on_existing_run = on_existing_run
        self.if_paused = if_paused
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self.openlineage_inject_parent_info = openlineage_inject_parent_info
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
            self._read_choices(rendered=False)
            check_conf(conf)

    def _read_choices(self, *, rendered: bool) -> None:
        if rendered or not is_resolved_later(self.wait_for_completion):
            self.wait_for_completion = as_bool("wait_for_completion", self.wait_for_completion)
        for parameter, choices in (("on_existing_run", ON_EXISTING_RUN), ("if_paused", IF_PAUSED)):
            value = getattr(self, parameter)
            if rendered or not is_resolved_later(value):
                setattr(self, parameter, as_choice(parameter, value, choices))

    def _read_ids(self) -> None:
        for name in ("trigger_dag_id", "http_conn_id"):
            setattr(self, name, rendered_id(name, getattr(self, name)))
        for name in ("trigger_run_id", "note", "partition_key"):
            setattr(self, name, as_text(getattr(self, name)))
        self.partition_key = self.partition_key or None

    def execute(self, context: Context) -> DagRun | None:
        """
        Trigger the run; wait for it, here or in the triggerer.

        :return: the remote dag run, as it was last seen
        :raise AirflowFailException: what a retry cannot help: refused, a wrong parameter, an existing run with
            ``on_existing_run="fail"``, a paused dag with ``if_paused="fail"``
        :raise AirflowSkipException: an existing run with ``on_existing_run="skip"``
        :raise DagRunFailedError: the run ended in one of ``failed_states``
        :raise AirflowTaskTimeout: the run did not end within ``execution_timeout``
        :raise AstroError: other trouble of the target
        """
        from astro_provider.hooks.astro import AstroHook
        from astro_provider.tasks.paused import check_pause

        self._context = context
        with final_errors():
            self._read_ids()
            self._read_choices(rendered=True)
            conf = run_conf(self.conf, context["ti"] if self.openlineage_inject_parent_info else None)
            own = own_run(
                context,
                given_run_id=self.trigger_run_id,
                retries=self.retries or 0,
                warn=self.log.warning,
            )
        with final_errors(), AstroHook(self.http_conn_id) as hook:
            check_pause(hook, self.trigger_dag_id, own, logical_date=self.logical_date, if_paused=self.if_paused)
            run = self._trigger(hook, own, conf)
            note_attached(context, self._attached)
            url = hook.client.run_url(run["dag_id"], run["dag_run_id"])
            self.log.info("Dag run %s of dag %s is %s: %s", run["dag_run_id"], run["dag_id"], run["state"], url)
            context["ti"].xcom_push(key=XCOM_RUN_ID, value=run["dag_run_id"])
            context["ti"].xcom_push(key=XCOM_URL, value=url)
            if not self.wait_for_completion:
                if run["state"] == "queued":
                    self.log.info("Not waiting for it. (Should the dag be paused there, it starts when unpaused.)")
                return run
            if self.deferrable and run["state"] not in self._end_states:
                self._defer(run, context)
            return self._wait(hook, run)

    def _trigger(self, hook: AstroHook, own: OwnRun, conf: dict[str, Any] | None) -> DagRun:
        from astro_provider.tasks.create_run import create_run

        dates = ("logical_date", "data_interval_start", "data_interval_end", "run_after")
        run, self._attached = create_run(
            hook,
            self.trigger_dag_id,
            own,
            {name: getattr(self, name) for name in (*dates, "note", "partition_key")} | {"conf": conf},
            on_existing_run=self.on_existing_run,
            repair=bool(self.wait_for_completion) and "failed" in self.failed_states,
            log=self.log.info,
        )
        return run

    @property
    def _cancels(self) -> bool:
        """Whether the end of this task cancels its run: only if this task created or reset it."""
        return self.cancel_on_kill and not self._attached

    def _defer(self, run: DagRun, context: Context) -> None:
        from astro_provider.tasks.execution_timeout import deferral_limits
        from astro_provider.triggers.dag_run import AstroDagRunTrigger

        deadline, timeout = deferral_limits(self.execution_timeout, context["ti"].start_date)
        self.defer(
            trigger=AstroDagRunTrigger(
                http_conn_id=self.http_conn_id,
                external_dag_id=run["dag_id"],
                external_run_id=run["dag_run_id"],
                allowed_states=self.allowed_states,
                failed_states=self.failed_states,
                must_exist=True,
                poke_interval=self.poke_interval,
                deadline=deadline,
                cancel_on_kill=self._cancels,
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> DagRun:
        """
        Resume after the wait in the triggerer.

        :param context: the task's context
        :param event: see :func:`astro_provider.triggers.events.read_event`
        :return: the remote dag run, as it was last seen
        :raise DagRunFailedError: the run ended in one of ``failed_states``
        :raise AirflowTaskTimeout: the run did not end within ``execution_timeout``
        :raise AirflowFailException: an error that a retry cannot help, or an event that says nothing of the run
        :raise AstroError: another error of the target
        """
        from astro_provider.airflow_versions import AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timeout_message
        from astro_provider.triggers.events import read_event

        with final_errors():
            happened = read_event(event)
            if happened.error:  # no run has failed
                raise happened.error
            if happened.outcome in ("skipped", "changed") or (happened.outcome == "success" and not happened.run):
                raise UnexpectedEventError(f"The task was resumed with an event of another wait: {happened.message}")
        if happened.outcome == "success" and happened.run:
            self.log.info("%s", happened.message)
            return happened.run
        if happened.outcome == "timeout":
            raise AirflowTaskTimeout(
                timeout_message(self.trigger_dag_id, self.execution_timeout, happened.message, happened.url)
            )
        raise DagRunFailedError(happened.message)

    def _wait(self, hook: AstroHook, run: DagRun) -> DagRun:
        from astro_provider.airflow_versions import AirflowTaskTimeout
        from astro_provider.tasks.execution_timeout import timeout_message
        from astro_provider.waits.loop import watch
        from astro_provider.waits.wait import EndStates, RunWait

        wait = RunWait(
            dag_id=run["dag_id"],
            end_states=EndStates(self.allowed_states, self.failed_states),
            run_id=run["dag_run_id"],
            must_exist=True,
        )
        last = f"{wait}: {run['state']}"

        def on_change(verdict: Verdict) -> None:
            nonlocal last
            last = verdict.explained
            self.log.info("%s", last)

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
            # Airflow calls on_kill afterwards, but the task is still running then, as in a worker that goes down.
            self._waiting_for = None
            happened = f"{last}. {self._cancel(run)}" if self._cancels else last
            url = hook.client.run_url(run["dag_id"], run["dag_run_id"])
            raise AirflowTaskTimeout(timeout_message(run["dag_id"], self.execution_timeout, happened, url)) from None
        self._waiting_for = None
        if verdict.outcome != "success" or verdict.run is None:
            raise DagRunFailedError(verdict.message)
        return verdict.run

    def on_kill(self) -> None:
        """Cancel the remote run, if a user ends this task while it waits on a worker."""
        from astro_provider.tasks.task_state import ended_by_user

        run, self._waiting_for = self._waiting_for, None
        if run is None or not self._cancels or self._context is None:
            return
        if ended_by_user(self._context["ti"]):
            self._cancel(run)
        else:
            self.log.info("The run of dag %r goes on, as no user ended this task", run["dag_id"])

    def _cancel(self, run: DagRun) -> str:
        from astro_provider.tasks.cancel import cancel_on_worker

        return cancel_on_worker(
            self.http_conn_id, run["dag_id"], run["dag_run_id"], self.log, end_states=self._end_states
        )

    @property
    def _end_states(self) -> tuple[str, ...]:
        return (*self.allowed_states, *self.failed_states)

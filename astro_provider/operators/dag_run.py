"""The operator that triggers a dag run in a target Deployment, and waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.dates import NOW
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS
from astro_provider.operators.waiting import RunWaitingOperator
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.planned_run import plan_run, store_attached
from astro_provider.tasks.rendered import rendered_id, stored_value
from astro_provider.tasks.rendered_result import RETURN_VALUE, rendered_result
from astro_provider.tasks.run_conf import stored_conf
from astro_provider.tasks.run_request import DATE_FIELDS, REQUEST_FIELDS, check_request, read_request, stored_date
from astro_provider.tasks.start_from_trigger import StartFromTriggerMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import JSON, DagRun


class AstroTriggerDagRunOperator(StartFromTriggerMixin, RunWaitingOperator):
    """
    Triggers a dag run in another Deployment (``POST dags/{dag_id}/dagRuns``) and, on request, waits for its outcome.

    Returns the remote dag run as it was last seen, or what a task of it returned (``result_task_id``). Pushes the XComs
    ``trigger_run_id`` and ``remote_dag_run_url``; the second is the target of the extra link "Remote dag run".

    * A retry continues with the run of an earlier try instead of creating a second one. For this, the default run id is
      derived from the URL of this Deployment, the ids of the dag, run and task, the map index, and the number of the
      first try since the task was last cleared.
    * If that run has failed, and this task waits for it, the retry clears its failed tasks, and those that were skipped
      because the run was cancelled or timed out.
    * A task that was cleared creates a new run. With a given ``logical_date``, it resets its earlier run instead,
      because a dag can have only one run per logical date. With ``trigger_run_id``, ``on_existing_run`` decides about
      the earlier run.
    * If the task is cleared while it runs on a worker, Airflow retries it: the retry continues with the earlier run.

    Before Airflow 3.3 in this Deployment, a try cannot store for later tries what it did, with four effects:

    * If ``retries`` is changed between two tries, the next try can derive another run id. It then creates a second run,
      or continues with a run from before the task was cleared.
    * With ``trigger_run_id``, a retry after a clear handles a finished run as ``on_existing_run`` says, even if an
      earlier try after the clear created or reset the run.
    * With ``trigger_run_id`` and ``on_existing_run="attach"``, a retry neither clears tasks of the run nor cancels it,
      even if an earlier try created the run. With ``"resume"``, it does not cancel the run.
    * With ``on_active_run="attach"``, a retry that finds the run that it attached to finished creates a new run.

    **Results.** With ``result_task_id``, the result is read when the run has succeeded: by the worker, by the worker
    that resumes a deferred task, or in the triggerer if the task ends there. If it cannot be read, a retry finds the
    run and reads it again, without running anything.

    * A mapped task gives a list without the instances that have no XCom, and ``[]`` if it has no instances. It takes
      one request for each value.
    * If there is no XCom, the task fails for good and names the tasks that have one. A task that returns ``None``
      pushes none.
    * A result of more than 1 MiB as JSON fails the task for good.
    * A value that the target cannot give as JSON fails the task for good, such as a datetime or a set. Measured: 3.3.2
      gives a tuple as one, which becomes a list. 2.11.2 gives tuples and sets as text, which is an error if one is the
      whole value; inside of it, the text remains. Airflow before 2.10, and ``[core] enable_xcom_pickling``, give text.
    * If the target has an XCom backend, the result is what this backend stores in the database, such as a path.

    :param trigger_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    :param trigger_run_id: run id of the new run, by default derived, with at most 200 characters (templated)
    :param logical_date: logical date of the new run (templated), by default ``"now"``: the current time, unless
        ``run_after`` is given. This and the other dates are a datetime or ISO 8601 text, UTC without an offset.
        ``None``, ``""`` and ``"None"`` mean no logical date; an Airflow 2 target uses the current time then
    :param data_interval_start: start of the data interval, given together with its end (templated)
    :param data_interval_end: end of the data interval (templated)
    :param run_after: earliest time at which the run can start (templated; needs Airflow 3 in the target)
    :param conf: conf of the run: a dict, or the JSON text of one (templated). Other sequences in it, such as the
        results of a mapped task, become lists
    :param note: note of a new run; by default one that names the task, dag and run of this Deployment, with a link to
        the task. ``""`` and a template that is rendered to ``""`` or ``"None"`` mean no note (templated)
    :param partition_key: partition key of the run (templated; needs Airflow 3.2 in the target)
    :param wait_for_completion: whether to wait until the run is in one of ``allowed_states`` or ``failed_states``, by
        default ``False`` (templated, with values such as ``true``, ``false``, ``1`` and ``0``)
    :param poke_interval: longest interval between two checks in seconds, or a ``timedelta``, by default 5. The interval
        is one second at first, then a tenth of the time waited; values below 0.5 are raised to 0.5
    :param allowed_states: states of the run with which this task succeeds, by default ``["success"]``
    :param failed_states: states of the run with which this task fails, by default ``["failed"]``, unless
        ``allowed_states`` has it. A run that finishes in a state of neither list fails this task, too
    :param on_existing_run: what to do if a run with the same run id or logical date exists, unless a try of this task
        created that run after the task was last cleared, or the task resets it (see above). Templated: ``"fail"`` (the
        default: this task fails and is not retried),
        ``"attach"`` (continue with that run), ``"reset"`` (clear the run, so that it runs again), ``"resume"`` (if the
        run has failed, clear its failed tasks as a retry does, else attach to it) or ``"skip"`` (skip this task). The
        run keeps its conf, note and dates
    :param on_active_run: what to do if the dag has a queued or running run, unless it is the run of an earlier try or
        one that ``on_existing_run`` is about. Templated: ``"trigger"`` (the default: another run), ``"attach"``
        (continue with the newest such run; so does a retry, even if the run has finished by then), ``"skip"`` (skip
        this task) or ``"fail"`` (this task fails and is not retried). The last three take one more request, and two
        tasks that trigger the dag at the same time might both create a run
    :param if_paused: what to do if the dag is paused in the target (templated): ``"trigger"`` (the default; the run
        stays queued), ``"unpause"`` (unpause the dag, then trigger) or ``"fail"``. The last two take one more request
    :param cancel_on_kill: whether to cancel the remote run if a user marks, clears or kills this task while it waits,
        or if the task exceeds its ``execution_timeout``; by default ``True``. A run that this task only attached to is
        never cancelled, and a worker or triggerer that restarts cancels nothing. (On Airflow 3, if a worker freezes on
        the last try until its heartbeat times out, the run is cancelled, too: this looks as if a user had marked the
        task.)
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``. Without
        ``wait_for_completion``, it has an effect only with ``start_from_trigger``
    :param openlineage_inject_parent_info: whether to add the parent run of OpenLineage to the conf if the OpenLineage
        provider is installed and active, by default ``True``. See ``docs/lineage.md``
    :param result_task_id: a task of the remote run whose XCom this task returns instead of the dag run, or a list of
        tasks (templated); by default none. Needs ``wait_for_completion``. A mapped task gives the list of its values in
        order of map index, a list of tasks gives a dict by task id. See "Results" above
    :param result_key: key of that XCom, by default ``"return_value"`` (templated)
    :param start_from_trigger: with ``deferrable``, whether the first try starts and ends in the triggerer if nothing in
        it needs a worker (Airflow 3.3 and later), by default ``True``. Such a task sends no events to OpenLineage
    """

    template_fields: Sequence[str] = REQUEST_FIELDS
    trigger_fields: Sequence[str] = REQUEST_FIELDS
    is_limited_by_pool = True
    template_fields_renderers = {"conf": "json"}

    def __init__(
        self,
        *,
        trigger_dag_id: str,
        http_conn_id: str = "http_conn",
        trigger_run_id: str | None = None,
        logical_date: datetime | str | None = NOW,
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
        on_active_run: str = "trigger",
        if_paused: str = "trigger",
        cancel_on_kill: bool = True,
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
        openlineage_inject_parent_info: bool = True,
        result_task_id: str | Sequence[str] | None = None,
        result_key: str = RETURN_VALUE,
        start_from_trigger: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            http_conn_id=http_conn_id,
            wait_for_completion=wait_for_completion,
            poke_interval=poke_interval,
            allowed_states=allowed_states,
            failed_states=failed_states,
            cancel_on_kill=cancel_on_kill,
            deferrable=deferrable,
            **kwargs,
        )
        self.trigger_dag_id = trigger_dag_id
        self.trigger_run_id = trigger_run_id
        self.logical_date = logical_date
        self.data_interval_start = data_interval_start
        self.data_interval_end = data_interval_end
        self.run_after = run_after
        self.conf = conf
        self.note = note
        self.partition_key = partition_key
        self.on_existing_run = on_existing_run
        self.on_active_run = on_active_run
        self.if_paused = if_paused
        self.openlineage_inject_parent_info = openlineage_inject_parent_info
        self.result_task_id = result_task_id
        self.result_key = result_key
        with parameter_errors():
            check_request(self)
        self.allows_start_from_trigger = start_from_trigger

    def execute(self, context: Context) -> DagRun | JSON:
        """
        Trigger the run and, if ``wait_for_completion`` is set, wait for it on the worker or in the triggerer.

        :return: the remote dag run as it was last seen; with ``result_task_id``, the value or values of its XComs
        :raise AirflowFailException: an error that a retry cannot help: a request that the target refuses, an invalid
            parameter, an existing or active run or a paused dag that the task is to fail for
        :raise AirflowSkipException: an existing run with ``on_existing_run="skip"``, or an active one with
            ``on_active_run="skip"``
        :raise DagRunFailedError: the run ended in one of ``failed_states``
        :raise AirflowTaskTimeout: the run did not end within ``execution_timeout``
        :raise AstroError: another error of the target
        """
        from astro_provider.api.results import read_result
        from astro_provider.hooks.astro import AstroHook
        from astro_provider.tasks.trigger_run import trigger_run

        if self._context is None:  # else the task starts again on a worker, and the trigger has logged why
            self.log_worker_reason(context)
        with final_errors(self._subject, self.log.info):
            lineage_parent = context["ti"] if self.openlineage_inject_parent_info else None
            request = read_request(self, lineage_parent=lineage_parent)
            planned = plan_run(context, given_run_id=request.run_id, retries=self.retries or 0, warn=self.log.warning)
        with final_errors(self._subject, self.log.info), AstroHook(request.http_conn_id) as hook:
            repairs = "failed" in self.failed_states
            triggered = hook.run(trigger_run(hook.client, request, planned, repairs=repairs, log=self.log.info))
            store_attached(context, triggered.run["dag_run_id"], attached=triggered.attached)
            run = self._finish(
                hook,
                triggered.run,
                context,
                url=triggered.url,
                waits=request.waits,
                attached=triggered.attached,
            )
            if request.result is None or not self.do_xcom_push:
                return run
            return hook.run(read_result(hook.client, run, request.result))

    def _result_of(self, run: DagRun) -> DagRun | JSON:
        request = rendered_result(self.result_task_id, self.result_key)
        if request is None or not self.do_xcom_push:
            return run
        from astro_provider.api.results import read_result
        from astro_provider.hooks.astro import AstroHook

        with AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            hook.warns_of_expiry = False  # the task has used the connection before it was resumed
            return hook.run(read_result(hook.client, run, request))

    @property
    def _remote_dag_id(self) -> str:
        return self.trigger_dag_id

    def build_start_trigger_args(self) -> StartTriggerArgs:
        """Make the class path and the arguments of the trigger that Airflow starts instead of a worker."""
        from airflow.triggers.base import StartTriggerArgs

        from astro_provider.triggers.endings import endings

        limit = self.execution_timeout
        kwargs = {
            **{name: getattr(self, name) for name in self.trigger_fields},
            **{name: stored_date(name, getattr(self, name)) for name in DATE_FIELDS},
            "conf": stored_conf(self.conf),
            "result_task_id": stored_value(self.result_task_id),
            "poke_interval": self.poke_interval,
            "allowed_states": list(self.allowed_states),
            "failed_states": list(self.failed_states),
            "cancel_on_kill": self.cancel_on_kill,
            "execution_timeout": limit.total_seconds() if limit else None,
            "openlineage_inject_parent_info": self.openlineage_inject_parent_info,
            "push_result": self.do_xcom_push,
            "ends": endings(self),
        }
        return StartTriggerArgs(
            trigger_cls="astro_provider.triggers.trigger_dag_run.AstroTriggerDagRunTrigger",
            trigger_kwargs={name: value for name, value in kwargs.items() if value is not None},
            next_method="execute_complete",
        )

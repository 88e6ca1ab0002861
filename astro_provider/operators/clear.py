"""The operator that clears a dag run of a target Deployment, or some of its tasks, so that they run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS
from astro_provider.operators.waiting import RunWaitingOperator
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.clear_request import CLEAR_FIELDS, check_clear_request, read_clear_request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import DagRun


class AstroClearDagRunOperator(RunWaitingOperator):
    """
    Clears a dag run of another Deployment, or some of its tasks, so that they run again; on request, waits for the run.

    The whole run is cleared with ``POST dags/{dag_id}/dagRuns/{dag_run_id}/clear``, tasks with
    ``POST dags/{dag_id}/clearTaskInstances`` (Airflow 2 and 3). A run that has finished is queued again and keeps its
    conf, note and dates. In a run that is queued or running, the tasks that run are ended and start again; the run
    itself stays as it is. On Airflow 2, they start again after their retry delay, and one that ends by itself within a
    few seconds does not.

    Returns the remote dag run as it was last seen. Pushes the XComs ``trigger_run_id`` and ``remote_dag_run_url``; the
    second is the target of the extra link "Remote dag run".

    * A retry that finds that an earlier try has cleared the run continues with it instead of clearing it again. If this
      task waits and the run has failed meanwhile, the retry clears its failed tasks, and those that were skipped
      because the run was cancelled or timed out.
    * A task that is cleared itself clears the remote run again.
    * The task starts on a worker. With ``deferrable``, it waits in the triggerer.

    Airflow 3.3 and later store for later tries what a try did. Before Airflow 3.3 in this Deployment, a retry finds the
    newest run anew with ``latest``, takes a run that was queued since the first try for one that an earlier try has
    cleared, and, if the task was cleared, can clear a finished run once more. In each version, a retry can clear a run
    of an Airflow 2 target once more if that run was running and the response to the first request was lost.

    :param external_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    :param external_run_id: the run id (templated). Exactly one of ``external_run_id``, ``logical_date`` and ``latest``
        is required
    :param logical_date: logical date of the run (templated): a datetime or ISO 8601 text, UTC without an offset
    :param latest: whether to clear the newest run that is due, by default ``False``
    :param task_ids: ids of the tasks to clear, each with all its map indexes (a list, templated). By default, the whole
        run is cleared
    :param include_downstream: whether to clear the tasks downstream of ``task_ids`` as well, by default ``False``
        (templated, with values such as ``true``, ``false``, ``1`` and ``0``)
    :param only_failed: whether to clear only tasks that have failed, by default ``False`` (templated). Without
        ``task_ids``, tasks that were skipped because the run was cancelled or timed out are cleared as well. If no task
        has failed, nothing is cleared, and the task succeeds or waits for the run
    :param wait_for_completion: whether to wait until the run is in one of ``allowed_states`` or ``failed_states``, by
        default ``False`` (templated)
    :param poke_interval: longest interval between two checks in seconds, or a ``timedelta``, by default 5. The interval
        is one second at first, then a tenth of the time waited; values below 0.5 are raised to 0.5
    :param allowed_states: states of the run with which this task succeeds, by default ``["success"]``
    :param failed_states: states of the run with which this task fails, by default ``["failed"]``, unless
        ``allowed_states`` has it. A run that finishes in a state of neither list fails this task, too
    :param cancel_on_kill: whether to cancel the remote run if a user marks, clears or kills this task while it waits,
        or if the task exceeds its ``execution_timeout``; by default ``True``. A run in which this task cleared nothing
        is never cancelled, and a worker or triggerer that restarts cancels nothing
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :raise ParameterError: when the DAG is parsed, the run is not named in exactly one way, or a parameter is invalid
    """

    template_fields: Sequence[str] = CLEAR_FIELDS

    def __init__(
        self,
        *,
        external_dag_id: str,
        http_conn_id: str = "http_conn",
        external_run_id: str | None = None,
        logical_date: datetime | str | None = None,
        latest: bool = False,
        task_ids: Sequence[str] | str | None = None,
        include_downstream: bool | str = False,
        only_failed: bool | str = False,
        wait_for_completion: bool | str = False,
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL_SECONDS,
        allowed_states: Sequence[str] | None = None,
        failed_states: Sequence[str] | None = None,
        cancel_on_kill: bool = True,
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
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
        self.external_dag_id = external_dag_id
        self.external_run_id = external_run_id
        self.logical_date = logical_date
        self.latest = latest
        self.task_ids = task_ids
        self.include_downstream = include_downstream
        self.only_failed = only_failed
        with parameter_errors():
            check_clear_request(self)

    def execute(self, context: Context) -> DagRun:
        """
        Clear the run and, if ``wait_for_completion`` is set, wait for it on the worker or in the triggerer.

        :return: the remote dag run as it was last seen
        :raise AirflowFailException: an error that a retry cannot help: a run or a task that does not exist, a request
            that the target refuses, or an invalid parameter
        :raise DagRunFailedError: the run ended in one of ``failed_states``
        :raise AirflowTaskTimeout: the run did not end within ``execution_timeout``
        :raise AstroError: another error of the target
        """
        from astro_provider.hooks.astro import AstroHook
        from astro_provider.tasks.clear_run import clear_run
        from astro_provider.tasks.clear_tries import earlier_tries, store_cleared_run

        def store(run_id: str, cleared: bool) -> None:
            store_cleared_run(context, run_id, cleared=cleared)

        with final_errors(self._subject, self.log.info):
            request = read_clear_request(self)
            tries = earlier_tries(context, retries=self.retries or 0)
        with final_errors(self._subject, self.log.info), AstroHook(request.http_conn_id) as hook:
            repairs = request.waits and "failed" in self.failed_states
            flow = clear_run(hook.client, request, tries, repairs=repairs, store=store, log=self.log.info)
            cleared = hook.run(flow)
            return self._finish(
                hook, cleared.run, context, url=cleared.url, waits=request.waits, attached=cleared.attached
            )

    @property
    def _remote_dag_id(self) -> str:
        return self.external_dag_id

"""The sensor that waits for a dag run in a target Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import AstroError, InvalidParameterError
from astro_provider.api.states import DAG_RUN_STATES
from astro_provider.sensors.base import AstroBaseSensor
from astro_provider.task_errors import fail_or_skip, final_errors
from astro_provider.tasks.rendered_result import RESULT_FIELDS, RETURN_VALUE, check_result, rendered_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.triggers.base import StartTriggerArgs

    from astro_provider.airflow_versions import Context
    from astro_provider.api.results import ResultRequest
    from astro_provider.api.types import JSON, DagRun
    from astro_provider.triggers.events import WaitEvent
    from astro_provider.waits.wait import RunWait, Verdict


class AstroDagRunSensor(AstroBaseSensor):
    """
    Waits for a dag run in another Deployment.

    One of ``external_run_id``, ``logical_date``, ``execution_delta``, ``execution_date_fn``, ``latest``,
    ``logical_date_range``, ``partition_key`` and ``idle`` says what to wait for. Without any of them, the sensor waits
    for the run that has the logical date of its own run (or its ``run_after``, if it has no logical date). If the run
    does not exist yet, the sensor waits for it, too. A parameter that was given and is rendered to nothing fails the
    sensor.

    The URL of the run is pushed as XCom ``remote_dag_run_url``, and the extra link "Remote dag run" leads to it.

    **In the triggerer.** On Airflow 3.3 and later, a deferrable sensor starts and ends in the triggerer: it occupies
    neither a worker nor a slot of a pool. Airflow does not notify its listeners (OpenLineage) of such a task, and does
    not show its rendered templates; the log names what the sensor waits for. ``dag.test()`` runs the sensor on a
    worker.

    The sensor starts on a worker on older versions of Airflow and with ``start_from_trigger=False``. It also starts on
    a worker in the following cases, and its log says which one it is:

    * the sensor is mapped;
    * ``execution_date_fn``, ``on_execute_callback``, ``pre_execute``, ``retry_policy``, ``inlets``,
      ``max_active_tis_per_dag`` or ``max_active_tis_per_dagrun`` is set, or ``[triggerer] queues_enabled``;
    * a template uses an XCom, a Variable, a macro of the DAG, or any other variable than ``run_id``, ``dag_run``,
      ``params``, ``macros``, ``partition_key``, ``logical_date``, ``data_interval_start``, ``data_interval_end``,
      ``ds``, ``ts`` and their variants such as ``ds_nodash``;
    * the DAG has ``jinja_environment_kwargs`` or ``user_defined_filters``, or a Param without a value;
    * a subclass overrides a method that only a worker calls, such as ``execute`` or ``poke``.

    A template that the triggerer fails to render, or that names no run there, is rendered again on a worker.

    The sensor ends on a worker from its second try on, and if its end needs a worker: to call a callback, send an
    email, update ``outlets``, stop a DAG with ``fail_fast``, or fail for good (a timeout, or an error that a
    retry cannot resolve) although ``retries`` are left.

    :param external_dag_id: the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated), by default ``http_conn``
    :param external_run_id: the run id (templated)
    :param logical_date: logical date of the run, a datetime or ISO 8601 text; UTC if it has no offset (templated)
    :param execution_delta: time that is subtracted from the logical date of the sensor's own run to get the logical
        date of the remote run
    :param execution_date_fn: called with the logical date of the sensor's own run (or its ``run_after``, if it has no
        logical date) and, by name, with the context variables that it accepts, as in ``ExternalTaskSensor``; returns
        the logical date of the run, or a list of logical dates whose runs are all waited for
    :param latest: whether to wait for the newest run, by its ``run_after``, at each check; by default ``False``
    :param since: with ``latest``, only runs count that are due at this date or later: a datetime or ISO 8601 text
        (templated). The sensor waits until there is one. A run is due at its ``run_after`` or, on Airflow 2, at the end
        of its data interval, or at its logical date if that is later
    :param logical_date_range: start and end of the logical dates of the runs, each a datetime or ISO 8601 text; the end
        is not part of the range (templated). All runs in the range must be in one of ``allowed_states``, and one that
        is in ``failed_states`` fails the sensor at once
    :param expected_runs: minimum number of runs in ``logical_date_range``, by default 1 (templated)
    :param partition_key: wait for the newest run of this partition (templated). The target must have Airflow 3.2 or
        later, otherwise the sensor fails
    :param idle: wait until nothing of the dag runs, instead of for a run: no task instance is queued or running, and,
        unless the dag is paused, no run either; by default ``False``
    :param allowed_states: states that end the wait successfully, by default ``["success"]``
    :param failed_states: states that fail the sensor at once, by default ``["failed"]``
    :param skipped_states: states that skip the sensor, by default none
    :param check_existence: whether to fail if the dag does not exist, instead of waiting for it; by default ``False``
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :param poke_interval: the longest interval between two checks in seconds, or a ``timedelta``; 5 by default. The
        interval is one second at first (10 seconds in reschedule mode), and then a tenth of the time waited so far,
        unless ``exponential_backoff`` is set. A value below 0.5 is raised to 0.5
    :param timeout: seconds after which the sensor fails without a retry, as in any Airflow sensor; by default
        ``[sensors] default_timeout``
    :param soft_fail: whether the sensor skips instead of failing if the wait fails, times out or ends with an error
        that a retry cannot resolve; by default ``False``
    :param mode: ``poke`` or ``reschedule``, if the sensor is not deferrable; by default ``poke``
    :param start_from_trigger: whether a deferrable sensor can start in the triggerer; by default ``True``. A sensor
        that ends there sends no events to OpenLineage, see ``docs/lineage.md``
    :param result_task_id: a task of the run whose XCom this sensor returns, or a list of tasks (templated); by default
        none. Needs a wait for one run. See :class:`~astro_provider.operators.dag_run.AstroTriggerDagRunOperator`
    :param result_key: key of that XCom, by default ``"return_value"`` (templated)
    """

    trigger_fields: Sequence[str] = (*AstroBaseSensor.trigger_fields, *RESULT_FIELDS)
    template_fields: Sequence[str] = trigger_fields
    valid_states = DAG_RUN_STATES
    default_failed_states = ("failed",)
    result_task_id: str | Sequence[str] | None = None
    result_key: str = RETURN_VALUE
    _result: JSON = None

    def __init__(
        self,
        *,
        result_task_id: str | Sequence[str] | None = None,
        result_key: str = RETURN_VALUE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if result_task_id is None:
            return
        self.result_task_id = result_task_id
        self.result_key = result_key
        check_result(result_task_id, result_key)
        if self.idle or self.logical_date_range is not None:
            raise InvalidParameterError(
                f"result_task_id needs a wait for one run: {'idle' if self.idle else 'logical_date_range'} excludes it"
            )

    def execute(self, context: Context) -> Any:
        """
        Wait on the worker, or defer to the triggerer.

        :param context: the context of the task
        :return: with ``result_task_id``, the value or values of its XComs; otherwise ``None``
        :raise Exception: see :meth:`~astro_provider.sensors.waiting.WaitingSensor.execute`; also
            ``AirflowFailException`` if there is no result (with ``soft_fail``, the sensor skips)
        """
        super().execute(context)
        return self._result

    def _wait(self, context: Context) -> RunWait:
        wait = super()._wait(context)
        if self._result_request is not None and len(wait.logical_dates) > 1:
            raise InvalidParameterError(
                "result_task_id needs a wait for one run, but execution_date_fn returned "
                f"{len(wait.logical_dates)} logical dates"
            )
        return wait

    def _check_once(self, context: Context) -> Verdict:
        verdict = super()._check_once(context)
        if verdict.outcome == "success" and verdict.run is not None:
            self._read_result(verdict.run)
        return verdict

    def _resume(self, context: Context, ended: WaitEvent) -> None:
        super()._resume(context, ended)
        if ended.run is None or self._result_request is None:
            return
        from astro_provider.airflow_versions import AirflowFailException

        try:
            with final_errors(self._subject, self.log.info):
                self._read_result(ended.run)
        except (AstroError, AirflowFailException) as error:
            if isinstance(error, AstroError) and not getattr(self, "never_fail", False):
                raise
            fail_or_skip(self, AirflowFailException(str(error)), self._subject)
        finally:
            self._open_hook().close()

    def _read_result(self, run: DagRun) -> None:
        request = self._result_request
        if request is None or not self.do_xcom_push:
            return
        from astro_provider.api.results import read_result

        hook = self._open_hook()
        self._result = hook.run(read_result(hook.client, run, request))

    @property
    def _result_request(self) -> ResultRequest | None:
        return rendered_result(self.result_task_id, self.result_key)

    def build_start_trigger_args(self) -> StartTriggerArgs:
        """Make the class path and the arguments of the trigger that Airflow starts instead of a worker."""
        arguments = super().build_start_trigger_args()
        if not self.do_xcom_push and arguments.trigger_kwargs:
            arguments.trigger_kwargs.pop("result_task_id", None)
        return arguments

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Resume on a worker after the wait in the triggerer.

        :param context: the context of the task
        :param event: see :func:`astro_provider.triggers.events.read_event`; after ``restart`` the sensor waits again
        :return: see :meth:`execute`
        :raise Exception: see :meth:`execute`
        """
        super().execute_complete(context, event)
        return self._result

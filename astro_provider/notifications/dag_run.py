"""The notifier that triggers a dag run in a target Deployment."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BaseNotifier
from astro_provider.tasks.callback_run import callback_run, identity_of
from astro_provider.tasks.run_conf import check_conf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.tasks.callback_run import CallbackRun


class AstroTriggerDagRunNotifier(BaseNotifier):
    """
    Triggers a dag in another Deployment from a callback, with the facts of the task or dag run in its conf.

    For every callback of tasks and DAGs, and on Airflow 3.1 and later for deadlines::

        @dag(
            default_args={"on_failure_callback": AstroTriggerDagRunNotifier(trigger_dag_id="page_on_call")},
        )

    The conf of the remote run is ``conf`` with one more key, ``triggered_by``, unless ``conf`` has it: a dict with
    ``deployment``, ``dag_id``, ``run_id``, ``task_id``, ``map_index``, ``try_number``, ``logical_date``, ``state``,
    ``reason``, ``exception`` (up to 1,000 characters, without the secrets that Airflow masks) and ``log_url``. What is
    not known is ``None``. A callback of a DAG has a ``reason``, and no task.

    The run id is derived from the try of the task (or from the dag run) and the parameters of the notifier. If Airflow
    calls a callback twice, the second call therefore triggers nothing. Two callbacks of the same try with the same
    parameters, such as ``on_execute_callback`` and ``on_failure_callback``, need a ``trigger_run_id`` or different
    parameters.

    If the run cannot be triggered, the notifier logs an error with what to do, and raises nothing. Callbacks of tasks
    run and log on the worker of the task; those of DAGs, and of tasks whose worker was lost, in the DAG processor.
    Airflow 3 kills a task whose callbacks take longer than ``[core] task_success_overtime`` (20 seconds), and Airflow a
    DAG processor that takes longer than ``dag_file_processor_timeout`` (50 seconds); a connection to a target that
    responds slowly should have an Extra ``timeout`` below that.

    :param trigger_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    :param conf: the conf of the run: a dict, or the JSON text of one; by default only ``triggered_by`` (templated)
    :param trigger_run_id: run id of the run; by default derived (templated)
    :param note: note of the run; by default one that names the task (or the dag run) and links to it; ``""`` for none
        (templated)
    """

    template_fields: Sequence[str] = ("trigger_dag_id", "http_conn_id", "conf", "trigger_run_id", "note")

    def __init__(
        self,
        trigger_dag_id: str,
        http_conn_id: str = "http_conn",
        conf: Mapping[str, Any] | str | None = None,
        *,
        trigger_run_id: str | None = None,
        note: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.trigger_dag_id = trigger_dag_id
        self.http_conn_id = http_conn_id
        self.conf = conf
        self.trigger_run_id = trigger_run_id
        self.note = note
        check_conf(conf)
        self._identity = identity_of({name: getattr(self, name) for name in self.template_fields})

    def __call__(self, *args: Any) -> None:
        """
        Trigger the run. Airflow calls this with the context of the callback.

        Airflow renders the fields of a notifier in place, so that its next call would get those of this one.
        """
        try:
            BaseNotifier.__call__(copy.copy(self), *args)
        except Exception as error:  # a template that cannot be rendered, such as {{ ds }} in a run without a date
            self._log_failure(error)

    def _update_context(self, context: Context) -> Context:
        """Leave the context as it is: with the fields of this notifier, ``conf`` would be another for later ones."""
        return context

    def notify(self, context: Context) -> None:
        """
        Trigger the run from a worker or the DAG processor.

        :param context: the context of the callback
        """
        from astro_provider.hooks.astro import AstroHook

        try:
            run = self._run(context)
            with AstroHook(self.http_conn_id) as hook:
                self.log.info("%s", hook.run(run.trigger(hook.client)))
        except Exception as error:
            self._log_failure(error)

    async def async_notify(self, context: Context) -> None:
        """
        Trigger the run from the triggerer, where Airflow 3.1 and later call back for deadlines.

        :param context: the context of the callback, which has only the dag run
        """
        from astro_provider.hooks.astro_async import AsyncAstroHook

        try:
            run = self._run(context)
            async with AsyncAstroHook(self.http_conn_id) as hook:
                self.log.info("%s", await hook.run(run.trigger(await hook.client())))
        except Exception as error:
            self._log_failure(error)

    def _run(self, context: Context) -> CallbackRun:
        return callback_run(
            dict(context),
            dag_id=self.trigger_dag_id,
            run_id=self.trigger_run_id,
            conf=self.conf,
            note=self.note,
            identity=self._identity,
            warn=self.log.warning,
        )

    def _log_failure(self, error: Exception) -> None:
        """Log an error instead of raising it, because it would stand beside the failure that the callback is for."""
        from astro_provider.api.errors import AstroError, InvalidParameterError
        from astro_provider.api.message import dag_subject, error_message

        is_expected = isinstance(error, (AstroError, InvalidParameterError))
        message = error_message("Not triggered", dag_subject(self.trigger_dag_id), error)
        self.log.error("%s", message, exc_info=not is_expected)

"""Operators that pause and unpause a dag of a target Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from astro_provider.airflow_versions import BaseOperator
from astro_provider.api.message import dag_subject, outcome_message
from astro_provider.api.urls import encoded
from astro_provider.run_id import first_try_number
from astro_provider.task_errors import final_errors
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import ChangedDag


class _SetPausedOperator(BaseOperator):
    """The base of the operators that pause and unpause a dag."""

    template_fields: Sequence[str] = ("external_dag_id", "http_conn_id")
    ui_color = "#e9e4ff"
    _paused: ClassVar[bool]

    def __init__(self, *, external_dag_id: str, http_conn_id: str = "http_conn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.external_dag_id = external_dag_id
        self.http_conn_id = http_conn_id

    def execute(self, context: Context) -> ChangedDag:
        """
        Get the dag, and pause or unpause it (``GET`` and ``PATCH dags/{dag_id}``).

        :return: the dag after the change, with ``was_paused``
        :raise AirflowFailException: an error that a retry cannot help, such as a request that the target refuses
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        :raise AstroError: another error of the target
        """
        from astro_provider.hooks.astro import AstroHook
        from astro_provider.tasks.was_paused import store_was_paused, stored_was_paused

        subject = dag_subject(str(self.external_dag_id))
        with final_errors(subject, self.log.info), AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            dag_id = rendered_id("external_dag_id", self.external_dag_id)
            was_paused = stored_was_paused(context, dag_id)
            if was_paused is None:
                was_paused = bool(hook.get_dag(dag_id)["is_paused"])
                store_was_paused(context, dag_id, was_paused)
                self._warn_of_earlier_try(context, was_paused)
            dag = hook.pause_dag(dag_id) if self._paused else hook.unpause_dag(dag_id)
            state, before = ("paused" if each else "not paused" for each in (dag["is_paused"], was_paused))
            facts, url = f", which was {before} before,", f"{hook.deployment.url}/dags/{encoded(dag_id)}"
            self.log.info("%s", outcome_message(state.capitalize(), dag_id, facts, where=hook.deployment, url=url))
            return {**dag, "was_paused": was_paused}

    def _warn_of_earlier_try(self, context: Context, was_paused: bool) -> None:
        ti = context["ti"]
        if ti.try_number > first_try_number(ti.max_tries, self.retries or 0) and was_paused is self._paused:
            did = "paused" if self._paused else "unpaused"
            details = f"An earlier try of this task might have {did} the dag already: what it found is not known here"
            self.log.warning("%s", outcome_message("Not sure", str(self.external_dag_id), details=details))


class AstroPauseDagOperator(_SetPausedOperator):
    """
    Pauses a dag in another Deployment (``PATCH dags/{dag_id}``). A dag that is already paused stays so.

    Returns the dag after the change, and ``was_paused``: whether it was paused before. On Airflow 3.3 and later, a
    retry returns what the first try has found. On earlier versions, a retry returns what it finds itself, which can be
    the change of an earlier try whose response was lost; the log then says so.

    :param external_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    """

    _paused = True


class AstroUnpauseDagOperator(_SetPausedOperator):
    """
    Unpauses a dag in another Deployment (``PATCH dags/{dag_id}``). A dag that is not paused stays so.

    Returns the dag after the change, and ``was_paused``: whether it was paused before. On Airflow 3.3 and later, a
    retry returns what the first try has found. On earlier versions, a retry returns what it finds itself, which can be
    the change of an earlier try whose response was lost; the log then says so.

    :param external_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    """

    _paused = False

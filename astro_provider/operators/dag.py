"""Operators that pause and unpause a dag of a target Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from astro_provider.airflow_versions import BaseOperator
from astro_provider.task_errors import final_errors
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import Dag


class _SetPausedOperator(BaseOperator):
    """
    Sets whether a dag is paused (``PATCH dags/{dag_id}``); that it is so already is fine.

    :param external_dag_id: the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    """

    template_fields: Sequence[str] = ("external_dag_id", "http_conn_id")
    ui_color = "#e9e4ff"
    _paused: ClassVar[bool]

    def __init__(self, *, external_dag_id: str, http_conn_id: str = "http_conn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.external_dag_id = external_dag_id
        self.http_conn_id = http_conn_id

    def execute(self, context: Context) -> Dag:
        """
        Set it.

        :return: the dag as it is then
        :raise AirflowFailException: the target refuses, or the connection is wrong
        :raise NotFoundError: no such dag; names those with similar ids
        """
        from astro_provider.hooks.astro import AstroHook

        with final_errors(), AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            change = hook.pause_dag if self._paused else hook.unpause_dag
            dag = change(rendered_id("external_dag_id", self.external_dag_id))
            state = "paused" if dag["is_paused"] else "not paused"
            self.log.info("Dag %s is %s in %s", self.external_dag_id, state, hook.deployment)
            return dag


class AstroPauseDagOperator(_SetPausedOperator):
    __doc__ = (_SetPausedOperator.__doc__ or "").replace("Sets whether a dag is paused", "Pauses a dag")
    _paused = True


class AstroUnpauseDagOperator(_SetPausedOperator):
    __doc__ = (_SetPausedOperator.__doc__ or "").replace("Sets whether a dag is paused", "Unpauses a dag")
    _paused = False

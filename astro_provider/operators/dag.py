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
    """The base of the operators that pause and unpause a dag."""

    template_fields: Sequence[str] = ("external_dag_id", "http_conn_id")
    ui_color = "#e9e4ff"
    _paused: ClassVar[bool]

    def __init__(self, *, external_dag_id: str, http_conn_id: str = "http_conn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.external_dag_id = external_dag_id
        self.http_conn_id = http_conn_id

    def execute(self, context: Context) -> Dag:
        """
        Pause or unpause the dag (``PATCH dags/{dag_id}``).

        :return: the dag after the change
        :raise AirflowFailException: an error that a retry cannot help, such as a request that the target refuses
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        :raise AstroError: another error of the target
        """
        from astro_provider.hooks.astro import AstroHook

        with final_errors(), AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            change = hook.pause_dag if self._paused else hook.unpause_dag
            dag = change(rendered_id("external_dag_id", self.external_dag_id))
            state = "paused" if dag["is_paused"] else "not paused"
            self.log.info("Dag %s is %s in %s", self.external_dag_id, state, hook.deployment)
            return dag


class AstroPauseDagOperator(_SetPausedOperator):
    """
    Pauses a dag in another Deployment (``PATCH dags/{dag_id}``). A dag that is already paused stays so.

    Returns the dag after the change.

    :param external_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    """

    _paused = True


class AstroUnpauseDagOperator(_SetPausedOperator):
    """
    Unpauses a dag in another Deployment (``PATCH dags/{dag_id}``). A dag that is not paused stays so.

    Returns the dag after the change.

    :param external_dag_id: id of the dag in the target (templated)
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    """

    _paused = False

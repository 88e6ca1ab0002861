"""What tasks tell OpenLineage about their dag run in the target, and the target about its OpenLineage parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.lineage_facets import RemoteLineage


def openlineage_is_active() -> bool:
    """
    Decide whether the OpenLineage provider is installed, and configured to send events.

    Imports only a small part of that provider. Measured: the check of the standard provider 1.21 takes three seconds on
    Airflow 3.3.2 even if OpenLineage is disabled, as it imports the listener first. Check:
    ``tests/unit/tasks/test_lineage.py`` looks for the listener among the imported modules.
    """
    try:
        from airflow.providers.openlineage.conf import is_disabled
    except ImportError:
        return False
    return not is_disabled()


def with_openlineage_parent(conf: dict[str, Any] | None, task_instance: Any) -> dict[str, Any] | None:
    """
    Add the parent run of OpenLineage to the conf of a dag run, if the OpenLineage provider is installed and active.

    Measured: the standard providers 1.2.0 and 1.6.0, in the constraints of Airflow 2.11.0 and 3.0.6, lack the function.
    Check: remove the fallback when the constraints of the oldest supported Airflow have it.

    :param conf: the conf
    :param task_instance: the task instance that is the parent
    :return: the conf with OpenLineage's properties, or the same conf
    """
    if not openlineage_is_active():
        return conf
    try:
        from airflow.providers.standard.utils.openlineage import safe_inject_openlineage_properties_into_dagrun_conf
    except ImportError:
        return conf
    injected: dict[str, Any] | None = safe_inject_openlineage_properties_into_dagrun_conf(conf, task_instance)
    return injected


class RunLineageMixin:
    """
    Mixin for operators whose task is about one dag run in the target.

    The OpenLineage provider calls its methods in the process of the task (in a fork of it), so that they must know the
    run without a request.
    """

    http_conn_id: str
    _lineage_run: DagRun | None = None
    _lineage_url: str | None = None

    @property
    def _remote_dag_id(self) -> object:
        """Id of the dag in the target, as it was rendered."""
        raise NotImplementedError

    def _remember_run(self, run: DagRun | None, url: str | None = None) -> None:
        """
        Keep what the lineage events of this task say.

        :param run: the run as it was last seen; ``None`` if it was not seen
        :param url: URL of the run in the target's UI; ``None`` if it was not seen, or has not changed
        """
        self._lineage_run, self._lineage_url = run or self._lineage_run, url or self._lineage_url

    def get_openlineage_facets_on_start(self) -> RemoteLineage:
        """
        Describe the dag in the target. The OpenLineage provider calls this method when the task starts.

        :return: a run facet without a run, which the task does not know yet
        """
        from astro_provider.tasks.lineage_facets import run_lineage

        return run_lineage(str(self.http_conn_id), str(self._remote_dag_id), self._lineage_run, self._lineage_url)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> RemoteLineage:
        """
        Describe the run in the target. The OpenLineage provider calls this method when the task ends, in any state.

        :param task_instance: the task instance
        :return: a run facet with the run as it was last seen, if there is one
        """
        return self.get_openlineage_facets_on_start()


class BackfillLineageMixin:
    """Mixin for the operator whose task is about a backfill in the target, see :class:`RunLineageMixin`."""

    http_conn_id: str
    external_dag_id: str
    _lineage_backfill_id: int | None = None
    _lineage_url: str | None = None

    def _remember_backfill(self, backfill_id: int, url: str | None) -> None:
        """Keep what the lineage events of this task say."""
        self._lineage_backfill_id, self._lineage_url = backfill_id, url

    def get_openlineage_facets_on_start(self) -> RemoteLineage:
        """
        Describe the dag in the target. The OpenLineage provider calls this method when the task starts.

        :return: a run facet without a backfill, which the task does not know yet
        """
        from astro_provider.tasks.lineage_facets import backfill_lineage

        dag_id = str(self.external_dag_id)
        return backfill_lineage(str(self.http_conn_id), dag_id, self._lineage_backfill_id, self._lineage_url)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> RemoteLineage:
        """
        Describe the backfill. The OpenLineage provider calls this method when the task ends, in any state.

        :param task_instance: the task instance
        :return: a run facet with the backfill, if there is one
        """
        return self.get_openlineage_facets_on_start()

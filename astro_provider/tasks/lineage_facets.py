"""The facets of lineage events. Only the methods that the OpenLineage provider calls import this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.facet_v2 import RunFacet

if TYPE_CHECKING:
    from openlineage.client.event_v2 import Dataset

    from astro_provider.api.types import DagRun

RemoteLineage: TypeAlias = "OperatorLineage[Dataset, RunFacet]"
"""What the OpenLineage provider adds to the events of a task."""

RUN_FACET = "astro_remoteDagRun"
BACKFILL_FACET = "astro_remoteBackfill"


@attr.define
class AstroRemoteDagRunRunFacet(RunFacet):
    """
    The dag run in the target that a task is about. Names are those of OpenLineage, values those of the REST API.

    The OpenLineage job of that run is named ``dagId``, in the namespace that the target has configured, and its run has
    the parent that :class:`~astro_provider.operators.dag_run.AstroTriggerDagRunOperator` adds to the conf.

    :param connectionId: id of the Airflow connection to the target
    :param deployment: base URL of the target; ``None`` as long as the run is not known
    :param dagId: the dag
    :param dagRunId: run id; ``None`` as long as the run is not known
    :param state: state of the run when it was last seen
    :param logicalDate: logical date of the run; ``None`` for a run without one
    :param runAfter: the earliest time at which the run can start; ``None`` before Airflow 3.0 in the target
    :param url: URL of the run in the target's UI
    """

    connectionId: str  # noqa: N815
    deployment: str | None
    dagId: str  # noqa: N815
    dagRunId: str | None  # noqa: N815
    state: str | None
    logicalDate: str | None  # noqa: N815
    runAfter: str | None  # noqa: N815
    url: str | None


@attr.define
class AstroRemoteBackfillRunFacet(RunFacet):
    """
    The backfill in the target that a task is about.

    :param connectionId: id of the Airflow connection to the target
    :param deployment: base URL of the target; ``None`` as long as the backfill is not known
    :param dagId: the dag
    :param backfillId: id of the backfill; ``None`` as long as the backfill is not known
    :param url: URL of the dag's backfills in the target's UI
    """

    connectionId: str  # noqa: N815
    deployment: str | None
    dagId: str  # noqa: N815
    backfillId: int | None  # noqa: N815
    url: str | None


def run_lineage(conn_id: str, dag_id: str, run: DagRun | None, url: str | None) -> RemoteLineage:
    """
    Make what the OpenLineage provider adds to the events of a task.

    :param conn_id: id of the connection to the target
    :param dag_id: the dag in the target
    :param run: the run as it was last seen; ``None`` if the task does not know it
    :param url: URL of the run in the target's UI; ``None`` if it is not known
    """
    facet = AstroRemoteDagRunRunFacet(
        connectionId=conn_id,
        deployment=_deployment(url),
        dagId=dag_id,
        dagRunId=run and run["dag_run_id"],
        state=run and run["state"],
        logicalDate=run and run["logical_date"],
        runAfter=run and run["run_after"],
        url=url,
    )
    return OperatorLineage(run_facets={RUN_FACET: facet})


def backfill_lineage(conn_id: str, dag_id: str, backfill_id: int | None, url: str | None) -> RemoteLineage:
    """
    Make what the OpenLineage provider adds to the events of a task.

    :param conn_id: id of the connection to the target
    :param dag_id: the dag in the target
    :param backfill_id: id of the backfill; ``None`` if the task does not know it
    :param url: URL of the dag's backfills in the target's UI; ``None`` if it is not known
    """
    facet = AstroRemoteBackfillRunFacet(
        connectionId=conn_id, deployment=_deployment(url), dagId=dag_id, backfillId=backfill_id, url=url
    )
    return OperatorLineage(run_facets={BACKFILL_FACET: facet})


def _deployment(url: str | None) -> str | None:
    """Return the part of the URL of a page that is the base URL of its Deployment. Dag and run ids have no slash."""
    return None if url is None else url.rpartition("/dags/")[0]

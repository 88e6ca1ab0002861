"""The extra links of a task to what it waits for in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.airflow_versions import BaseOperatorLink

if TYPE_CHECKING:
    from astro_provider.airflow_versions import BaseOperator, TaskInstanceKey

XCOM_RUN_ID = "trigger_run_id"
"""Key of the XCom that holds the id of the remote run."""

XCOM_URL = "remote_dag_run_url"
"""Key of the XCom that holds the URL of the link, which only the task can make: it knows the API version."""

XCOM_BACKFILL_ID = "backfill_id"
"""Key of the XCom that holds the id of the backfill in the target."""

XCOM_BACKFILL_URL = "remote_backfill_url"
"""Key of the XCom that holds the URL of the dag's backfills in the target's UI."""


class RemoteDagRunLink(BaseOperatorLink):
    """Links to the dag run in the target's UI (Airflow 2 and Airflow 3)."""

    name = "Remote dag run"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom in which Airflow 3 finds the URL."""
        return XCOM_URL

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the URL (called by Airflow 2; Airflow 3 reads the XCom itself).

        :param operator: the operator
        :param ti_key: key of the task instance
        :return: the URL; ``""`` before the task has created or found what the link leads to
        """
        from astro_provider.airflow_versions import XCom

        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class RemoteBackfillLink(RemoteDagRunLink):
    """Links to the backfills of the dag in the target's UI (Airflow 3)."""

    name = "Remote backfill"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom in which Airflow 3 finds the URL."""
        return XCOM_BACKFILL_URL

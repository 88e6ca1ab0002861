"""The extra link from a task to the dag run in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.airflow_versions import BaseOperatorLink

if TYPE_CHECKING:
    from astro_provider.airflow_versions import BaseOperator, TaskInstanceKey

XCOM_RUN_ID = "trigger_run_id"
"""Key of the XCom that holds the id of the remote run."""

XCOM_URL = "remote_dag_run_url"
"""Key of the XCom that holds the link: only the task knows the target's URL and API version."""


class RemoteDagRunLink(BaseOperatorLink):
    """Opens the dag run in the target's own UI, on Airflow 2 and Airflow 3 targets."""

    name = "Remote dag run"

    @property
    def xcom_key(self) -> str:
        """Say where Airflow 3 finds the link."""
        return XCOM_URL

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Find the link (called by Airflow 2; Airflow 3 reads the XCom itself).

        :param operator: the operator
        :param ti_key: which task instance
        :return: the URL, or ``""`` before the run is known
        """
        from astro_provider.airflow_versions import XCom

        return XCom.get_value(ti_key=ti_key, key=XCOM_URL) or ""

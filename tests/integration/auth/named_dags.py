"""An auth manager for the target of Airflow 3, which runs this file: one user may only ask for dags by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

NARROW = "narrow"


class NamedDagsAuthManager(SimpleAuthManager):
    """What a token that is limited to some dags is to Airflow: not authorised where a request names no dag."""

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        if user.username == NARROW and (details is None or details.id is None):
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)

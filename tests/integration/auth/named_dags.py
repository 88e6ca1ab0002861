"""An auth manager for the Airflow 3 target: one user can read dags only by id. The target imports this module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

RESTRICTED_USER = "restricted"


class NamedDagsAuthManager(SimpleAuthManager):
    """Refuses requests of this user that name no dag, as Airflow does for a token that is limited to some dags."""

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        if user.username == RESTRICTED_USER and (details is None or details.id is None):
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)

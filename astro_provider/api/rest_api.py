"""The two versions of Airflow's REST API, and what differs between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from astro_provider.api import v1, v2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, DagRun, LogEntry, TaskInstance


class RestApi(Protocol):
    """One version of the REST API: how its requests are made and its answers are read; a module implements it."""

    NAME: ApiVersion
    XCOM_PARAMS: dict[str, JSON]

    def trigger_body(self, fields: dict[str, JSON]) -> dict[str, JSON]: ...
    def run_filters(self, filters: dict[str, JSON]) -> dict[str, JSON]: ...
    def clear_run(
        self, dag_path: str, run_path: str, run_id: str, *, only_failed: bool
    ) -> tuple[str, dict[str, JSON]]: ...
    def task_keys(self, instances: Sequence[TaskInstance]) -> list[JSON]: ...
    def group_filter(self, group_id: str | None) -> dict[str, JSON]: ...
    def finished_runs_body(
        self, dag_ids: list[str], states: list[str], ended_after: str, due_after: str
    ) -> dict[str, JSON]: ...
    def dag_run(self, raw: JSON) -> DagRun: ...
    def task_instance(self, raw: JSON) -> TaskInstance: ...
    def log_entries(self, raw: JSON) -> list[LogEntry]: ...
    def end_of_log(self, text: str) -> list[LogEntry]: ...
    def run_url(self, deployment_url: str, dag_id: str, run_id: str) -> str: ...


API_VERSIONS: dict[str, RestApi] = {"v1": v1, "v2": v2}


def other(api: RestApi) -> RestApi:
    """Return the version that is not this one."""
    return API_VERSIONS["v1" if api.NAME == "v2" else "v2"]

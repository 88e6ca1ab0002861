"""The two versions of Airflow's REST API; modules ``v1`` and ``v2`` have everything that differs between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from astro_provider.api import v1, v2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, DagRun, JSONInput, LogEntry, TaskInstance


class RestApi(Protocol):
    """One version of the REST API: its names, and how its responses are read. Module ``v1`` or ``v2`` implements it."""

    NAME: ApiVersion
    XCOM_PARAMS: dict[str, JSONInput]
    FINISHED_RUNS: dict[str, JSONInput]
    WITH_STALE_DAGS: dict[str, JSONInput]
    FILTERS_BY_GROUP: bool

    def trigger_body(self, fields: Mapping[str, JSONInput], *, now: str | None = None) -> dict[str, JSONInput]: ...
    def run_filters(self, filters: Mapping[str, JSONInput]) -> dict[str, JSONInput]: ...
    def clear_run(self, dag_id: str, run_id: str, *, only_failed: bool) -> tuple[str, dict[str, JSONInput]]: ...
    def task_keys(self, instances: Sequence[TaskInstance]) -> list[JSONInput]: ...
    def group_filter(self, group_id: str | None) -> dict[str, JSONInput]: ...
    def dag_run(self, raw: JSON) -> DagRun: ...
    def task_instance(self, raw: JSON) -> TaskInstance: ...
    def xcom_value(self, value: JSON) -> JSON: ...
    def log_entries(self, raw: JSON) -> list[LogEntry]: ...
    def end_of_log(self, text: str) -> list[LogEntry]: ...
    def run_url(self, deployment_url: str, dag_id: str, run_id: str) -> str: ...


API_VERSIONS: dict[str, RestApi] = {"v1": v1, "v2": v2}


def other(api: RestApi) -> RestApi:
    """Return the other API version."""
    return API_VERSIONS["v1" if api.NAME == "v2" else "v2"]

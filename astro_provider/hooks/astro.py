"""AstroHook: one Deployment's REST API, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider import CONNECTION_FORM
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS
from astro_provider.api.errors import AstroError
from astro_provider.hooks.base import DeploymentHook
from astro_provider.waits.loop import wait_for_dag_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, Dag, DagRun, LogEntry, Pool, TaskInstance


class AstroHook(DeploymentHook):
    """
    One Deployment's REST API, from Python.

    Works with Airflow 2 (REST API v1) and Airflow 3 (v2) targets alike; results are plain dicts with the v2 names.
    Nothing is asked until a method is called, and the connections to the target are kept between calls. Every
    method that asks the target raises an ``AstroError`` of :mod:`astro_provider.api.errors`.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = "http_conn"
    conn_type = "astro"
    hook_name = "Astro"

    def __init__(self, http_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(http_conn_id, **kwargs)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Shape the connection form (asked by Airflow before 3.2, which reads the provider's metadata)."""
        return {key.replace("-", "_"): value for key, value in CONNECTION_FORM.items()}

    @property
    def api_version(self) -> ApiVersion:
        """
        Version of the target's REST API, ``"v1"`` (Airflow 2) or ``"v2"`` (Airflow 3).

        Asks ``GET version`` where neither the connection nor an earlier answer tells.
        """
        return self.run(self.client.api_version()).NAME

    def test_connection(self) -> tuple[bool, str]:
        """
        Ask the target for its version, then with the credentials for a dag (the "Test" on the connection page).

        :return: whether it works, and which Airflow answered or what is wrong
        """
        try:
            return True, self.run(self.client.test())
        except AstroError as error:
            return False, str(error)

    def request(
        self, method: str, endpoint: str, *, params: Mapping[str, JSON] | None = None, json: JSON = None
    ) -> JSON:
        """
        Ask any endpoint.

        :param method: HTTP method, e.g. ``"GET"``
        :param endpoint: path relative to ``/api/vN/``, e.g. ``"dags"``; taken as it is, so encode ids in it
        :param params: query string
        :param json: JSON body
        :return: the parsed answer; ``None`` for an empty one
        """
        return self.run(self.client.request(method, endpoint, params=params, body=json))

    def list_dags(self, **filters: JSON) -> list[Dag]:
        """
        List dags, all pages (``GET dags``).

        :param filters: query parameters of the endpoint, e.g. ``tags=["daily"]``; ``limit`` ends the list after so many
        :return: the dags, by id
        """
        return self.run(self.client.list_dags(**filters))

    def get_dag(self, dag_id: str) -> Dag:
        """
        Get a dag (``GET dags/{dag_id}``).

        :param dag_id: the dag
        :raise NotFoundError: no such dag; names those with similar ids
        """
        return self.run(self.client.get_dag(dag_id))

    def pause_dag(self, dag_id: str) -> Dag:
        """
        Pause a dag (``PATCH dags/{dag_id}``).

        :param dag_id: the dag
        :return: the dag as it is now
        """
        return self.run(self.client.set_paused(dag_id, paused=True))

    def unpause_dag(self, dag_id: str) -> Dag:
        """
        Unpause a dag (``PATCH dags/{dag_id}``).

        :param dag_id: the dag
        :return: the dag as it is now
        """
        return self.run(self.client.set_paused(dag_id, paused=False))

    def trigger_dag_run(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        logical_date: datetime | str | None = None,
        data_interval_start: datetime | str | None = None,
        data_interval_end: datetime | str | None = None,
        run_after: datetime | str | None = None,
        conf: Mapping[str, Any] | None = None,
        note: str | None = None,
        partition_key: str | None = None,
    ) -> DagRun:
        """
        Trigger a dag run (``POST dags/{dag_id}/dagRuns``); one request on a v2 target.

        Dates are datetimes or ISO 8601 text, UTC where they have no offset.

        :param dag_id: the dag
        :param run_id: id of the new run; the target makes one up where there is none
        :param logical_date: logical date; none on v2 (on v1: now) where it is ``None``, ``""`` or ``"None"``
        :param data_interval_start: start of the data interval, together with its end
        :param data_interval_end: end of the data interval
        :param run_after: earliest time at which the run may start (v2 targets)
        :param conf: the run's conf, a dict that JSON can hold
        :param note: a note on the run
        :param partition_key: partition of a partitioned dag (targets with Airflow 3.2+)
        :return: the new dag run
        :raise ConflictError: a run with this run id or logical date is there already
        :raise InvalidRequestError: with the target's reasons, field by field
        :raise RequestNotPossible: ``run_after`` or ``partition_key`` for a v1 target
        :raise ValueError: ``conf`` is not JSON, or a text is no date
        """
        return self.run(
            self.client.trigger_dag_run(
                dag_id,
                run_id=run_id,
                logical_date=logical_date,
                data_interval_start=data_interval_start,
                data_interval_end=data_interval_end,
                run_after=run_after,
                conf=conf,
                note=note,
                partition_key=partition_key,
            )
        )

    def get_dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """
        Get a dag run (``GET dags/{dag_id}/dagRuns/{run_id}``).

        :param dag_id: the dag
        :param run_id: the run
        :raise NotFoundError: no such run, or no such dag
        """
        return self.run(self.client.get_dag_run(dag_id, run_id))

    def list_dag_runs(self, dag_id: str, **filters: JSON) -> list[DagRun]:
        """
        List a dag's runs, all pages (``GET dags/{dag_id}/dagRuns``).

        :param dag_id: the dag, or ``"~"`` for all
        :param filters: query parameters with their v2 names, e.g. ``state=["failed"]``, ``order_by="-run_after"``
            (on a v1 target ``logical_date`` and ``run_after`` become ``execution_date``); ``limit`` ends the list
            after so many
        """
        return self.run(self.client.list_dag_runs(dag_id, **filters))

    def wait_for_dag_run(
        self,
        dag_id: str,
        run_id: str,
        *,
        poke_interval: float = DEFAULT_POKE_INTERVAL_SECONDS,
        timeout: float | None = None,
    ) -> DagRun:
        """
        Wait until a dag run is over, however it ends; log its state when that changes.

        A target that is down, even at the first check, is waited for until ``timeout``.

        :param dag_id: the dag
        :param run_id: the run
        :param poke_interval: seconds between two checks, at least 0.5 (less is raised to that)
        :param timeout: seconds to wait at most, ``None`` for ever
        :return: the run, its ``state`` is ``success`` or ``failed``
        :raise WaitTimeoutError: it was not over in time
        :raise ValueError: ``poke_interval`` or ``timeout`` is negative, NaN, infinite or no number
        """
        return self.run(
            wait_for_dag_run(
                self.client,
                dag_id,
                run_id,
                poke_interval=poke_interval,
                timeout=timeout,
                on_change=lambda run: self.log.info("Dag run %s of dag %s is %s", run_id, dag_id, run["state"]),
                on_tolerated_error=lambda error: self.log.warning("Still waiting: %s", error),
            )
        )

    def clear_dag_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> DagRun:
        """
        Clear a dag run, so that it runs again (v2: ``POST dagRuns/{run_id}/clear``; v1 also ``clearTaskInstances``).

        :param dag_id: the dag
        :param run_id: the run
        :param only_failed: clear its failed tasks only
        :return: the run as it is then
        """
        return self.run(self.client.clear_dag_run(dag_id, run_id, only_failed=only_failed))

    def cancel_dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """
        Cancel a dag run: it is marked failed, and what it runs is ended (``PATCH dagRuns/{run_id}``).

        :param dag_id: the dag
        :param run_id: the run
        :return: the run as it is then
        """
        return self.run(self.client.cancel_dag_run(dag_id, run_id))

    def list_task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """
        List the task instances of a dag run, all pages (``GET dagRuns/{run_id}/taskInstances``).

        :param dag_id: the dag
        :param run_id: the run
        """
        return self.run(self.client.list_task_instances(dag_id, run_id))

    def get_task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1
    ) -> list[LogEntry]:
        """
        Get the log of a task instance (``GET taskInstances/{task_id}/logs/{try_number}``).

        :param dag_id: the dag
        :param run_id: the run
        :param task_id: the task
        :param try_number: which try, ``None`` for the newest (one request more)
        :param map_index: which one of a mapped task, -1 for a task that is not mapped
        :return: the entries; lines of text on a v1 target
        """
        return self.run(self.client.get_task_log(dag_id, run_id, task_id, try_number=try_number, map_index=map_index))

    def get_xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int | None = None
    ) -> JSON:
        """
        Get the value of an XCom (``GET taskInstances/{task_id}/xcomEntries/{key}``).

        :param dag_id: the dag
        :param run_id: the run
        :param task_id: the task that pushed it
        :param key: its key
        :param map_index: which one of a mapped task, ``None`` for a task that is not mapped
        :return: the value
        :raise NotFoundError: there is none
        """
        return self.run(self.client.get_xcom(dag_id, run_id, task_id, key=key, map_index=map_index))

    def list_pools(self) -> list[Pool]:
        """List all pools (``GET pools``)."""
        return self.run(self.client.list_pools())

"""AstroHook: the REST API of one Airflow Deployment, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider import CONNECTION_FORM
from astro_provider.api.dates import NOW
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS
from astro_provider.api.errors import AstroError
from astro_provider.hooks.base import DeploymentHook
from astro_provider.waits.loop import wait_for_dag_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from astro_provider.api.deployment import ApiVersion
    from astro_provider.api.types import JSON, Dag, DagRun, JSONInput, LogEntry, Pool, TaskInstance


class AstroHook(DeploymentHook):
    """
    The REST API of one Airflow Deployment, from Python.

    The Deployment can run Airflow 2 (REST API v1) or Airflow 3 (v2). Results are plain dicts with the key names of v2,
    see :mod:`astro_provider.api.types`. The hook sends no request until a method is called, and keeps its connections
    to the Deployment open until :meth:`close`, or until the end of a ``with`` block.

    Every method that sends a request raises an :class:`~astro_provider.api.errors.AstroError` if it fails:

    * ``ConnectionConfigError`` or ``ConnectionUnreadableError``: the Airflow connection is wrong or cannot be read,
    * ``TransportError``: no response, or only a part of one,
    * ``AccessDeniedError``: 401 or 403; ``NotFoundError``: 404; ``ConflictError``: 409; ``InvalidRequestError``: 400 or
      422; ``TargetUnavailableError``: 408, 421, 425, 429 or 5xx; ``TargetError``: any other error status,
    * ``NotAirflowError``: a response that no Airflow sends; ``UnexpectedAnswerError``: a response that cannot be used.

    The methods below name only the errors that mean something special for them. Requests that are safe to repeat are
    sent again up to twice after an error that might be transient.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``http_conn``
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = "http_conn"
    conn_type = "astro"
    hook_name = "Astro"

    def __init__(self, http_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(http_conn_id, **kwargs)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the form of a connection of type ``astro``, for Airflow before 3.2; later ones read the metadata."""
        return {key.replace("-", "_"): value for key, value in CONNECTION_FORM.items()}

    @property
    def api_version(self) -> ApiVersion:
        """
        Version of the target's REST API: ``"v1"`` (Airflow 2) or ``"v2"`` (Airflow 3).

        Sends ``GET version`` if neither the connection nor an earlier response gives the version.
        """
        return self.run(self.client.api_version()).NAME

    def test_connection(self) -> tuple[bool, str]:
        """
        Test the connection (the "Test" button on the connection page of Airflow).

        Sends ``GET version`` and, to check the credentials, ``GET dags``.

        :return: whether the connection works, and a message: the Airflow version, or what is wrong. Raises no
            ``AstroError``
        """
        try:
            return True, self.run(self.client.test())
        except AstroError as error:
            return False, str(error)

    def request(
        self,
        method: str,
        endpoint: str,
        *,
        params: Mapping[str, JSONInput] | None = None,
        json: JSONInput = None,
    ) -> JSON:
        """
        Send a request to any endpoint of the REST API.

        :param method: HTTP method, e.g. ``"GET"``
        :param endpoint: path relative to ``/api/vN/``, e.g. ``"dags"``. Ids in it must be percent-encoded
        :param params: query parameters; by default none
        :param json: JSON body; by default none
        :return: the parsed response, with the key names of the API version that the target has; ``None`` for an empty
            response
        :raise RequestNotPossible: the endpoint is not relative to ``/api/vN/``
        """
        return self.run(self.client.request(method, endpoint, params=params, body=json))

    def list_dags(self, **filters: JSONInput) -> list[Dag]:
        """
        List dags (``GET dags``), all pages.

        :param filters: query parameters of the endpoint, e.g. ``tags=["daily"]``; ``limit`` is the maximum number of
            dags
        :return: the dags, ordered by dag id unless ``order_by`` is given
        """
        return self.run(self.client.list_dags(**filters))

    def get_dag(self, dag_id: str) -> Dag:
        """
        Get a dag (``GET dags/{dag_id}``).

        :param dag_id: the dag
        :return: the dag
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        """
        return self.run(self.client.get_dag(dag_id))

    def pause_dag(self, dag_id: str) -> Dag:
        """
        Pause a dag (``PATCH dags/{dag_id}``).

        :param dag_id: the dag
        :return: the dag after the change
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        """
        return self.run(self.client.set_paused(dag_id, paused=True))

    def unpause_dag(self, dag_id: str) -> Dag:
        """
        Unpause a dag (``PATCH dags/{dag_id}``).

        :param dag_id: the dag
        :return: the dag after the change
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        """
        return self.run(self.client.set_paused(dag_id, paused=False))

    def trigger_dag_run(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        logical_date: datetime | str | None = NOW,
        data_interval_start: datetime | str | None = None,
        data_interval_end: datetime | str | None = None,
        run_after: datetime | str | None = None,
        conf: Mapping[str, Any] | None = None,
        note: str | None = None,
        partition_key: str | None = None,
    ) -> DagRun:
        """
        Trigger a dag run (``POST dags/{dag_id}/dagRuns``).

        Dates are datetimes or ISO 8601 text; without a UTC offset, they are in UTC. ``None``, ``""`` and ``"None"``
        mean that a date is not given.

        :param dag_id: the dag
        :param run_id: id of the new run; by default, the target generates one
        :param logical_date: logical date; by default ``"now"``, the current time, unless ``run_after`` is given. If
            another run has this logical date by chance, the request is sent again with a later time. ``None`` is for a
            run without one (API v2); an Airflow 2 target takes the current time
        :param data_interval_start: start of the data interval; to be given together with its end
        :param data_interval_end: end of the data interval
        :param run_after: earliest time at which the run can start (targets with Airflow 3.0 or later); by default now
        :param conf: conf of the run, a dict that can be written as JSON
        :param note: note of the run
        :param partition_key: partition of a partitioned dag (targets with Airflow 3.2 or later)
        :return: the new dag run
        :raise ConflictError: a run with this run id or logical date exists already
        :raise InvalidRequestError: the target refuses a parameter; the message has its reasons, field by field
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
        :raise RequestNotPossible: ``run_after`` or ``partition_key`` for a target with API v1
        :raise InvalidParameterError: ``conf`` cannot be written as JSON, or a value is not a date
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
        :return: the dag run
        :raise NotFoundError: the run or the dag does not exist
        """
        return self.run(self.client.get_dag_run(dag_id, run_id))

    def list_dag_runs(self, dag_id: str, **filters: JSONInput) -> list[DagRun]:
        """
        List the runs of a dag (``GET dags/{dag_id}/dagRuns``), all pages.

        :param dag_id: the dag; ``"~"`` for all dags
        :param filters: query parameters of the endpoint with their names in API v2, e.g. ``state=["failed"]`` or
            ``order_by="-run_after"``; ``limit`` is the maximum number of runs. On a target with API v1,
            ``logical_date`` and ``run_after`` become ``execution_date``
        :return: the runs, in the target's order unless ``order_by`` is given
        :raise NotFoundError: the dag does not exist; the message names dags with similar ids
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
        Wait until a dag run has finished (``GET dags/{dag_id}/dagRuns/{run_id}`` at each check).

        Logs the state of the run when it changes. Transient errors are tolerated until ``timeout``, even at the first
        check.

        :param dag_id: the dag
        :param run_id: the run
        :param poke_interval: the longest interval between two checks in seconds, by default 5; less than 0.5 counts as
            0.5. The interval is one second at first, and then a tenth of the time waited so far
        :param timeout: maximum time to wait in seconds; by default ``None``, without limit
        :return: the dag run, whose ``state`` is ``success`` or ``failed``
        :raise WaitTimeoutError: the run has not finished after ``timeout`` seconds
        :raise NotFoundError: the run or the dag does not exist
        :raise InvalidParameterError: ``poke_interval`` or ``timeout`` is not a finite number of 0 or more
        """
        return self.run(
            wait_for_dag_run(
                self.client,
                dag_id,
                run_id,
                poke_interval=poke_interval,
                timeout=timeout,
                log=self.log.info,
                warn=self.log.warning,
            )
        )

    def clear_dag_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> DagRun:
        """
        Clear a dag run, so that it runs again.

        The endpoint is ``POST dags/{dag_id}/dagRuns/{run_id}/clear``; on API v1 with ``only_failed``, it is
        ``POST dags/{dag_id}/clearTaskInstances``. A second request gets the run.

        :param dag_id: the dag
        :param run_id: the run
        :param only_failed: whether to clear only its failed tasks; by default ``False``
        :return: the dag run after the change
        :raise NotFoundError: the run or the dag does not exist
        """
        return self.run(self.client.clear_dag_run(dag_id, run_id, only_failed=only_failed))

    def cancel_dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """
        Cancel a dag run by marking it failed (``PATCH dags/{dag_id}/dagRuns/{run_id}``).

        Airflow ends its running tasks and skips those that have not started.

        :param dag_id: the dag
        :param run_id: the run
        :return: the dag run after the change
        :raise NotFoundError: the run or the dag does not exist
        """
        return self.run(self.client.cancel_dag_run(dag_id, run_id))

    def list_task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """
        List the task instances of a dag run (``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances``), all pages.

        :param dag_id: the dag
        :param run_id: the run
        :return: the task instances, in the target's order
        :raise NotFoundError: the run or the dag does not exist
        :raise UnexpectedAnswerError: the list changes so often that it could not be read completely
        """
        return self.run(self.client.list_task_instances(dag_id, run_id))

    def get_task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1
    ) -> list[LogEntry]:
        """
        Get the log of one try of a task instance.

        The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}``.

        :param dag_id: the dag
        :param run_id: the run
        :param task_id: the task
        :param try_number: the try, counted from 1; by default the latest, which takes one more request
        :param map_index: map index of a mapped task instance; by default -1, for a task that is not mapped
        :return: the entries of the log; on an Airflow 2 target, these are lines of text
        :raise NotFoundError: the dag, run, task instance or try does not exist
        :raise UnexpectedAnswerError: the log is larger than 32 MiB
        """
        return self.run(self.client.get_task_log(dag_id, run_id, task_id, try_number=try_number, map_index=map_index))

    def get_xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int | None = None
    ) -> JSON:
        """
        Get the value of an XCom, or the values of a mapped task.

        The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}``. A mapped task
        without ``map_index`` takes at least two requests, and another one for each value.

        :param dag_id: the dag
        :param run_id: the run
        :param task_id: the task that pushed the XCom
        :param key: key of the XCom, by default ``return_value``
        :param map_index: map index of a mapped task instance; by default ``None``: all instances, if the task is mapped
        :return: the value; as text on Airflow before 2.10, and on Airflow 2 with ``enable_xcom_pickling``. A value that
            JSON does not have is represented as the target does it: by a dict with ``__classname__`` on Airflow 3, by
            text on Airflow 2. Of a mapped task without ``map_index``, the list of the values in order of map index,
            without the instances that have none
        :raise NotFoundError: the XCom does not exist
        """
        return self.run(self.client.get_xcom(dag_id, run_id, task_id, key=key, map_index=map_index))

    def list_pools(self) -> list[Pool]:
        """
        List pools (``GET pools``), all pages.

        :return: the pools, in the target's order
        """
        return self.run(self.client.list_pools())

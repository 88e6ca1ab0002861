"""The REST API of one Deployment as flows, which a hook runs."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from astro_provider.api import calls
from astro_provider.api.any_endpoint import any_endpoint, unchanged
from astro_provider.api.call import Call
from astro_provider.api.dates import NOW, iso, iso_or_now
from astro_provider.api.errors import (
    InvalidParameterError,
    NotFoundError,
    TargetError,
    TargetUnavailableError,
)
from astro_provider.api.exchange import Exchange
from astro_provider.api.memory import memory_of
from astro_provider.api.paging import DAG_KEYS, POOL_KEYS, RUN_KEYS, TASK_INSTANCE_KEYS, read_list
from astro_provider.api.parsing import collection_key, collection_reader, mapping
from astro_provider.api.tokens import expires_soon, expiry_date
from astro_provider.api.trigger_now import trigger_now
from astro_provider.api.xcoms import TaskXComs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON, Dag, DagRun, JSONInput, LogEntry, Page, Pool, TaskInstance

P = ParamSpec("P")
T = TypeVar("T")


class Client(Exchange):
    """
    The REST API of one Deployment as flows.

    A method that returns a ``Flow`` sends nothing by itself: a hook runs the flow, which raises an ``AstroError`` if it
    fails. The parameters, results and errors of methods that ``AstroHook`` has as well are documented there.
    """

    def use(self, deployment: Deployment) -> None:
        """
        Replace the Deployment after its Airflow connection was read again.

        Flows that are already running use the new URL and credentials from their next call on.

        :param deployment: the Deployment as the connection describes it now
        """
        former, known = self.deployment, self.memory
        self.deployment = deployment
        # A request that is already under way was sent with the former credentials, and its response can contain them.
        self._former_secrets = (*former.secrets, *filter(None, [known.token]))
        self.memory = memory_of(deployment)
        if deployment.url == former.url and self.memory.api_version is None:
            self.memory.api_version, self.memory.clock_lead = known.api_version, known.clock_lead

    def request(
        self,
        method: str,
        endpoint: str,
        *,
        params: Mapping[str, JSONInput] | None = None,
        body: JSONInput = None,
        headers: Mapping[str, str] | None = None,
        allowed_statuses: tuple[int, ...] = (),
        note_status: Callable[[int], None] | None = None,
    ) -> Flow[JSON]:
        """
        Send a request to any endpoint; see ``AstroHook.request``.

        :param body: request body; a string is sent unchanged, anything else as JSON
        :param headers: additional request headers
        :param allowed_statuses: HTTP statuses beside 2xx whose response is a result; by default none
        :param note_status: called with the HTTP status of a response that is a result
        """
        call = any_endpoint(
            method,
            endpoint,
            params=params,
            body=body,
            headers=headers,
            allowed_statuses=allowed_statuses,
            note_status=note_status,
        )

        def make_call(_: RestApi) -> Call[JSON]:
            return call

        return self.call(make_call)

    def all_pages(
        self,
        endpoint: str,
        *,
        params: Mapping[str, JSONInput] | None = None,
        headers: Mapping[str, str] | None = None,
        note_status: Callable[[int], None] | None = None,
    ) -> Flow[dict[str, JSON]]:
        """
        Get all pages of a collection.

        :param endpoint: path relative to ``/api/vN/``, e.g. ``"assets"``
        :param params: query parameters of every page
        :param headers: additional request headers
        :param note_status: called with the HTTP status of each page
        :return: a dict like that of one page, with the rows of all pages
        :raise UnexpectedAnswerError: the response is not a collection
        """
        last_page: dict[str, JSON] = {}

        def read(raw: JSON) -> tuple[list[JSON], int]:
            last_page.update(mapping(raw, "a collection"))
            return collection_reader(collection_key(raw), unchanged)(raw)

        def make_call(_: RestApi, page: Page) -> Call[tuple[list[JSON], int]]:
            call = any_endpoint(
                "GET", endpoint, params={**(params or {}), **page}, headers=headers, note_status=note_status
            )
            return Call(
                method=call.method,
                path=call.path,
                read=read,
                about=call.about,
                params=call.params,
                headers=call.headers,
                note_status=call.note_status,
            )

        rows = yield from read_list(self.pages(make_call))
        return {**last_page, collection_key(last_page): rows, "total_entries": len(rows)}

    def test(self) -> Flow[str]:
        """Get the Airflow version and, to check the credentials, one dag; the result is a text for users."""
        version = yield from self.call(calls.version)
        yield from self.call(calls.list_dags, {"limit": 1}, {})
        return (
            f"Airflow {version} (REST API {self._assumed().NAME}) answers at {self.deployment.url}, "
            f"and accepts the credentials.{self._expiry()}"
        )

    def _expiry(self) -> str:
        """Write when the token expires, as the end of a text; empty if it does not say so."""
        # Without the id of the connection: Airflow tests a copy of the connection, whose id is random.
        expires = self.deployment.expires
        if expires is None:
            return ""
        if expires_soon(expires, self.clock()):
            advice = "Put a new API token of this Deployment into the connection."
            return f" Warning: the token expires on {expiry_date(expires)}. {advice}"
        return f" The token expires on {expiry_date(expires)}."

    def get_dag(self, dag_id: str) -> Flow[Dag]:
        """Get a dag."""
        return self.call(calls.get_dag, dag_id)

    def set_paused(self, dag_id: str, *, paused: bool) -> Flow[Dag]:
        """Pause or unpause a dag."""
        return self.call(calls.set_paused, dag_id, paused=paused)

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
        idempotent: bool = False,
    ) -> Flow[DagRun]:
        """
        Trigger a dag run; see ``AstroHook.trigger_dag_run``.

        :param idempotent: whether nothing else uses ``run_id``, so that the request can be sent again if its response
            is lost. If the first request created the run, the second one raises a ``ConflictError``
        """
        try:
            # Writing and parsing JSON refuses values that JSON cannot represent, and converts others, such as tuples.
            plain_conf = None if conf is None else json.loads(json.dumps(conf, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidParameterError(f"conf must be JSON: {error}") from None
        date = iso_or_now("logical_date", logical_date)
        fields: dict[str, JSONInput] = {
            "dag_run_id": run_id,
            "logical_date": None if date == NOW else date,
            "data_interval_start": iso("data_interval_start", data_interval_start),
            "data_interval_end": iso("data_interval_end", data_interval_end),
            "run_after": iso("run_after", run_after),
            "conf": plain_conf,
            "note": note,
            "partition_key": partition_key,
        }
        if date == NOW and fields["run_after"] is None:
            return trigger_now(self, dag_id, fields, idempotent=idempotent)
        return self.call(calls.trigger_dag_run, dag_id, fields, idempotent=idempotent)

    def get_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun]:
        """Get a dag run."""
        return self.call(calls.get_dag_run, dag_id, run_id)

    def clear_dag_run(self, dag_id: str, run_id: str, *, only_failed: bool) -> Flow[DagRun]:
        """Clear a dag run, and get it afterwards."""
        yield from self.call(calls.clear_dag_run, dag_id, run_id, only_failed=only_failed)
        return (yield from self.get_dag_run(dag_id, run_id))

    def cancel_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun]:
        """Mark a dag run failed, which ends its running tasks."""
        return self.call(calls.set_run_state, dag_id, run_id, "failed")

    def list_dags(self, **filters: JSONInput) -> Flow[list[Dag]]:
        """List dags, all pages; ``limit`` is the maximum number of dags."""
        limit = filters.pop("limit", None)
        return read_list(self.pages(calls.list_dags, {"order_by": "dag_id", **filters}), DAG_KEYS, limit)

    def list_pools(self) -> Flow[list[Pool]]:
        """List pools, all pages."""
        return read_list(self.pages(calls.list_pools), POOL_KEYS)

    def list_dag_runs(self, dag_id: str, **filters: JSONInput) -> Flow[list[DagRun]]:
        """List the runs of a dag, all pages; ``limit`` is the maximum number of runs."""
        limit = filters.pop("limit", None)
        return read_list(self.pages(calls.list_dag_runs, dag_id, filters), RUN_KEYS, limit)

    def list_task_instances(
        self, dag_id: str, run_id: str, *, group_id: str | None = None, **filters: JSONInput
    ) -> Flow[list[TaskInstance]]:
        """
        List the task instances of a run, all pages.

        :param run_id: the run; ``~`` for all runs
        :param group_id: only this task group (Airflow 3.1.8 and later; earlier versions list the whole run)
        :param filters: query parameters of the endpoint, e.g. ``state``
        """
        pages = self.pages(calls.list_task_instances, dag_id, run_id, filters, group_id=group_id)
        return read_list(pages, TASK_INSTANCE_KEYS)

    def list_instances_of_tasks(
        self, dag_id: str, run_ids: Sequence[str], task_ids: Sequence[str]
    ) -> Flow[list[TaskInstance]]:
        """
        List only the instances of the given tasks of some runs, with one list for each hundred runs.

        If the target refuses such a list, because the token cannot list across dags or the target is an early
        Airflow 2, all task instances of each run are listed. A run that does not exist has none.
        """
        found: list[TaskInstance] = []
        try:
            for first in range(0, len(run_ids), calls.PAGE_SIZE):
                ids = run_ids[first : first + calls.PAGE_SIZE]
                filters = {"dag_ids": [dag_id], "dag_run_ids": ids, "task_ids": task_ids}
                found += yield from read_list(self.pages(calls.search_task_instances, filters), TASK_INSTANCE_KEYS)
            return found
        except TargetError as error:
            if isinstance(error, TargetUnavailableError) or error.status == 401:
                raise
        found.clear()
        for run_id in run_ids:
            with suppress(NotFoundError):
                found += yield from self.list_task_instances(dag_id, run_id)
        return [instance for instance in found if instance["task_id"] in task_ids]

    def pages(
        self,
        endpoint: Callable[Concatenate[RestApi, Page, P], Call[tuple[list[T], int]]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Callable[[Page], Flow[tuple[list[T], int]]]:
        """
        Make the function that gets one page of a list, for :func:`~astro_provider.api.paging.read_list`.

        :param endpoint: function that makes the call for a page, e.g. ``calls.list_dags``
        :param args: arguments of ``endpoint`` after the API version and the page
        """

        def get_page(page: Page) -> Flow[tuple[list[T], int]]:
            return self.call(endpoint, page, *args, **kwargs)

        return get_page

    def at_target(self, at: float) -> str:
        """
        Convert a time of the local clock to the target's clock.

        :param at: the time, in seconds since the epoch
        :return: ISO 8601 text in UTC
        """
        return datetime.fromtimestamp(at + self.memory.clock_lead, timezone.utc).isoformat()

    def find_by_logical_date(self, dag_id: str, logical_date: str) -> Flow[DagRun | None]:
        """Find the run of a dag with this logical date (ISO 8601 text); ``None`` if it does not exist."""
        runs = yield from self.list_dag_runs(
            dag_id, logical_date_gte=logical_date, logical_date_lte=logical_date, limit=1
        )
        return runs[0] if runs else None

    def find_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun | None]:
        """Find a dag run by its id; ``None`` if the run or the dag does not exist."""
        return self.find(calls.get_dag_run, dag_id, run_id)

    def get_task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1
    ) -> Flow[list[LogEntry]]:
        """Get the log of a task instance, by default of its latest try."""
        if try_number is None:
            instance = yield from self.call(calls.get_task_instance, dag_id, run_id, task_id, map_index)
            try_number = instance["try_number"]
        return (yield from self.call(calls.get_task_log, dag_id, run_id, task_id, try_number, map_index))

    def get_xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int | None = None
    ) -> Flow[JSON]:
        """Get the value of an XCom; without ``map_index``, the list of values if the task is mapped."""
        return TaskXComs(self, dag_id, run_id, task_id, key).get(map_index)

    def xcom_as_json(self, value: JSON) -> JSON:
        """
        Return the value of an XCom as JSON, for the API version that is known or assumed.

        :param value: the value as the target represents it
        :raise NotJSONError: the value is, or contains, one that JSON does not have
        """
        return self._assumed().xcom_value(value)

    def api_has_group_filter(self) -> bool:
        """Whether the target's API version can filter task instances by task group (Airflow 3.1.8 and later do)."""
        return self._assumed().FILTERS_BY_GROUP

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the URL of a dag run in the target's UI, for the API version that is known or assumed."""
        return self._assumed().run_url(self.deployment.url, dag_id, run_id)


def client_of(deployment: Deployment) -> Client:
    """
    Make a client that shares what this process has learned about the Deployment.

    :param deployment: the target
    """
    return Client(deployment, memory_of(deployment))

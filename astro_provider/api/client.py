"""One Deployment's REST API as flows: what a hook offers, before anything carries it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from astro_provider.api import calls
from astro_provider.api.any_endpoint import any_endpoint, unchanged
from astro_provider.api.call import Call
from astro_provider.api.dates import iso
from astro_provider.api.errors import (
    InvalidParameterError,
    TargetError,
    TargetUnavailableError,
)
from astro_provider.api.exchange import Exchange
from astro_provider.api.failures import describe_failure
from astro_provider.api.memory import memory_of
from astro_provider.api.paging import DAG_KEYS, POOL_KEYS, RUN_KEYS, TASK_INSTANCE_KEYS, read_list
from astro_provider.api.parsing import collection_key, collection_reader, mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON, Dag, DagRun, JSONInput, LogEntry, Page, Pool, TaskInstance

P = ParamSpec("P")
T = TypeVar("T")


class Client(Exchange):
    """Every method is a flow (see ``exchange``) and raises what ``errors`` lists."""

    def use(self, deployment: Deployment) -> None:
        """
        Continue with the Deployment as its connection describes it now; flows that are under way do, too.

        :param deployment: what the same Airflow connection says now
        """
        former, known = self.deployment, self.memory
        self.deployment = deployment
        # The answer to a request that is under way may still contain what that request was sent with.
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
    ) -> Flow[JSON]:
        """Ask any endpoint; the parsed answer."""
        call = any_endpoint(method, endpoint, params=params, body=body, headers=headers)

        def make_call(_: RestApi) -> Call[JSON]:
            return call

        return self.call(make_call)

    def all_pages(
        self, endpoint: str, *, params: Mapping[str, JSONInput] | None = None, headers: Mapping[str, str] | None = None
    ) -> Flow[dict[str, JSON]]:
        """Ask for a collection, page after page; the answer has the form of one page, with the items of all."""
        last_page: dict[str, JSON] = {}

        def read(raw: JSON) -> tuple[list[JSON], int]:
            last_page.update(mapping(raw, "a collection"))
            return collection_reader(collection_key(raw), unchanged)(raw)

        def make_call(_: RestApi, page: Page) -> Call[tuple[list[JSON], int]]:
            call = any_endpoint("GET", endpoint, params={**(params or {}), **page}, headers=headers)
            return Call(
                method=call.method,
                path=call.path,
                read=read,
                about=call.about,
                params=call.params,
                headers=call.headers,
            )

        rows = yield from read_list(self.pages(make_call))
        return {**last_page, collection_key(last_page): rows, "total_entries": len(rows)}

    def test(self) -> Flow[str]:
        """Ask which Airflow answers, then with the credentials for a dag; say so in a sentence."""
        version = yield from self.call(calls.version)
        yield from self.call(calls.list_dags, {"limit": 1}, {})
        return (
            f"Airflow {version} (REST API {self._assumed().NAME}) answers at {self.deployment.url}, "
            "and accepts the credentials."
        )

    def get_dag(self, dag_id: str) -> Flow[Dag]:
        """Ask for a dag."""
        return self.call(calls.get_dag, dag_id)

    def set_paused(self, dag_id: str, *, paused: bool) -> Flow[Dag]:
        """Pause or unpause a dag."""
        return self.call(calls.set_paused, dag_id, paused=paused)

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
        idempotent: bool = False,
    ) -> Flow[DagRun]:
        """
        Create a dag run; see ``AstroHook.trigger_dag_run``.

        :param idempotent: whether nobody else uses ``run_id``, so that the request can be sent again when its answer
            is lost; it is a conflict then, if the run was created
        """
        try:
            # Round trip: what JSON cannot hold is refused here, what it holds otherwise (tuples) is what is sent.
            plain_conf = None if conf is None else json.loads(json.dumps(conf, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidParameterError(f"conf must be JSON: {error}") from None
        fields: dict[str, JSONInput] = {
            "dag_run_id": run_id,
            "logical_date": iso("logical_date", logical_date),
            "data_interval_start": iso("data_interval_start", data_interval_start),
            "data_interval_end": iso("data_interval_end", data_interval_end),
            "run_after": iso("run_after", run_after),
            "conf": plain_conf,
            "note": note,
            "partition_key": partition_key,
        }
        return self.call(calls.trigger_dag_run, dag_id, fields, idempotent=idempotent)

    def get_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun]:
        """Ask for a dag run."""
        return self.call(calls.get_dag_run, dag_id, run_id)

    def clear_dag_run(self, dag_id: str, run_id: str, *, only_failed: bool) -> Flow[DagRun]:
        """Clear a dag run, then ask for it."""
        yield from self.call(calls.clear_dag_run, dag_id, run_id, only_failed=only_failed)
        return (yield from self.get_dag_run(dag_id, run_id))

    def cancel_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun]:
        """Mark a dag run failed, which ends what it runs."""
        return self.call(calls.set_run_state, dag_id, run_id, "failed")

    def list_dags(self, **filters: JSONInput) -> Flow[list[Dag]]:
        """Ask for all dags that the filters let through."""
        limit = filters.pop("limit", None)
        return read_list(self.pages(calls.list_dags, {"order_by": "dag_id", **filters}), DAG_KEYS, limit)

    def list_pools(self) -> Flow[list[Pool]]:
        """Ask for all pools."""
        return read_list(self.pages(calls.list_pools), POOL_KEYS)

    def list_dag_runs(self, dag_id: str, **filters: JSONInput) -> Flow[list[DagRun]]:
        """Ask for all runs of a dag that the filters let through; a ``limit`` ends the list after so many."""
        limit = filters.pop("limit", None)
        return read_list(self.pages(calls.list_dag_runs, dag_id, filters), RUN_KEYS, limit)

    def list_task_instances(
        self, dag_id: str, run_id: str, *, group_id: str | None = None, **filters: JSONInput
    ) -> Flow[list[TaskInstance]]:
        """List all task instances of a run that the filters let through."""
        pages = self.pages(calls.list_task_instances, dag_id, run_id, filters, group_id=group_id)
        return read_list(pages, TASK_INSTANCE_KEYS)

    def list_instances_of_tasks(self, dag_id: str, run_id: str, task_ids: Sequence[str]) -> Flow[list[TaskInstance]]:
        """
        List the instances of some tasks of a run.

        One request, but for more than a page. Where the target does not take it (the token may not list across dags,
        or the target is an early Airflow 2), all task instances of the run are listed.
        """
        filters = {"dag_ids": [dag_id], "dag_run_ids": [run_id], "task_ids": task_ids}
        try:
            return (yield from read_list(self.pages(calls.search_task_instances, filters), TASK_INSTANCE_KEYS))
        except TargetError as error:
            if isinstance(error, TargetUnavailableError) or error.status == 401:
                raise
        instances = yield from self.list_task_instances(dag_id, run_id)
        return [instance for instance in instances if instance["task_id"] in task_ids]

    def pages(
        self,
        endpoint: Callable[Concatenate[RestApi, Page, P], Call[tuple[list[T], int]]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Callable[[Page], Flow[tuple[list[T], int]]]:
        """
        Make the function that gets one page of a list, for :func:`read_list`.

        :param endpoint: a function of ``calls`` that lists something
        :param args: further arguments of ``endpoint``
        """

        def get_page(page: Page) -> Flow[tuple[list[T], int]]:
            return self.call(endpoint, page, *args, **kwargs)

        return get_page

    def at_target(self, at: float) -> str:
        """Write a time of our clock (seconds since the epoch) as the target's clock has it."""
        return datetime.fromtimestamp(at + self.memory.clock_lead, timezone.utc).isoformat()

    def find_by_logical_date(self, dag_id: str, logical_date: str) -> Flow[DagRun | None]:
        """Find the run of a dag that has this logical date."""
        runs = yield from self.list_dag_runs(
            dag_id, logical_date_gte=logical_date, logical_date_lte=logical_date, limit=1
        )
        return runs[0] if runs else None

    def find_dag_run(self, dag_id: str, run_id: str) -> Flow[DagRun | None]:
        """Find a dag run by its id; ``None`` where there is none (or no such dag)."""
        return self.find(calls.get_dag_run, dag_id, run_id)

    def get_task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1
    ) -> Flow[list[LogEntry]]:
        """Ask for the log of a task instance, by default of its newest try."""
        if try_number is None:
            instance = yield from self.call(calls.get_task_instance, dag_id, run_id, task_id, map_index)
            try_number = instance["try_number"]
        return (yield from self.call(calls.get_task_log, dag_id, run_id, task_id, try_number, map_index))

    def get_xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int | None = None
    ) -> Flow[JSON]:
        """Ask for the value of an XCom."""
        return self.call(calls.get_xcom, dag_id, run_id, task_id, key, map_index)

    def lists_groups(self) -> bool:
        """Say whether the target's lists of task instances can be told a task group."""
        return self._assumed().FILTERS_BY_GROUP

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Say where the target's UI shows a dag run, for the API version that is known or assumed."""
        return self._assumed().run_url(self.deployment.url, dag_id, run_id)

    def describe_failure(self, run: DagRun, *, tasks: list[TaskInstance] | None = None) -> Flow[str]:
        """Say what failed in a dag run; see ``failures.describe_failure``."""
        return describe_failure(self, run, tasks=tasks)


def client_of(deployment: Deployment) -> Client:
    """
    Make a client that shares what this process has learned of the Deployment.

    :param deployment: the target
    """
    return Client(deployment, memory_of(deployment))

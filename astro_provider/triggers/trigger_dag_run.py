"""The trigger that does all the work of a trigger operator that starts in the triggerer (Airflow 3.3 and later)."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import AirflowSkipException, XCom, call_supervisor, task_instance_key
from astro_provider.api.errors import AstroError, InvalidParameterError
from astro_provider.api.message import dag_subject, first_line, with_details
from astro_provider.api.results import read_result
from astro_provider.links import XCOM_RUN_ID, XCOM_URL
from astro_provider.tasks.cancel import cancel_in_triggerer, not_cancelled, run_to_completion
from astro_provider.tasks.execution_timeout import deadline_in_triggerer, timed_out
from astro_provider.tasks.planned_run import STORE_KEY, fields_of_first_try, plan_first_try
from astro_provider.tasks.rendered_result import RETURN_VALUE
from astro_provider.tasks.run_request import read_request
from astro_provider.tasks.task_state import deferral_ended
from astro_provider.tasks.trigger_run import trigger_run
from astro_provider.triggers.dag_run import wait_for_event
from astro_provider.triggers.events import EventOutcome, error_event, restart_event, skip_event, success_event
from astro_provider.triggers.task_trigger import TaskTrigger
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow.triggers.base import TriggerEvent

    from astro_provider.api.types import JSON, DagRun
    from astro_provider.tasks.planned_run import PlannedRun
    from astro_provider.tasks.run_request import RunRequest
    from astro_provider.triggers.events import EventPayload


@dataclass(frozen=True)
class RemoteRun:
    """
    The run that the task triggered, or that it continues with.

    :param run_id: its run id
    :param attached: whether the task attached, or might have attached, to a run that it did not create
    :param run: the run; ``None`` if it was triggered before the triggerer was restarted
    """

    run_id: str
    attached: bool
    run: DagRun | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class AstroTriggerDagRunTrigger(TaskTrigger):
    """
    Triggers a dag run, waits for it if that is asked for, and ends the task; see :class:`TaskTrigger`.

    Only the first try of a task is done here. Any later try starts again on a worker, because the triggerer cannot
    find out whether the task is retried or was cleared.

    If the triggerer stops, Airflow starts this trigger again, maybe in another triggerer. It then finds the run that it
    has created in the XCom ``trigger_run_id`` or, if it was stopped before it could store it, in the target.

    The parameters up to ``result_key`` are those of
    :class:`~astro_provider.operators.dag_run.AstroTriggerDagRunOperator`, all of them templated.

    :param allowed_states: states of the run with which the task succeeds
    :param failed_states: states of the run with which the task fails
    :param cancel_on_kill: whether to cancel the run if a user ends the task while it waits, or at its
        ``execution_timeout``
    :param execution_timeout: the limit of the task in seconds; ``None`` for no limit
    :param openlineage_inject_parent_info: whether to add the parent run of OpenLineage to the conf
    :param push_result: whether the task pushes its result as its XCom ``return_value``
    """

    trigger_dag_id: str
    trigger_run_id: str | None = None
    logical_date: str | None = None
    data_interval_start: str | None = None
    data_interval_end: str | None = None
    run_after: str | None = None
    conf: Mapping[str, Any] | str | None = None
    note: str | None = None
    partition_key: str | None = None
    wait_for_completion: bool | str
    on_existing_run: str
    on_active_run: str = "trigger"
    if_paused: str
    result_task_id: str | Sequence[str] | None = None
    result_key: str = RETURN_VALUE
    allowed_states: Sequence[str]
    failed_states: Sequence[str]
    cancel_on_kill: bool
    execution_timeout: float | None = None
    openlineage_inject_parent_info: bool
    push_result: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self._request: RunRequest | None = None
        self._triggering: asyncio.Task[RemoteRun] | None = None
        self._was_killed = False

    async def _work(self) -> EventPayload:
        if self._ti.try_number > 1:
            await self._delete_xcoms()
            return restart_event("Only a worker can find out whether this try is a retry or follows a clear.")
        lineage_parent = self._ti if self.openlineage_inject_parent_info else None
        request = self._request = read_request(self, lineage_parent=lineage_parent)
        # A task of its own, so that on_kill can wait for a request that is under way.
        self._triggering = asyncio.create_task(self._trigger(request))
        try:
            remote = await asyncio.shield(self._triggering)
            if not request.waits:
                return success_event(remote.run or await self._get_run(request, remote.run_id))
        except AirflowSkipException as skip:
            return skip_event(str(skip))
        except AstroError as error:
            return error_event(error)
        return await self._wait(request, remote)

    async def _trigger(self, request: RunRequest) -> RemoteRun:
        """Trigger the run, unless this try has done so before the triggerer was restarted."""
        # A task that does not wait saves the read: after a restart, its request is refused, because the run exists.
        reads = request.waits or _needs_record(request)
        if reads and (run_id := await self._read_xcom(XCOM_RUN_ID)) is not None:
            record = await self._read_xcom(STORE_KEY)
            return RemoteRun(run_id, attached=bool(record and record["attached"] is not False))
        planned = await self._plan(request)
        flow = partial(
            trigger_run,
            request=request,
            planned=planned,
            repairs=False,  # a first try has no run of an earlier try
            log=self.log.info,
        )
        async with shared_watcher(request.http_conn_id, self.log.warning) as watcher:
            triggered = await watcher.run(flow)
        if not self._was_killed:  # the XComs might be those of the next try already
            if _needs_record(request) or triggered.attached:
                began = planned.started_at or time.time()
                run_id = triggered.run["dag_run_id"]
                await self._store_first_try(began, triggered.attached, run_id if triggered.attached else None)
            await self._try_push_xcom(XCOM_RUN_ID, triggered.run["dag_run_id"])
            await self._try_push_xcom(XCOM_URL, triggered.url)
        return RemoteRun(triggered.run["dag_run_id"], triggered.attached, triggered.run)

    async def _plan(self, request: RunRequest) -> PlannedRun:
        stored, restarted = None, False
        if _needs_record(request):
            stored = await self._read_xcom(STORE_KEY)
            restarted = stored is not None
            stored = stored or await self._store_first_try(time.time())
        assert self.context is not None, "the fields are rendered"
        return plan_first_try(
            self.context, given_run_id=request.run_id, stored=stored, restarted=restarted, warn=self.log.warning
        )

    async def _store_first_try(
        self, began: float, attached: bool | None = None, attached_to: str | None = None
    ) -> dict[str, Any]:
        stored = fields_of_first_try(
            retries=self._ti.task.retries or 0, began=began, attached=attached, attached_to=attached_to
        )
        await self._try_push_xcom(STORE_KEY, stored)
        return stored

    async def _get_run(self, request: RunRequest, run_id: str) -> DagRun:
        async with shared_watcher(request.http_conn_id) as watcher:
            return await watcher.run(lambda client: client.get_dag_run(request.dag_id, run_id))

    async def _wait(self, request: RunRequest, remote: RemoteRun) -> EventPayload:
        payload = await wait_for_event(
            RunWait(
                dag_id=request.dag_id,
                end_states=self._end_states,
                run_id=remote.run_id,
                must_exist=True,
            ),
            request.http_conn_id,
            poke_interval=self.poke_interval,
            deadline=deadline_in_triggerer(self.timeout_after, self.execution_timeout),
            on_change=self._log_verdict,
            warn=self.log.warning,
            started_at=self._waiting_since(remote),
            run=remote.run,
        )
        if payload["outcome"] == EventOutcome.TIMEOUT.value and self._cancels(remote):
            done = await run_to_completion(self._cancel(request, remote))
            payload["message"] = with_details(payload["message"], first_line(done))
        return payload

    def _waiting_since(self, remote: RemoteRun) -> float | None:
        """Return the start of the wait in seconds since the epoch, at least approximately; ``None`` for now."""
        if remote.run is not None or self.context is None:
            return None
        started: datetime | None = self.context["dag_run"].start_date
        return started.timestamp() if started else None

    async def on_kill(self) -> None:
        """
        Cancel the run if the task does not wait for it any more.

        Airflow calls this method when a user has ended the task, and also when another triggerer has taken over the
        trigger.
        """
        if self._triggering is not None and self._request is not None and self._request.waits:
            self._was_killed = True
            await run_to_completion(self._cancel_if_ended(self._request, self._triggering))

    async def _cancel_if_ended(self, request: RunRequest, triggering: asyncio.Task[RemoteRun]) -> None:
        try:
            remote = await triggering
        except (AstroError, AirflowSkipException, InvalidParameterError):
            return  # there is no run
        if not self._cancels(remote):
            return
        if await deferral_ended(self._ti, remote.run_id):
            await self._cancel(request, remote)
        else:
            self.log.info("%s", not_cancelled(request.dag_id, remote.run_id, "the task still waits for it"))

    def _cancels(self, remote: RemoteRun) -> bool:
        return self.cancel_on_kill and not remote.attached

    async def _cancel(self, request: RunRequest, remote: RemoteRun) -> str:
        return await cancel_in_triggerer(
            request.http_conn_id, request.dag_id, remote.run_id, self.log, end_states=self._end_states.all
        )

    async def cleanup(self) -> None:
        """
        End a request that is under way, unless ``on_kill`` waits for it.

        Airflow calls this method whenever the trigger ends. Measured: below Python 3.12, the triggerer of 3.3.2 calls
        it while ``on_kill`` still runs, because it cancels the trigger again every second.
        """
        if self._triggering is not None and not self._was_killed:
            self._triggering.cancel()
            await asyncio.gather(self._triggering, return_exceptions=True)

    @property
    def _end_states(self) -> EndStates:
        return EndStates(self.allowed_states, self.failed_states)

    async def _read_xcom(self, key: str) -> Any:
        """Read an XCom of an earlier start of this try; ``None`` if there is none."""
        try:
            return await XCom.aget_one(key=key, **task_instance_key(self._ti))
        except Exception as error:
            self.log.warning("The XCom %s could not be read: %s", key, error)
            return None

    async def _delete_xcoms(self) -> None:
        """Delete the XComs of an earlier try, as Airflow does when a try starts on a worker."""
        for key in (XCom.XCOM_RETURN_KEY, XCOM_RUN_ID, XCOM_URL):
            with suppress(Exception):  # the next try on a worker replaces them
                await call_supervisor(partial(XCom.delete, key, **task_instance_key(self._ti)))

    async def _store_xcoms(self, payload: EventPayload, event: TriggerEvent) -> TriggerEvent:
        """Push the result of a task that succeeds here; if that fails, let a worker push it."""
        if not self.push_result:
            return event
        return await self._with_result(payload, event, self._read_result)

    async def _read_result(self, run: DagRun) -> DagRun | JSON:
        request = self._request
        if request is None or (result := request.result) is None:
            return run
        async with shared_watcher(request.http_conn_id) as watcher:
            return await watcher.run(lambda client: read_result(client, run, result))

    def _message(self, payload: EventPayload, end: str) -> str:
        if payload["outcome"] == EventOutcome.TIMEOUT.value:
            return timed_out(payload["message"], self.execution_timeout, "execution_timeout")
        return payload["message"]

    @property
    def _subject(self) -> str:
        return dag_subject(self.trigger_dag_id)


def _needs_record(request: RunRequest) -> bool:
    """Decide whether a run that exists might be that of another task, so that what this task has done is recorded."""
    return not request.is_unique or request.on_active_run != "trigger"

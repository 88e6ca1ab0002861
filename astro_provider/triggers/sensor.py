"""The trigger that does all the work of a sensor that starts in the triggerer (Airflow 3.3 and later)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from astro_provider.api.message import dag_subject
from astro_provider.api.results import read_result
from astro_provider.links import XCOM_URL
from astro_provider.task_errors import skip_message
from astro_provider.tasks.execution_timeout import deadline_in_triggerer, timed_out
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.rendered_result import RETURN_VALUE, rendered_result
from astro_provider.tasks.rendered_wait import TASK_FIELDS, own_run_date, rendered_wait
from astro_provider.tasks.run_selection import RUN_FIELDS
from astro_provider.triggers.dag_run import read_wait, wait_for_event
from astro_provider.triggers.events import EventOutcome
from astro_provider.triggers.task_trigger import TaskTrigger
from astro_provider.triggers.watcher.registry import shared_watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.triggers.base import TriggerEvent

    from astro_provider.api.results import ResultRequest
    from astro_provider.api.types import JSON, DagRun
    from astro_provider.triggers.events import EventPayload
    from astro_provider.waits.wait import RunWait, Verdict

RESTARTED_TRIGGERER_SECONDS = 60.0
"""
Age of a task, in seconds, above which a new trigger for it means that the triggerer was restarted.

A trigger normally starts together with its task. After a restart, the target has most likely answered the task before.
"""


@dataclass(kw_only=True, eq=False, repr=False)
class AstroSensorTrigger(TaskTrigger):
    """
    Renders the fields of the sensor, waits, and ends the task; see :class:`TaskTrigger`.

    The fields that name the run and the tasks are templates until the triggerer renders them; everything else that the
    sensor waits for is in ``wait``.

    :param external_dag_id: the dag in the target (templated)
    :param external_run_id: the run id (templated)
    :param logical_date: logical date of the run in ISO 8601 (templated); by default that of the sensor's own run
    :param logical_date_range: start and end of the logical dates of the runs, in ISO 8601 (templated)
    :param expected_runs: minimum number of runs in this range (templated)
    :param since: when the newest run must be due at the earliest, in ISO 8601 (templated)
    :param partition_key: the partition of the run (templated)
    :param external_task_id: a task of the run (templated)
    :param external_task_ids: several tasks of the run (templated)
    :param external_task_group_id: a task group of the run (templated)
    :param result_task_id: a task, or several tasks, whose XCom is the result of the sensor (templated)
    :param result_key: key of that XCom (templated)
    :param wait: the wait with the options that are not rendered, or what :meth:`RunWait.serialize` returned for it
    :param execution_delta: seconds by which the logical date of the run is earlier than that of the sensor's own run
    :param timeout: seconds after which the sensor times out
    :param airflow_timeout: seconds after which Airflow ends the deferral
    :param soft_fail: whether the sensor skips instead of failing
    """

    external_dag_id: str
    external_run_id: str | None = None
    logical_date: str | None = None
    logical_date_range: Sequence[str] | str | None = None
    expected_runs: int | str | None = None
    since: str | None = None
    partition_key: str | None = None
    external_task_id: str | None = None
    external_task_ids: Sequence[str] | None = None
    external_task_group_id: str | None = None
    result_task_id: str | Sequence[str] | None = None
    result_key: str = RETURN_VALUE
    wait: RunWait | Mapping[str, Any]
    execution_delta: float = 0
    timeout: float
    airflow_timeout: float
    soft_fail: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.run_wait = read_wait(self.wait)
        # Before rendering, because a template that is rendered to nothing does not mean the default.
        self._given = [name for name in (*RUN_FIELDS, *TASK_FIELDS) if getattr(self, name) is not None]
        self._link_task: asyncio.Task[None] | None = None
        self._result_request: ResultRequest | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        path, kwargs = super().serialize()
        return path, {**kwargs, "wait": self.run_wait.serialize()}

    @property
    def task_wait(self) -> RunWait:
        """
        The wait that the rendered fields describe.

        :raise InvalidParameterError: the fields name no run or no task
        """
        return rendered_wait(
            self.run_wait,
            {name: getattr(self, name) for name in ("external_dag_id", *RUN_FIELDS, *TASK_FIELDS)},
            given=self._given,
            own_date=own_run_date(self.context) if self.context else None,
            execution_delta=timedelta(seconds=self.execution_delta),
        )

    async def _work(self) -> EventPayload:
        self._result_request = rendered_result(self.result_task_id, self.result_key)
        return await wait_for_event(
            self.task_wait,
            rendered_id("http_conn_id", self.http_conn_id),
            poke_interval=self.poke_interval,
            deadline=self._deadline,
            on_change=self._report_change,
            warn=self.log.warning,
            started_at=self._started_at,
            has_answered=time.time() - self._started_at > RESTARTED_TRIGGERER_SECONDS,
        )

    @property
    def _execution_timeout(self) -> float | None:
        """The limit of the task in seconds, if it is shorter than that of the sensor."""
        return self.airflow_timeout if self.airflow_timeout <= self.timeout else None

    @property
    def _deadline(self) -> float:
        """When to give up, in seconds since the epoch: before Airflow ends the task without a message."""
        return deadline_in_triggerer(self.timeout_after, self._execution_timeout) or self._started_at + self.timeout

    @property
    def _started_at(self) -> float:
        """Start of the task, in seconds since the epoch, from ``timeout_after``: when Airflow ends the deferral."""
        assert self.timeout_after is not None, "the triggerer has not set it"
        return self.timeout_after.timestamp() - self.airflow_timeout

    def _report_change(self, verdict: Verdict) -> None:
        self._log_verdict(verdict)
        if self._link_task is None and verdict.url:
            self._link_task = asyncio.create_task(self._try_push_xcom(XCOM_URL, verdict.url))

    async def _store_xcoms(self, payload: EventPayload, event: TriggerEvent) -> TriggerEvent:
        """Push the link of the last run. The request also gives Airflow time to write the log."""
        if self._link_task is not None:
            await self._link_task
        if payload["url"]:
            await self._try_push_xcom(XCOM_URL, payload["url"])
        request = self._result_request
        return event if request is None else await self._with_result(payload, event, partial(self._read, request))

    async def _read(self, request: ResultRequest, run: DagRun) -> JSON:
        async with shared_watcher(rendered_id("http_conn_id", self.http_conn_id)) as watcher:
            return await watcher.run(lambda client: read_result(client, run, request))

    @property
    def _subject(self) -> str:
        return dag_subject(self.external_dag_id)

    def _message(self, payload: EventPayload, end: str) -> str:
        message = payload["message"]
        if payload["outcome"] == EventOutcome.TIMEOUT.value:
            limit, option = self._execution_timeout, "execution_timeout"
            if limit is None:
                limit, option = self.timeout, "timeout"
            message = timed_out(message, limit, option)
        if end == "skipped" and payload["outcome"] != EventOutcome.SKIPPED.value:
            message = skip_message("soft_fail", message)
        return message

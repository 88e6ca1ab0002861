"""The trigger that is a sensor's whole life where the sensor starts in the triggerer (Airflow 3.3 and up)."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from astro_provider.api.durations import poke_interval_seconds
from astro_provider.api.errors import InvalidParameterError
from astro_provider.links import XCOM_URL
from astro_provider.task_errors import skip_message
from astro_provider.tasks import sensor_fields
from astro_provider.tasks.rendered import rendered_id
from astro_provider.triggers.dag_run import serialized, waited
from astro_provider.triggers.events import error_event
from astro_provider.waits.wait import EndStates, RunWait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    import jinja2
    from airflow.sdk import Context
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from astro_provider.waits.wait import Verdict

RESTARTED = 60.0
"""Seconds after its start when a wait that begins is taken for one that a restarted triggerer goes on with."""

TO_BE_READ = 1.0
"""
Seconds between the last line of a log that people will want to read, and the end: Airflow (3.3.2) closes the log of a
trigger that has ended whether it has written all of it or not.
"""

_ENDS = {"success": TaskSuccessEvent, "skipped": TaskSkippedEvent, "failed": TaskFailedEvent}
_LEVELS = {"success": logging.INFO, "skipped": logging.INFO, "failed": logging.ERROR}


@dataclass(kw_only=True, eq=False, repr=False)
class AstroSensorTrigger(BaseTrigger):
    """
    Renders what the sensor was given, waits, and ends the task.

    What it cannot end as the sensor would, it has a worker end, by an event as of ``AstroDagRunTrigger``.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    :param external_dag_id: the dag in the target (templated)
    :param external_run_id: the run (templated), or
    :param logical_date: its logical date (ISO 8601; templated), by default the task's own, or
    :param latest: the newest run
    :param execution_delta: how much earlier than the task's own logical date that of the run is, in seconds
    :param external_task_id: a task of the run (templated), or
    :param external_task_ids: several (templated), or
    :param external_task_group_id: a task group (templated); none of them waits for the run itself
    :param allowed_states: states that end the wait well
    :param failed_states: states that fail it
    :param skipped_states: states that skip it
    :param check_existence: whether a dag, task or group that is not there ends the wait
    :param poke_interval: seconds between two checks, at least 0.5 (less is raised to that)
    :param timeout: seconds that the sensor may take
    :param airflow_timeout: seconds after which Airflow itself ends the deferral
    :param soft_fail: whether the sensor has it, for what is said of a failure
    :param ends: what the outcomes make of the task at its first try, see
        :func:`astro_provider.sensors.start.endings`
    """

    http_conn_id: str
    external_dag_id: str
    external_run_id: str | None = None
    logical_date: str | None = None
    latest: bool = False
    execution_delta: float = 0
    external_task_id: str | None = None
    external_task_ids: Sequence[str] | None = None
    external_task_group_id: str | None = None
    allowed_states: Sequence[str]
    failed_states: Sequence[str]
    skipped_states: Sequence[str]
    check_existence: bool
    poke_interval: float
    timeout: float
    airflow_timeout: float
    soft_fail: bool
    ends: Mapping[str, str]

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.poke_interval = poke_interval_seconds(self.poke_interval)
        self.timeout_after: datetime | None = None  # the triggerer sets it
        self._own_date: datetime | None = None
        # Before they are rendered: a template that comes to nothing does not mean the default.
        self._run_id_given = self.external_run_id is not None
        self._logical_date_given = self.logical_date is not None
        self._tasks_given_by = next(
            (field for field in sensor_fields.TASK_FIELDS if getattr(self, field) is not None), None
        )
        self._rendered = False
        self._unrendered: str | None = None
        self._linking: asyncio.Task[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Say how to make this trigger again.

        :return: class path, and the keyword arguments of the class
        """
        return serialized(self)

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """
        Render the templates, as strictly as a worker does.

        :param context: that of the task
        :param jinja_env: by default Airflow's
        """
        from jinja2 import StrictUndefined

        self._rendered = True
        self._own_date = sensor_fields.own_date(context)
        environment = jinja_env or self.get_template_env()
        environment.undefined = StrictUndefined
        try:
            super().render_template_fields(context, environment)
        except Exception as error:  # raised here, it would reach the task as a traceback from the triggerer
            self._unrendered = f"A template could not be rendered: {type(error).__name__}: {error}"

    @property
    def wait(self) -> RunWait:
        """
        What is waited for.

        :raise InvalidParameterError: what was rendered names no run, or no task
        """
        run_id = sensor_fields.run_id(self.external_run_id, given=self._run_id_given)
        dates = sensor_fields.logical_dates(
            by_other_means=run_id is not None or self.latest,
            logical_date=self.logical_date,
            given=self._logical_date_given,
            execution_delta=timedelta(seconds=self.execution_delta),
            own=self._own_date,
        )
        task_ids: Sequence[str] = ()
        group_id = None
        if self._tasks_given_by:
            task_ids, group_id = sensor_fields.tasks(self._tasks_given_by, getattr(self, self._tasks_given_by))
        return RunWait(
            dag_id=rendered_id("external_dag_id", self.external_dag_id),
            end_states=EndStates(self.allowed_states, self.failed_states, self.skipped_states),
            run_id=run_id,
            logical_dates=dates,
            latest=self.latest,
            task_ids=task_ids,
            group_id=group_id,
            check_existence=self.check_existence,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield the one event.

        Never raises for trouble of the target: a trigger that raises tells the task nothing.
        """
        event = await self._event()
        ended = self._ended(event)
        await self._link_to(event["url"])
        if isinstance(ended, (TaskFailedEvent, TaskSkippedEvent)):
            await asyncio.sleep(TO_BE_READ)
        yield ended

    async def _event(self) -> dict[str, Any]:
        if not self._rendered:  # its DAG was changed while it waited, and does not start it in the triggerer any more
            return {"outcome": "changed", "message": "The DAG was changed meanwhile.", "run": None, "url": None}
        if self._unrendered is not None:
            return error_event(self._unrendered, retryable=True)
        try:
            wait, conn_id = self.wait, rendered_id("http_conn_id", self.http_conn_id)
        except InvalidParameterError as error:
            return error_event(str(error), retryable=False)
        return await waited(
            wait,
            conn_id,
            poke_interval=self.poke_interval,
            deadline=self._started + self.timeout,
            on_change=self._tell,
            warn=self.log.warning,
            # A wait that a restarted triggerer goes on with has most likely been answered before.
            has_answered=time.time() - self._started > RESTARTED,
        )

    @property
    def _started(self) -> float:
        """When the task was started, in seconds since the epoch; a restarted triggerer is told nothing else of it."""
        assert self.timeout_after is not None, "the triggerer has not set it"
        return self.timeout_after.timestamp() - self.airflow_timeout

    def _tell(self, verdict: Verdict) -> None:
        self.log.info("%s", verdict.explained)
        if self._linking is None and verdict.url:
            self._linking = asyncio.create_task(self._push_link(verdict.url))

    async def _link_to(self, url: str | None) -> None:
        """Push the link at the end, too: by the time that is answered, Airflow has most likely read the log."""
        if self._linking is not None:
            await self._linking
        if url:
            await self._push_link(url)

    async def _push_link(self, url: str) -> None:
        from airflow.sdk.execution_time.xcom import XCom

        ti = cast("RuntimeTaskInstance", self.task_instance)
        where = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
        try:
            await XCom.aset(XCOM_URL, url, **where)
        except Exception as error:  # the wait goes on, or is over, without it
            self.log.warning("The link to the remote dag run could not be stored: %s", error)

    def _ended(self, event: dict[str, Any]) -> TriggerEvent:
        """End the task where that can be done here; else have a worker do it."""
        outcome = "retryable error" if event.get("retryable") else event["outcome"]
        end = self.ends.get(outcome)
        if end is None or cast("RuntimeTaskInstance", self.task_instance).try_number > 1:
            return TriggerEvent(event)  # of a later try, Airflow 3.3 would keep when the first ended
        message = event["message"]
        if outcome == "timeout":
            message = sensor_fields.timed_out(self.timeout, "timeout", message)
        if end == "skipped" and outcome != "skipped":
            message = skip_message("soft_fail", message)
        self.log.log(_LEVELS[end], "%s", message)
        return _ENDS[end]()

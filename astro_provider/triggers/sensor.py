"""The trigger that does all the work of a sensor that starts in the triggerer (Airflow 3.3 and later)."""

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
from astro_provider.tasks.execution_timeout import wait_timeout_message
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.rendered_wait import RUN_FIELDS, TASK_FIELDS, own_run_date, rendered_wait
from astro_provider.tasks.start_from_trigger import RenderableDagRun
from astro_provider.triggers.dag_run import read_wait, serialized, wait_for_event
from astro_provider.triggers.events import EventOutcome, restart_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    import jinja2
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from astro_provider.airflow_versions import Context
    from astro_provider.triggers.events import EventPayload
    from astro_provider.waits.wait import RunWait, Verdict

RESTARTED_TRIGGERER_SECONDS = 60.0
"""
Age of a task, in seconds, above which a new trigger for it means that the triggerer was restarted.

A trigger normally starts together with its task. After a restart, the target has most likely answered the task before.
"""

LOG_FLUSH_SECONDS = 1.0
"""
Seconds between the last line of a log and the end of the trigger.

Measured: 3.3.2 closes the log of a trigger that has ended, even if it has not written all lines. Check: set this to 0
and run ``tests/integration/test_sensors.py`` on a busy machine.
"""

_EVENTS = {"success": TaskSuccessEvent, "skipped": TaskSkippedEvent, "failed": TaskFailedEvent}
_LEVELS = {"success": logging.INFO, "skipped": logging.INFO, "failed": logging.ERROR}


@dataclass(kw_only=True, eq=False, repr=False)
class AstroSensorTrigger(BaseTrigger):
    """
    Renders the fields of the sensor, waits, and ends the task.

    A task that cannot be rendered or ended here is resumed on a worker, with an event like that of
    ``AstroDagRunTrigger``. The fields that name the run and the tasks are templates until the triggerer renders them;
    everything else that the sensor waits for is in ``wait``.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    :param external_dag_id: the dag in the target (templated)
    :param external_run_id: the run id (templated)
    :param logical_date: logical date of the run in ISO 8601 (templated); by default that of the sensor's own run
    :param external_task_id: a task of the run (templated)
    :param external_task_ids: several tasks of the run (templated)
    :param external_task_group_id: a task group of the run (templated)
    :param wait: the wait with the options that are not rendered, or what :meth:`RunWait.serialize` returned for it
    :param execution_delta: seconds by which the logical date of the run is earlier than that of the sensor's own run
    :param poke_interval: seconds between two checks; a value below 0.5 is raised to 0.5
    :param timeout: seconds after which the sensor times out
    :param airflow_timeout: seconds after which Airflow ends the deferral
    :param soft_fail: whether the sensor skips instead of failing
    :param ends: the final state of the task for each outcome that ends it here, see
        :func:`astro_provider.triggers.endings.endings`
    """

    http_conn_id: str
    external_dag_id: str
    external_run_id: str | None = None
    logical_date: str | None = None
    external_task_id: str | None = None
    external_task_ids: Sequence[str] | None = None
    external_task_group_id: str | None = None
    wait: RunWait | Mapping[str, Any]
    execution_delta: float = 0
    poke_interval: float
    timeout: float
    airflow_timeout: float
    soft_fail: bool
    ends: Mapping[str, str]

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.run_wait = read_wait(self.wait)
        self.poke_interval = poke_interval_seconds(self.poke_interval)
        self.timeout_after: datetime | None = None  # the triggerer sets it
        # Before rendering, because a template that is rendered to nothing does not mean the default.
        self._given = [name for name in (*RUN_FIELDS, *TASK_FIELDS) if getattr(self, name) is not None]
        self._own_date: datetime | None = None
        self._not_rendered_reason: str | None = "The DAG was changed meanwhile."
        # This reason stays if Airflow never calls render_template_fields.
        self._link_task: asyncio.Task[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        return serialized(self)

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """
        Render the templates as strictly as a worker does.

        Airflow does not call this method if the DAG was changed and no longer starts the task in the triggerer.

        :param context: the context of the task
        :param jinja_env: the Jinja environment; Airflow's own by default
        """
        from jinja2 import StrictUndefined

        self._own_date = own_run_date(context)
        renderable = {**context, "dag_run": RenderableDagRun(context["dag_run"])}
        environment = jinja_env or self.get_template_env()
        environment.undefined = StrictUndefined
        try:
            super().render_template_fields(cast("Context", renderable), environment)
        except Exception as error:  # a worker renders the same template, and reports an error in it as usual
            self._not_rendered_reason = f"A template could not be rendered here: {type(error).__name__}: {error}."
        else:
            self._not_rendered_reason = None

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
            own_date=self._own_date,
            execution_delta=timedelta(seconds=self.execution_delta),
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield one event.

        An error of the target is an event, too, because a trigger that raises an exception gives its task no message.
        """
        payload = await self._wait_for_event()
        if payload["outcome"] == EventOutcome.RESTART.value:
            self.log.info("%s The task starts again on a worker.", payload["message"])
        event = self._end_task(payload)
        await self._push_last_link(payload["url"])
        if not isinstance(event, TaskSuccessEvent):
            await asyncio.sleep(LOG_FLUSH_SECONDS)
        yield event

    async def _wait_for_event(self) -> EventPayload:
        if self._not_rendered_reason is not None:
            return restart_event(self._not_rendered_reason)
        try:
            wait, conn_id = self.task_wait, rendered_id("http_conn_id", self.http_conn_id)
        except InvalidParameterError as error:
            return restart_event(f"{error}.")
        return await wait_for_event(
            wait,
            conn_id,
            poke_interval=self.poke_interval,
            deadline=self._started_at + self.timeout,
            on_change=self._report_change,
            warn=self.log.warning,
            started_at=self._started_at,
            has_answered=time.time() - self._started_at > RESTARTED_TRIGGERER_SECONDS,
        )

    @property
    def _started_at(self) -> float:
        """Start of the task, in seconds since the epoch, from ``timeout_after``: when Airflow ends the deferral."""
        assert self.timeout_after is not None, "the triggerer has not set it"
        return self.timeout_after.timestamp() - self.airflow_timeout

    def _report_change(self, verdict: Verdict) -> None:
        self.log.info("%s", verdict.explained)
        if self._link_task is None and verdict.url:
            self._link_task = asyncio.create_task(self._push_link(verdict.url))

    async def _push_last_link(self, url: str | None) -> None:
        """Push the link of the last run. The request also gives Airflow time to write the log."""
        if self._link_task is not None:
            await self._link_task
        if url:
            await self._push_link(url)

    async def _push_link(self, url: str) -> None:
        from astro_provider.airflow_versions import XCom

        ti = cast("RuntimeTaskInstance", self.task_instance)
        key = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
        try:
            await XCom.aset(XCOM_URL, url, **key)
        except Exception as error:  # the wait does not depend on the link
            self.log.warning("The link to the remote dag run could not be stored: %s", error)

    def _end_task(self, payload: EventPayload) -> TriggerEvent:
        """Make the event that ends the task here, or the one that resumes it on a worker."""
        end = self.ends.get(payload["outcome"])
        if end is None or cast("RuntimeTaskInstance", self.task_instance).try_number > 1:
            # Measured: 3.3.2 keeps the end date of the first try if a later one ends in the triggerer.
            return TriggerEvent(payload)
        message = payload["message"]
        if payload["outcome"] == EventOutcome.TIMEOUT.value:
            message = wait_timeout_message(self.timeout, "timeout", message)
        if end == "skipped" and payload["outcome"] != EventOutcome.SKIPPED.value:
            message = skip_message("soft_fail", message)
        self.log.log(_LEVELS[end], "%s", message)
        return _EVENTS[end]()

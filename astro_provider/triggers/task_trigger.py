"""What triggers share that do all the work of a task, without a worker (Airflow 3.3 and later)."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from astro_provider.airflow_versions import XCom, task_instance_key
from astro_provider.api.durations import poke_interval_seconds
from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.message import error_message
from astro_provider.tasks.triggerer_templates import renderable_context
from astro_provider.triggers.events import EventOutcome, restart_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import datetime

    import jinja2
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import DagRun
    from astro_provider.triggers.events import EventPayload
    from astro_provider.waits.wait import Verdict

LOG_FLUSH_SECONDS = 1.0
"""
Seconds between the last line of a log and the end of the trigger.

Measured: 3.3.2 closes the log of a trigger that has ended, even if it has not written all lines. Check: set this to 0
and run ``tests/integration/test_sensors.py`` on a busy machine.
"""

_EVENTS = {"success": TaskSuccessEvent, "skipped": TaskSkippedEvent, "failed": TaskFailedEvent}
_LEVELS = {"success": logging.INFO, "skipped": logging.INFO, "failed": logging.ERROR}


@dataclass(kw_only=True, eq=False, repr=False)
class TaskTrigger(BaseTrigger):
    """
    Base class of triggers that render the fields of a task, do its work, and end it.

    A task that cannot be rendered or ended here is resumed on a worker, with an event like that of
    ``AstroDagRunTrigger``.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    :param poke_interval: maximum number of seconds between two checks; a value below 0.5 is raised to 0.5
    :param ends: the final state of the task for each outcome that ends it here, see
        :func:`astro_provider.triggers.endings.endings`
    """

    http_conn_id: str
    poke_interval: float
    ends: Mapping[str, str]

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.poke_interval = poke_interval_seconds(self.poke_interval)
        self.timeout_after: datetime | None = None  # the triggerer sets it
        self.context: Context | None = None
        self._not_rendered_reason: str | None = "The DAG was changed meanwhile."
        # This reason stays if Airflow never calls render_template_fields.

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        kwargs = {field.name: getattr(self, field.name) for field in fields(self)}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """
        Render the templates as strictly as a worker does.

        Airflow does not call this method if the DAG was changed and no longer starts the task in the triggerer.

        :param context: the context of the task
        :param jinja_env: the Jinja environment; Airflow's own by default
        """
        from jinja2 import StrictUndefined

        self.context = context
        environment = jinja_env or self.get_template_env()
        environment.undefined = StrictUndefined
        try:
            super().render_template_fields(renderable_context(context), environment)
        except Exception as error:  # a worker renders the same template, and reports an error in it as usual
            self._not_rendered_reason = f"A template could not be rendered here: {type(error).__name__}: {error}."
        else:
            self._not_rendered_reason = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Do the work of the task, then yield one event.

        An error of the target is an event, too, because a trigger that raises an exception gives its task no message.
        """
        payload = await self._rendered_work()
        if payload["error"] is not None:
            payload["message"] = error_message("Failed", self._subject, payload["message"])
        if payload["outcome"] == EventOutcome.RESTART.value:
            self.log.info("%s The task starts again on a worker.", payload["message"])
        event = await self._store_xcoms(payload, self._end_task(payload))
        if not isinstance(event, TaskSuccessEvent):
            await asyncio.sleep(LOG_FLUSH_SECONDS)
        yield event

    async def _rendered_work(self) -> EventPayload:
        if self._not_rendered_reason is not None:
            return restart_event(self._not_rendered_reason)
        try:
            return await self._work()
        except InvalidParameterError as error:  # a worker reports it as usual
            return restart_event(f"{error}.")

    @abstractmethod
    async def _work(self) -> EventPayload:
        """
        Do the work of the task, whose fields are rendered.

        :return: the payload for a worker, see :func:`astro_provider.triggers.events.read_event`
        :raise InvalidParameterError: a field was rendered to a value that cannot be used
        """

    @abstractmethod
    async def _store_xcoms(self, payload: EventPayload, event: TriggerEvent) -> TriggerEvent:
        """Store the XComs of the task at its end, after its last log line; return the event to yield."""

    @property
    @abstractmethod
    def _subject(self) -> str:
        """What the task is about, in messages."""

    @abstractmethod
    def _message(self, payload: EventPayload, end: str) -> str:
        """Write the last line of the log of a task that ends here in the state ``end``."""

    def _end_task(self, payload: EventPayload) -> TriggerEvent:
        """Make the event that ends the task here, or the one that resumes it on a worker."""
        end = self.ends.get(payload["outcome"])
        if end is None or self._ti.try_number > 1:
            # Measured: 3.3.2 keeps the end date of the first try if a later one ends in the triggerer.
            return TriggerEvent(payload)
        self.log.log(_LEVELS[end], "%s", self._message(payload, end))
        return _EVENTS[end]()

    async def _with_result(
        self, payload: EventPayload, event: TriggerEvent, read: Callable[[DagRun], Awaitable[object]]
    ) -> TriggerEvent:
        """
        Push the result of a task that succeeds here; if that fails, let a worker do it.

        :param payload: the payload for the worker
        :param event: the event that ends the task, or resumes it on a worker
        :param read: called with the run of the payload; returns the result
        :return: the event to yield
        """
        if not isinstance(event, TaskSuccessEvent) or payload["run"] is None:
            return event
        try:
            await self._push_xcom(XCom.XCOM_RETURN_KEY, await read(payload["run"]))
        except Exception as error:
            self.log.warning("The result could not be read or stored: %s. A worker tries it again.", error)
            return TriggerEvent(payload)
        return event

    @property
    def _ti(self) -> RuntimeTaskInstance:
        return cast("RuntimeTaskInstance", self.task_instance)

    async def _push_xcom(self, key: str, value: Any) -> None:
        await XCom.aset(key, value, **task_instance_key(self._ti))

    async def _try_push_xcom(self, key: str, value: Any) -> None:
        """Push an XCom without which the task can go on."""
        try:
            await self._push_xcom(key, value)
        except Exception as error:
            self.log.warning("The XCom %s could not be stored: %s", key, error)

    def _log_verdict(self, verdict: Verdict) -> None:
        self.log.info("%s", verdict.explained)

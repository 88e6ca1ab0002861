"""The trigger that waits until an endpoint of a target Deployment answers as a function wants."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from astro_provider.airflow_versions import AirflowException, call_supervisor
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds
from astro_provider.api.endpoint_request import EndpointRequest
from astro_provider.api.message import subject_message
from astro_provider.tasks.response_check import accepts_copy, load_function, shortened
from astro_provider.triggers.events import response_event, restart_event, timeout_event
from astro_provider.triggers.shared_wait import event_from_watcher, leave_time_for_deferral

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from astro_provider.api.types import JSON
    from astro_provider.triggers.events import EventPayload
    from astro_provider.triggers.watcher.watcher import Watcher


@dataclass(kw_only=True, eq=False, repr=False)
class AstroApiTrigger(BaseTrigger):
    """
    Waits in the triggerer until an endpoint answers as a function wants.

    Waits with equal requests on the same connection share one request per interval. The function runs outside of the
    event loop, one call at a time in the whole triggerer, so it should only look at the response.

    Yields one event, see :func:`astro_provider.triggers.events.read_event`, with the response.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param request: the request, or what :meth:`EndpointRequest.serialize` returned for it
    :param response_check: the function, as ``module:name``
    :param poke_interval: the longest interval between two requests in seconds, 5 by default; a value below 0.5 is
        raised to 0.5
    :param deadline: when to give up, in seconds since the epoch; ``None`` (the default) for never
    :param started_at: when the task began to wait, in seconds since the epoch; ``None`` (the default) for the start of
        the trigger
    """

    http_conn_id: str
    request: EndpointRequest | Mapping[str, Any]
    response_check: str
    poke_interval: float = DEFAULT_POKE_INTERVAL_SECONDS
    deadline: float | None = None
    started_at: float | None = None

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        stored = self.request
        self._request = stored if isinstance(stored, EndpointRequest) else EndpointRequest.deserialize(stored)
        self.poke_interval = poke_interval_seconds(self.poke_interval)
        self._last_seen = subject_message("No answer yet", str(self._request))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        kwargs = {field.name: getattr(self, field.name) for field in fields(self)}
        kwargs["request"] = self._request.serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield one event.

        An error is an event, too, because a trigger that raises an exception gives its task no message.
        """
        started_at = time.time() if self.started_at is None else self.started_at
        await leave_time_for_deferral(self.deadline)
        try:
            function = await call_supervisor(load_function, self.response_check)
        except Exception as error:  # a module of the user can raise anything
            kind = type(error).__name__
            yield TriggerEvent(
                restart_event(f"The triggerer cannot import response_check {self.response_check!r}: {kind}: {error}")
            )
            return

        async def wait(watcher: Watcher) -> EventPayload:
            return await self._wait(watcher, function, started_at)

        subject, warn = str(self._request), self.log.warning
        payload = await event_from_watcher(self.http_conn_id, wait, subject=subject, warn=warn, has_answered=True)
        yield TriggerEvent(payload)

    async def _wait(self, watcher: Watcher, function: Callable[..., Any], started_at: float) -> EventPayload:
        where = await watcher.deployment()

        async def judge(response: JSON) -> EventPayload | None:
            try:
                is_accepted = await call_supervisor(accepts_copy, function, response, self._request)
            except AirflowException as error:  # it can mean that the task is skipped, which a worker decides
                kind = type(error).__name__
                return restart_event(f"response_check {self.response_check!r} raised {kind}: {error}")
            if is_accepted:
                return response_event(subject_message("Accepted", str(self._request), where=where), response)
            details = f"response_check does not accept {shortened(response)}"
            self._last_seen = subject_message("Not accepted", str(self._request), where=where, details=details)
            return None

        ended = await watcher.shared_checks.check_until(
            ("endpoint", self._request.key),
            self._request.send,
            judge,
            poke_interval=self.poke_interval,
            deadline=self.deadline,
            subject=str(self._request),
            warn=self.log.warning,
            has_answered=True,  # because a worker has checked
            started_at=started_at,
        )
        return ended or timeout_event(self._last_seen)

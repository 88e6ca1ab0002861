"""The trigger that waits for dag runs, tasks and task groups of a target Deployment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from astro_provider.airflow_versions import triggers_have_on_kill
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds
from astro_provider.api.message import dag_subject, first_line, with_details
from astro_provider.tasks.cancel import cancel_in_triggerer, not_cancelled, run_to_completion
from astro_provider.tasks.task_state import deferral_ended
from astro_provider.triggers.events import EventOutcome, verdict_event
from astro_provider.triggers.shared_wait import event_from_watcher, leave_time_for_deferral
from astro_provider.waits.wait import RunWait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from astro_provider.api.types import DagRun
    from astro_provider.triggers.events import EventPayload
    from astro_provider.triggers.watcher.watcher import Watcher
    from astro_provider.waits.wait import Verdict


MAX_RUN_AGE_SECONDS = 10.0
"""Seconds for which a run that the caller of ``wait_for_event`` has seen can replace the first check. Less than the
overlap of two lists of finished runs, so that these lists show everything that has happened since."""


@dataclass(kw_only=True, eq=False, repr=False)
class AstroDagRunTrigger(BaseTrigger):
    """
    Waits in the triggerer until dag runs, or tasks of dag runs, are in a state that ends the wait.

    Yields one event, see :func:`astro_provider.triggers.events.read_event`. Stores the id of the Airflow connection,
    but no field of the connection.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param wait: the wait, or what :meth:`RunWait.serialize` returned for it
    :param poke_interval: the longest interval between two checks in seconds, 5 by default; a value below 0.5 is raised
        to 0.5
    :param deadline: when to give up, in seconds since the epoch; ``None`` (the default) for never
    :param started_at: when the task began to wait, in seconds since the epoch; ``None`` (the default) for the start of
        the trigger
    :param cancel_on_kill: whether the remote run (the ``run_id`` of the wait) is cancelled when a user marks, clears or
        kills the waiting task, or when the deadline comes; ``False`` by default
    """

    http_conn_id: str
    wait: RunWait | Mapping[str, Any]
    poke_interval: float = DEFAULT_POKE_INTERVAL_SECONDS
    deadline: float | None = None
    cancel_on_kill: bool = False
    started_at: float | None = None

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.run_wait = read_wait(self.wait)
        self.poke_interval = poke_interval_seconds(self.poke_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        kwargs = {field.name: getattr(self, field.name) for field in fields(self)}
        kwargs["wait"] = self.run_wait.serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield one event.

        An error of the target is an event, too, because a trigger that raises an exception gives its task no message.
        """
        started_at = time.time() if self.started_at is None else self.started_at
        try:
            await leave_time_for_deferral(self.deadline)
            event = await wait_for_event(
                self.run_wait,
                self.http_conn_id,
                poke_interval=self.poke_interval,
                deadline=self.deadline,
                on_change=self._log_verdict,
                warn=self.log.warning,
                has_answered=True,  # because a worker has checked
                started_at=started_at,
            )
        except asyncio.CancelledError:
            if not triggers_have_on_kill():
                await self.on_kill()
            raise
        if event["outcome"] == EventOutcome.TIMEOUT.value and self._run_to_cancel:
            # Airflow 2 can end the task before a worker has resumed it, so the trigger cancels the run.
            done = await run_to_completion(self._cancel(self._run_to_cancel))
            event["message"] = with_details(event["message"], first_line(done))
        yield TriggerEvent(event)

    def _log_verdict(self, verdict: Verdict) -> None:
        self.log.info("%s", verdict.explained)

    async def on_kill(self) -> None:
        """
        Cancel the remote run if the task does not wait for it any more.

        Airflow 3.3 and later call this method when a user has ended the task, and also when another triggerer has taken
        over the trigger.
        """
        if self._run_to_cancel:
            await run_to_completion(self._cancel_if_ended(self._run_to_cancel))

    @property
    def _run_to_cancel(self) -> str | None:
        return self.run_wait.run_id if self.cancel_on_kill else None

    async def _cancel_if_ended(self, run_id: str) -> None:
        if await deferral_ended(self.task_instance, run_id):
            await self._cancel(run_id)
        else:
            self.log.info("%s", not_cancelled(self.run_wait.dag_id, run_id, "the task still waits for it"))

    async def _cancel(self, run_id: str) -> str:
        wait = self.run_wait
        return await cancel_in_triggerer(
            self.http_conn_id, wait.dag_id, run_id, self.log, end_states=wait.end_states.all
        )


async def wait_for_event(
    wait: RunWait,
    http_conn_id: str,
    *,
    poke_interval: float,
    deadline: float | None,
    on_change: Callable[[Verdict], None],
    warn: Callable[[str], None],
    has_answered: bool = False,
    started_at: float | None = None,
    run: DagRun | None = None,
) -> EventPayload:
    """
    Wait on the event loop, and return the payload of the event that ends the wait.

    :param wait: the wait
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param poke_interval: the longest interval between two checks in seconds
    :param deadline: when to give up, in seconds since the epoch; ``None`` for never
    :param on_change: called with the verdicts of an unfinished wait, see :class:`~astro_provider.waits.loop.Progress`
    :param warn: called with a message when the wait begins to tolerate errors
    :param has_answered: whether the target is known to have answered this task before; ``False`` by default
    :param started_at: when the wait began, in seconds since the epoch; by default now
    :param run: the run that the wait is for, if the caller has just created or seen it. If its state does not end the
        wait, it replaces the first check; by default, the wait is checked at once
    :return: the payload, see :func:`~astro_provider.triggers.events.read_event`
    """
    began_at = time.time()
    has_answered = has_answered or run is not None

    async def watch(watcher: Watcher) -> EventPayload:
        is_run_recent = time.time() - began_at < MAX_RUN_AGE_SECONDS
        verdict = await watcher.watch(
            wait,
            poke_interval=poke_interval,
            deadline=deadline,
            on_change=on_change,
            warn=warn,
            has_answered=has_answered,
            started_at=began_at if started_at is None else started_at,
            run=run if is_run_recent else None,
        )
        return verdict_event(verdict)

    return await event_from_watcher(
        http_conn_id,
        watch,
        subject=dag_subject(wait.dag_id),
        warn=warn,
        has_answered=has_answered or wait.must_exist,
    )


def read_wait(wait: RunWait | Mapping[str, Any]) -> RunWait:
    """
    Return the wait of a trigger, which Airflow creates from serialized arguments.

    :param wait: the wait, or what :meth:`RunWait.serialize` returned for it
    """
    return wait if isinstance(wait, RunWait) else RunWait.deserialize(wait)

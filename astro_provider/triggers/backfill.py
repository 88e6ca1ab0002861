"""The trigger that waits for a backfill in a target Deployment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from astro_provider.airflow_versions import triggers_have_on_kill
from astro_provider.api.message import dag_subject, first_line, with_details
from astro_provider.links import XCOM_BACKFILL_ID
from astro_provider.tasks.cancel import run_to_completion
from astro_provider.tasks.cancel_backfill import backfill_not_cancelled, cancel_backfill_in_triggerer
from astro_provider.tasks.task_state import deferral_ended
from astro_provider.triggers.events import EventOutcome, EventPayload
from astro_provider.triggers.shared_wait import event_from_watcher, leave_time_for_deferral
from astro_provider.waits.backfill import BackfillWait, check_backfill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from astro_provider.api.types import BackfillResult
    from astro_provider.triggers.watcher.watcher import Watcher
    from astro_provider.waits.backfill import BackfillVerdict


class BackfillEventPayload(EventPayload):
    """
    The payload of an event of this trigger.

    :param backfill: the backfill with the numbers of its runs; ``None`` if it is not over
    """

    backfill: BackfillResult | None


@dataclass(kw_only=True, eq=False, repr=False)
class AstroBackfillTrigger(BaseTrigger):
    """
    Waits in the triggerer until a backfill is over.

    All triggers that wait for the same backfill share one check per interval. Yields one event, see
    :func:`astro_provider.triggers.events.read_event`, whose payload has the key ``backfill`` in addition. Stores the id
    of the Airflow connection, but no field of the connection.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param wait: the wait, or what :meth:`BackfillWait.serialize` returned for it
    :param poke_interval: the longest interval between two checks in seconds
    :param deadline: when to give up, in seconds since the epoch; ``None`` (the default) for never
    :param started_at: when the task began to wait, in seconds since the epoch; ``None`` (the default) for the start of
        the trigger
    :param cancel_on_kill: whether the backfill is cancelled when a user marks, clears or kills the waiting task, or
        when the deadline comes; ``False`` by default
    """

    http_conn_id: str
    wait: BackfillWait | Mapping[str, Any]
    poke_interval: float
    deadline: float | None = None
    cancel_on_kill: bool = False
    started_at: float | None = None

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.backfill_wait = self.wait if isinstance(self.wait, BackfillWait) else BackfillWait(**self.wait)
        self._last_message = self.backfill_wait.unseen

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Return what Airflow needs to create this trigger again.

        :return: the class path, and the keyword arguments of the class
        """
        kwargs = {field.name: getattr(self, field.name) for field in fields(self)}
        kwargs["wait"] = self.backfill_wait.serialize()
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield one event.

        An error of the target is an event, too, because a trigger that raises an exception gives its task no message.
        """
        try:
            await leave_time_for_deferral(self.deadline)
            event = await event_from_watcher(
                self.http_conn_id,
                self._wait,
                subject=dag_subject(self.backfill_wait.dag_id),
                warn=self.log.warning,
                has_answered=True,  # because a worker has created or found the backfill
            )
        except asyncio.CancelledError:
            if not triggers_have_on_kill():
                await self.on_kill()
            raise
        if event["outcome"] == EventOutcome.TIMEOUT.value and self.cancel_on_kill:
            # Airflow 2 can end the task before a worker has resumed it, so the trigger cancels the backfill.
            event["message"] = with_details(event["message"], first_line(await run_to_completion(self._cancel())))
        yield TriggerEvent(event)

    async def _wait(self, watcher: Watcher) -> EventPayload:
        verdict = await watcher.shared_checks.check_until(
            self.backfill_wait,
            lambda client: check_backfill(client, self.backfill_wait),
            self._judge,
            poke_interval=self.poke_interval,
            deadline=self.deadline,
            subject=dag_subject(self.backfill_wait.dag_id),
            warn=self.log.warning,
            has_answered=True,
            started_at=self.started_at,
        )
        if verdict is None:
            return _payload(EventOutcome.TIMEOUT.value, self._last_message)
        return _payload(verdict.outcome, verdict.message, verdict)

    async def _judge(self, verdict: BackfillVerdict) -> BackfillVerdict | None:
        if verdict.outcome != "pending":
            return verdict
        if verdict.message != self._last_message:
            self._last_message = verdict.message
            self.log.info("%s", verdict.message)
        return None

    async def on_kill(self) -> None:
        """
        Cancel the backfill if the task does not wait for it any more.

        Airflow 3.3 and later call this method when a user has ended the task, and also when another triggerer has taken
        over the trigger.
        """
        if self.cancel_on_kill:
            await run_to_completion(self._cancel_if_ended())

    async def _cancel_if_ended(self) -> None:
        wait = self.backfill_wait
        if await deferral_ended(self.task_instance, wait.backfill_id, xcom_key=XCOM_BACKFILL_ID):
            await self._cancel()
        else:
            self.log.info("%s", backfill_not_cancelled(wait, "the task still waits for it"))

    async def _cancel(self) -> str:
        return await cancel_backfill_in_triggerer(self.http_conn_id, self.backfill_wait, self.log)


def _payload(outcome: str, message: str, verdict: BackfillVerdict | None = None) -> BackfillEventPayload:
    url, backfill = (verdict.url, verdict.result) if verdict else (None, None)
    return BackfillEventPayload(outcome=outcome, message=message, run=None, url=url, error=None, backfill=backfill)

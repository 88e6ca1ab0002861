"""The trigger that waits for dag runs, tasks and task groups of a target Deployment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from astro_provider.airflow_versions import triggers_have_on_kill
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds
from astro_provider.api.errors import AstroError, ConnectionUnreadableError
from astro_provider.tasks.cancel import cancel_in_triggerer, run_to_completion
from astro_provider.tasks.task_state import deferral_ended
from astro_provider.triggers.events import error_event, event_of
from astro_provider.triggers.watcher.registry import watching
from astro_provider.waits.transient import Tolerance
from astro_provider.waits.wait import EndStates, RunWait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from astro_provider.triggers.sensor import AstroSensorTrigger
    from astro_provider.waits.wait import Verdict


MIN_DEFERRAL_SECONDS = 10.0
"""
Seconds before a deferred task may be resumed. Its worker has just looked, so nothing is lost, and Airflow takes a task
that is resumed before the scheduler has heard of its deferral for lost, and fails it; a worker may tell it as late as
five seconds after (measured on 3.3.2, where three of ten do).
"""

UNREADABLE_PAUSE_SECONDS = 10.0
"""How long to wait before a connection that could not be read is read again, whatever the ``poke_interval``."""


@dataclass(kw_only=True, eq=False, repr=False)
class AstroDagRunTrigger(BaseTrigger):
    """
    Waits in the triggerer until dag runs, or tasks of them, are in a state that ends the wait.

    Yields one event, see :func:`astro_provider.triggers.events.read_event`. Holds the id of the Airflow connection,
    never what is in it.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param external_dag_id: the dag in the target
    :param external_run_id: the run, or
    :param logical_dates: the runs with these logical dates (ISO 8601), or
    :param latest: the newest run
    :param external_task_ids: tasks of the runs, or
    :param external_task_group_id: a task group of the runs; neither waits for the runs themselves
    :param allowed_states: states that end the wait well
    :param failed_states: states that fail it
    :param skipped_states: states that skip it
    :param check_existence: whether a dag, task or group that is not there ends the wait
    :param must_exist: whether the run is known to be there, so that its deletion ends the wait
    :param poke_interval: seconds between two checks, at least 0.5 (less is raised to that)
    :param deadline: when to give up, in seconds since the epoch; ``None`` never
    :param cancel_on_kill: whether a user who marks, clears or kills the waiting task, or the ``deadline``, cancels the
        run (of ``external_run_id``) too
    """

    http_conn_id: str
    external_dag_id: str
    external_run_id: str | None = None
    logical_dates: Sequence[str] = ()
    latest: bool = False
    external_task_ids: Sequence[str] = ()
    external_task_group_id: str | None = None
    allowed_states: Sequence[str] = ("success",)
    failed_states: Sequence[str] = ("failed",)
    skipped_states: Sequence[str] = ()
    check_existence: bool = False
    must_exist: bool = False
    poke_interval: float = DEFAULT_POKE_INTERVAL_SECONDS
    deadline: float | None = None
    cancel_on_kill: bool = False

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no types
        self.poke_interval = poke_interval_seconds(self.poke_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Say how to make this trigger again.

        :return: class path, and the keyword arguments of the class
        """
        return serialized(self)

    @property
    def wait(self) -> RunWait:
        """What is waited for."""
        return RunWait(
            dag_id=self.external_dag_id,
            end_states=EndStates(self.allowed_states, self.failed_states, self.skipped_states),
            run_id=self.external_run_id,
            logical_dates=self.logical_dates,
            latest=self.latest,
            task_ids=self.external_task_ids,
            group_id=self.external_task_group_id,
            check_existence=self.check_existence,
            must_exist=self.must_exist,
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then yield the one event.

        Never raises for an error of the target: a trigger that raises gives the task no message.
        """
        try:
            event = await waited(
                self.wait,
                self.http_conn_id,
                poke_interval=self.poke_interval,
                deadline=self.deadline,
                first_check_after=max(MIN_DEFERRAL_SECONDS, self.poke_interval),
                on_change=lambda verdict: self.log.info("%s", verdict.explained),
                warn=self.log.warning,
            )
        except asyncio.CancelledError:
            if not triggers_have_on_kill():
                await self.on_kill()
            raise
        if event["outcome"] == "timeout" and self._run_to_cancel:
            # Here, as Airflow 2 may end the task before a worker has resumed it, without a message then.
            self.log.warning("Timed out: %s", event["message"])
            event["message"] += f". {await run_to_completion(self._cancel(self._run_to_cancel))}"
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """
        Cancel the remote run, if the task is not deferred any more.

        Airflow 3.3 and up call this where the task does not need this trigger any more, because a user ended the task,
        and where another triggerer has taken it over.
        """
        if self._run_to_cancel:
            await run_to_completion(self._cancel_if_ended(self._run_to_cancel))

    @property
    def _run_to_cancel(self) -> str | None:
        return self.external_run_id if self.cancel_on_kill else None

    async def _cancel_if_ended(self, run_id: str) -> None:
        if await deferral_ended(self.task_instance, run_id):
            await self._cancel(run_id)
        else:
            self.log.info("The run of dag %r goes on, as the task still waits for it", self.external_dag_id)

    async def _cancel(self, run_id: str) -> str:
        end_states = (*self.allowed_states, *self.failed_states, *self.skipped_states)
        return await cancel_in_triggerer(
            self.http_conn_id, self.external_dag_id, run_id, self.log, end_states=end_states
        )


async def waited(
    wait: RunWait,
    http_conn_id: str,
    *,
    poke_interval: float,
    deadline: float | None,
    on_change: Callable[[Verdict], None],
    warn: Callable[[str], None],
    first_check_after: float = 0,
    has_answered: bool = False,
) -> dict[str, Any]:
    """
    Wait, and return the outcome as the payload of an event.

    :param wait: what is waited for
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :param poke_interval: seconds between two checks
    :param deadline: when to give up, in seconds since the epoch; ``None`` never
    :param on_change: called with each verdict that differs from the one before, until the wait is over
    :param warn: called with a message when the wait begins to tolerate errors
    :param first_check_after: seconds before the first check, for a wait that a worker has just checked
    :param has_answered: whether the target is known to have answered this task before
    :return: see :func:`~astro_provider.triggers.events.read_event`; an error that is not tolerated (see ``Tolerance``)
        is an ``error``
    """
    tolerance = Tolerance(has_answered=has_answered or wait.must_exist or first_check_after > 0)
    while True:
        try:
            async with watching(http_conn_id) as watcher:
                verdict = await watcher.wait(
                    wait,
                    poke_interval=poke_interval,
                    deadline=deadline,
                    on_change=on_change,
                    warn=warn,
                    first_check_after=first_check_after,
                    has_answered=has_answered,
                )
            return event_of(verdict)
        except ConnectionUnreadableError as error:  # there is no connection yet that could be kept
            if not tolerance.tolerates(error, lambda error: warn(f"Still waiting: {error}")):
                return error_event(str(error), retryable=True, kind=type(error).__name__)
        except AstroError as error:
            return error_event(str(error), retryable=error.retryable, kind=type(error).__name__)
        await asyncio.sleep(UNREADABLE_PAUSE_SECONDS)


def serialized(trigger: AstroDagRunTrigger | AstroSensorTrigger) -> tuple[str, dict[str, Any]]:
    """Write a trigger as its class path and the keyword arguments of the class."""
    kwargs = {field.name: getattr(trigger, field.name) for field in fields(trigger)}
    return (
        f"{type(trigger).__module__}.{type(trigger).__qualname__}",
        {name: list(value) if isinstance(value, tuple) else value for name, value in kwargs.items()},
    )

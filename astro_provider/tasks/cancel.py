"""Cancelling the remote run when a user or a timeout ends its task, on a worker and in the triggerer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from astro_provider.api.errors import AstroError
from astro_provider.api.message import dag_subject, error_message, outcome_message
from astro_provider.api.states import FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow

T = TypeVar("T")

_running: set[asyncio.Future[Any]] = set()

MAX_CANCEL_SECONDS = 30.0
"""How long a triggerer, which might be stopping, tries to cancel a run."""


def cancel_run(client: Client, dag_id: str, run_id: str, *, end_states: Sequence[str] = ()) -> Flow[str]:
    """
    Cancel a dag run, unless it has finished. (To cancel a run is to mark it failed, even if it has succeeded.)

    :param client: the target
    :param dag_id: the dag in the target
    :param run_id: the run
    :param end_states: further states in which the run is not cancelled, because they have ended the wait for it
    :return: the message of what was done
    :raise AstroError: the run could not be cancelled
    """
    state = (yield from client.get_dag_run(dag_id, run_id))["state"]
    if state in (*FINISHED_DAG_RUN_STATES, *end_states):
        return not_cancelled(dag_id, run_id, f"it is already {state}")
    yield from client.cancel_dag_run(dag_id, run_id)
    url = client.run_url(dag_id, run_id)
    return outcome_message(
        "Cancelled", dag_id, f", its run was {state}", where=client.deployment, run_id=run_id, url=url
    )


def not_cancelled(dag_id: str, run_id: str, reason: str) -> str:
    """
    Write the message for a run that is not cancelled.

    :param dag_id: the dag in the target
    :param run_id: the run
    :param reason: why, as a clause
    """
    return outcome_message("Not cancelled", dag_id, f": {reason}", run_id=run_id)


def cancel_on_worker(http_conn_id: str, dag_id: str, run_id: str, log: Any, *, end_states: Sequence[str] = ()) -> str:
    """
    Cancel a dag run that has not finished, and log the result. Errors of the target are logged, not raised.

    :param http_conn_id: id of the Airflow connection to the target
    :param dag_id: the dag in the target
    :param run_id: the run
    :param log: the logger of the task
    :param end_states: see :func:`cancel_run`
    :return: the message of what was done
    """
    flow = partial(cancel_run, dag_id=dag_id, run_id=run_id, end_states=end_states)
    return run_on_worker(http_conn_id, flow, dag_id, log, run_id=run_id)


async def cancel_in_triggerer(
    http_conn_id: str, dag_id: str, run_id: str, log: Any, *, end_states: Sequence[str] = ()
) -> str:
    """Do the same as :func:`cancel_on_worker` on an event loop, within ``MAX_CANCEL_SECONDS``."""
    flow = partial(cancel_run, dag_id=dag_id, run_id=run_id, end_states=end_states)
    return await run_in_triggerer(http_conn_id, flow, dag_id, log, run_id=run_id)


def run_on_worker(
    http_conn_id: str, make_flow: Callable[[Client], Flow[str]], dag_id: str, log: Any, *, run_id: str | None = None
) -> str:
    """
    Run a flow that cancels something, and log the result. Errors of the target are logged, not raised.

    :param http_conn_id: id of the Airflow connection to the target
    :param make_flow: makes the flow, which returns the message of what was done
    :param dag_id: the dag in the target
    :param log: the logger of the task
    :param run_id: the run, for the message if it could not be cancelled; ``None`` for a backfill
    :return: the message of what was done
    """
    from astro_provider.hooks.astro import AstroHook

    try:
        with AstroHook(http_conn_id) as hook:
            hook.warns_of_expiry = False  # the task has used the connection before
            done = hook.run(make_flow(hook.client))
    except AstroError as error:
        return _log_failure(log, dag_id, error, run_id)
    log.info("%s", done)
    return done


async def run_in_triggerer(
    http_conn_id: str, make_flow: Callable[[Client], Flow[str]], dag_id: str, log: Any, *, run_id: str | None = None
) -> str:
    """Do the same as :func:`run_on_worker` on an event loop, within ``MAX_CANCEL_SECONDS``."""
    from astro_provider.hooks.astro_async import AsyncAstroHook

    async def cancel() -> str:
        async with AsyncAstroHook(http_conn_id) as hook:
            return await hook.run(make_flow(await hook.client()))

    try:
        done = await asyncio.wait_for(cancel(), MAX_CANCEL_SECONDS)
    except AstroError as error:
        return _log_failure(log, dag_id, error, run_id)
    except asyncio.TimeoutError:
        return _log_failure(log, dag_id, f"it took longer than {MAX_CANCEL_SECONDS:g} s", run_id)
    log.info("%s", done)
    return done


def _log_failure(log: Any, dag_id: str, error: AstroError | str, run_id: str | None) -> str:
    message = error_message("Could not be cancelled", dag_subject(dag_id), error, run_id=run_id)
    log.warning("%s", message)
    return message


async def run_to_completion(coroutine: Coroutine[Any, Any, T]) -> T:
    """
    Await a coroutine until it has finished, even if the calling task is cancelled in the meantime.

    A triggerer cancels a trigger again about every second until the trigger has ended (measured with Airflow 2.11 to
    3.3), which would interrupt the requests that a trigger makes when it is cancelled.

    :param coroutine: a coroutine that ends by itself
    :return: what the coroutine returns
    """
    task = asyncio.ensure_future(coroutine)
    _running.add(task)  # an event loop does not keep its tasks alive
    task.add_done_callback(_running.discard)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()

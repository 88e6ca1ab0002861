"""The loop of every wait outside the triggerer: check, pause, check again, tolerate transient errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.durations import poke_interval_seconds, timeout_seconds
from astro_provider.api.errors import AstroError, WaitTimeoutError
from astro_provider.api.flow import Pause, ReloadConnection
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.waits.transient import OUTDATED, Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun

T = TypeVar("T")


def check_until(
    check: Callable[[], Flow[T | None]],
    *,
    clock: Callable[[], float],
    poke_interval: float,
    deadline: float | None,
    on_tolerated_error: Callable[[AstroError], None],
    has_answered: bool = False,
) -> Flow[T | None]:
    """
    Check until there is a result.

    After an error that another token or URL would end, the connection is read again before the next check.

    :param check: makes the flow of one check; ``None`` means not yet
    :param clock: seconds since the epoch
    :param poke_interval: seconds between two checks
    :param deadline: when to give up, in seconds since the epoch
    :param on_tolerated_error: called with the first error that is tolerated since the target last answered
    :param has_answered: the target is known to have answered before
    :return: the result, or ``None`` where there was none in time
    """
    tolerance = Tolerance(clock, has_answered=has_answered)
    while True:
        outdated = False
        try:
            result = yield from check()
        except AstroError as error:
            if not tolerance.tolerates(error, on_tolerated_error):
                raise
            outdated = isinstance(error, OUTDATED)
        else:
            tolerance.note_answer()
            if result is not None:
                return result
        now = clock()
        if deadline is not None and now >= deadline:
            return None
        yield Pause(poke_interval if deadline is None else min(poke_interval, deadline - now))
        if outdated:
            yield ReloadConnection()


def wait_for_dag_run(
    client: Client,
    dag_id: str,
    run_id: str,
    *,
    poke_interval: float,
    timeout: float | None,
    on_change: Callable[[DagRun], None],
    on_tolerated_error: Callable[[AstroError], None],
) -> Flow[DagRun]:
    """
    Wait until a dag run is over.

    :param client: the target
    :param dag_id: the dag
    :param run_id: the run
    :param poke_interval: seconds between two checks
    :param timeout: seconds to wait at most, ``None`` for ever
    :param on_change: called with the run, at first and whenever its state has changed
    :param on_tolerated_error: called with the first error that is tolerated since the target has last answered
    :return: the run as it ended
    :raise WaitTimeoutError: it was not over in time
    """
    interval = poke_interval_seconds(poke_interval)
    timeout = None if timeout is None else timeout_seconds(timeout)
    state = None

    def check() -> Flow[DagRun | None]:
        nonlocal state
        run = yield from client.get_dag_run(dag_id, run_id)
        if run["state"] != state:
            state = run["state"]
            on_change(run)
        return run if state in FINISHED_DAG_RUN_STATES else None

    deadline = None if timeout is None else client.clock() + timeout
    run = yield from check_until(
        check, clock=client.clock, poke_interval=interval, deadline=deadline, on_tolerated_error=on_tolerated_error
    )
    if run is None:
        raise WaitTimeoutError(
            f"Dag run {run_id!r} of dag {dag_id!r} in {client.deployment} is {state or 'of unknown state'} "
            f"after {timeout:g} seconds of waiting. See {client.run_url(dag_id, run_id)}"
        )
    return run

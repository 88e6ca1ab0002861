"""Why a run that is waited for may not be there: no such dag, a paused dag, other runs."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import (
    AstroError,
    NotAirflowError,
    NotFoundError,
    TargetError,
    TransportError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun

HINT_INTERVAL_SECONDS = 3600.0
"""How long a wait says nothing more of why its run may not be there."""


class Hints:
    """
    Says why the run of a wait may not be there: at the first check that does not find it, and rarely after that.

    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._given_at: float | None = None

    def give(self, client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[str]:
        """Explain it, as :func:`explain_absence`; empty, without a request, where that was done lately."""
        now = self._clock()
        if self._given_at is not None and 0 <= now - self._given_at < HINT_INTERVAL_SECONDS:
            return ""
        hint = yield from explain_absence(client, dag_id, logical_dates)
        self._given_at = now  # not where it raises: the next check is to raise again
        return hint


def explain_absence(client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[str]:
    """
    Say what a user should know of a dag whose run is not there.

    Raises no other ``AstroError`` than this one: a wait goes on without the explanation.

    :param dag_id: the dag
    :param logical_dates: those of the runs that are waited for, if they are named so
    :return: a sentence or two; empty where nothing is known
    :raise NotAirflowError: everything is answered with 404, so the run would never be there
    """
    try:
        dag = yield from client.get_dag(dag_id)
        nearest = yield from _nearest_run(client, dag_id, logical_dates)
    except NotFoundError as error:
        with suppress(TargetError, TransportError, UnexpectedAnswerError):
            yield from airflow_version(client)
        return str(error)
    except AstroError:
        return ""
    paused = "The dag is paused there. " if dag["is_paused"] else ""
    if nearest is None:
        return f"{paused}The dag has no runs."
    date = nearest["logical_date"] or nearest["run_after"]
    which = "The nearest earlier run" if logical_dates else "Its newest run"
    return f"{paused}{which} is {nearest['dag_run_id']!r} of {date} ({nearest['state']})."


def airflow_version(client: Client) -> Flow[str]:
    """
    Ask which Airflow answers.

    :param client: the target
    :return: its version
    :raise NotAirflowError: even this is answered with 404, as a gateway does that has no route to the target
    """
    try:
        return (yield from client.call(calls.version))
    except NotFoundError as error:
        raise NotAirflowError(
            f"{client.deployment} answers 404 to everything, so what answers is not Airflow: {error} "
            "Check Host of the connection (the Deployment URL), and the proxy that answers there."
        ) from None


def _nearest_run(client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[DagRun | None]:
    if logical_dates:
        runs = yield from client.list_dag_runs(
            dag_id, order_by="-logical_date", logical_date_lte=min(logical_dates), limit=1
        )
    else:
        runs = yield from client.list_dag_runs(dag_id, order_by="-run_after", limit=1)
    return runs[0] if runs else None

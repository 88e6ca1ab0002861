"""Explanations of why the run of a wait does not exist: no such dag, a paused dag, no such run."""

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
"""Minimum number of seconds between two explanations of one wait."""


class Hints:
    """
    Explains why the run of a wait does not exist, at most once an hour.

    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._given_at: float | None = None

    def give(self, client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[str]:
        """
        Explain why the run does not exist, see :func:`explain_absence`.

        :param client: the target
        :param dag_id: the dag
        :param logical_dates: the logical dates of the runs that the wait is for, if any
        :return: the explanation; empty, without a request, if the last one is less than an hour old
        """
        if not self.is_due:
            return ""
        now = self._clock()
        hint = yield from explain_absence(client, dag_id, logical_dates)
        self._given_at = now  # not if it raises, because the next check has to raise again
        return hint

    @property
    def is_due(self) -> bool:
        """Whether there was no explanation in the last hour."""
        return self._given_at is None or not 0 <= self._clock() - self._given_at < HINT_INTERVAL_SECONDS


def explain_absence(client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[str]:
    """
    Describe a dag whose run does not exist (``GET dags/{dag_id}``, ``GET dags/{dag_id}/dagRuns``).

    A 404 explains that the dag does not exist. Another error of these requests gives an empty explanation, because a
    wait continues without one.

    :param client: the target
    :param dag_id: the dag
    :param logical_dates: the logical dates of the runs that the wait is for, if any
    :return: one or two sentences; empty if the target does not answer
    :raise NotAirflowError: the target answers 404 to every request
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
    Get the version of the Airflow that answers (``GET version``).

    :param client: the target
    :return: the version, such as ``3.3.2``
    :raise NotAirflowError: the answer is 404, as that of a gateway without a route to the target
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

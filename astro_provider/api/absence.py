"""Why a run that is waited for may not be there: no such dag, a paused dag, other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import AstroError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun


def explain_absence(client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[str]:
    """
    Say what a user should know of a dag whose run is not there.

    Never raises an ``AstroError``: a wait goes on without it.

    :param dag_id: the dag
    :param logical_dates: those of the runs that are waited for, if they are named so
    :return: a sentence or two; empty where nothing is known
    """
    try:
        dag = yield from client.get_dag(dag_id)
        nearest = yield from _nearest_run(client, dag_id, logical_dates)
    except NotFoundError as error:
        return str(error)
    except AstroError:
        return ""
    paused = "The dag is paused there. " if dag["is_paused"] else ""
    if nearest is None:
        return f"{paused}The dag has no runs."
    date = nearest["logical_date"] or nearest["run_after"]
    which = "The nearest earlier run" if logical_dates else "Its newest run"
    return f"{paused}{which} is {nearest['dag_run_id']!r} of {date} ({nearest['state']})."


def _nearest_run(client: Client, dag_id: str, logical_dates: Sequence[str]) -> Flow[DagRun | None]:
    if logical_dates:
        runs = yield from client.list_dag_runs(
            dag_id, order_by="-logical_date", logical_date_lte=min(logical_dates), limit=1
        )
    else:
        runs = yield from client.list_dag_runs(dag_id, order_by="-run_after", limit=1)
    return runs[0] if runs else None

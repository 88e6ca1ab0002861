"""What a paused dag in the target means for a task that wants to create a run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import NotTriggeredError
from astro_provider.tasks.create_run import existing_run

if TYPE_CHECKING:
    from datetime import datetime

    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.own_run import OwnRun


def check_pause(
    hook: AstroHook, dag_id: str, own: OwnRun, *, logical_date: datetime | str | None, if_paused: str
) -> None:
    """
    Unpause the dag, or refuse to create a run while it is paused.

    :param hook: the target
    :param dag_id: the dag in the target
    :param own: the run that the task wants to create
    :param logical_date: of that run
    :param if_paused: the task's choice: ``"trigger"`` anyway, ``"unpause"`` or ``"fail"``
    :raise NotTriggeredError: the dag is paused, ``if_paused`` is ``"fail"``, and no earlier try was in time
    """
    if if_paused == "unpause":
        hook.unpause_dag(dag_id)
    elif if_paused == "fail" and hook.get_dag(dag_id)["is_paused"]:
        if own.retry and existing_run(hook, dag_id, own, logical_date):
            return  # created, reset or attached to by an earlier try, before the dag was paused
        raise NotTriggeredError(
            f"Dag {dag_id!r} is paused in {hook.deployment}, and if_paused is 'fail': "
            "unpause it there, or use if_paused='unpause' or 'trigger'."
        )

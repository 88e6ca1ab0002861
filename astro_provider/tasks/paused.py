"""What to do if the dag is paused in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from astro_provider.api.errors import NotTriggeredError

if TYPE_CHECKING:
    from datetime import datetime

    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.planned_run import PlannedRun

IfPaused: TypeAlias = Literal["trigger", "unpause", "fail"]
"""The user's choice for a dag that is paused in the target."""

IF_PAUSED: tuple[IfPaused, ...] = get_args(IfPaused)


def check_pause(
    hook: AstroHook, dag_id: str, planned: PlannedRun, *, logical_date: datetime | str | None, if_paused: IfPaused
) -> None:
    """
    Do what the user chose for a dag that is paused, before a run of the dag is created.

    :param hook: the target
    :param dag_id: the dag in the target
    :param planned: the run that the task wants to create
    :param logical_date: logical date of that run
    :param if_paused: the user's choice
    :raise NotTriggeredError: the dag is paused, ``if_paused`` is ``"fail"``, and no earlier try has created a run
    """
    if if_paused == "unpause":
        hook.unpause_dag(dag_id)
    elif if_paused == "fail" and hook.get_dag(dag_id)["is_paused"]:
        from astro_provider.tasks.create_run import find_existing_run

        if planned.retry and find_existing_run(hook, dag_id, planned, logical_date):
            return  # an earlier try created, reset or attached to the run before the dag was paused
        raise NotTriggeredError(
            f"Dag {dag_id!r} is paused in {hook.deployment}, and if_paused is 'fail': "
            "unpause it there, or use if_paused='unpause' or 'trigger'."
        )

"""What a run that exists already means for a task that wants to create it: pure decisions, each with its table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from astro_provider.api.dates import parse_date
from astro_provider.api.states import FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun

ON_EXISTING_RUN = ("fail", "attach", "reset", "skip")


class Origin(Enum):
    """Who created, or reset, the run."""

    THIS_TRY = "this try"
    EARLIER_TRY = "an earlier try"
    BEFORE_CLEAR = "this task, before it was cleared"
    OTHER = "somebody else, as far as can be told"


class Decision(Enum):
    """What to do about the run."""

    USE = "go on with it"
    REPAIR = "clear what failed and what the end of the run cut off, and go on with it"
    ATTACH = "go on with it, although it is somebody else's"
    RESET = "clear all of it, so that it runs again"
    SKIP = "skip the task"
    FAIL = "fail the task for good"


@dataclass(frozen=True)
class Existing:
    """
    What is known of a run that exists already.

    :param state: its state
    :param same_run_id: whether it has the run id that the task wants; otherwise it has the same logical date only
    :param derived: whether that run id is derived from the task, so that nobody else uses it
    :param names_this_task: whether its run id was derived from the same task before that was cleared
    :param retry: whether this is not the task's first try since it was last cleared
    :param resent: whether this try may have created it, because the answer to an earlier request was lost
    :param created: whether it was created, or reset, since the task's first try since it was last cleared began
    """

    state: str
    same_run_id: bool
    derived: bool
    names_this_task: bool
    retry: bool
    resent: bool
    created: Literal["since", "before", "unknown"]


def origin(run: Existing, on_existing_run: str) -> Origin:
    """
    Find out who created, or reset, the run.

    ================ ======= =========================== ============
    run id           try     created                     origin
    ================ ======= =========================== ============
    derived          first   since                       THIS_TRY
    derived          first   unknown, a request was lost THIS_TRY
    derived          first   otherwise                   OTHER
    derived          retry   before                      OTHER
    derived          retry   since, unknown              EARLIER_TRY
    given            first   any                         OTHER
    given            retry   since                       EARLIER_TRY
    given            retry   unknown, not over           EARLIER_TRY
    given            retry   otherwise                   OTHER
    before the clear first   any                         BEFORE_CLEAR
    before the clear retry   since                       EARLIER_TRY
    before the clear retry   unknown, not over           EARLIER_TRY
    before the clear retry   otherwise                   BEFORE_CLEAR
    another          first   any                         OTHER
    another          retry   since, ``reset`` is chosen  EARLIER_TRY
    another          retry   otherwise                   OTHER
    ================ ======= =========================== ============

    "Before the clear" and "another" are runs with the same logical date. A run that is not over is no result of the
    past, so that a retry can go on with it where the dates do not tell.

    :param run: what is known of it
    :param on_existing_run: the task's choice; an earlier try has reset a run only if that is ``reset``
    """
    known = run.created == "since" or (run.created == "unknown" and run.state not in FINISHED_DAG_RUN_STATES)
    if run.same_run_id and run.derived:
        if run.retry:
            return Origin.OTHER if run.created == "before" else Origin.EARLIER_TRY
        ours = run.created == "since" or (run.created == "unknown" and run.resent)
        return Origin.THIS_TRY if ours else Origin.OTHER
    if run.same_run_id:
        return Origin.EARLIER_TRY if run.retry and known else Origin.OTHER
    if run.names_this_task:
        return Origin.EARLIER_TRY if run.retry and known else Origin.BEFORE_CLEAR
    reset = run.retry and run.created == "since" and on_existing_run == "reset"
    return Origin.EARLIER_TRY if reset else Origin.OTHER


def decision(origin: Origin, on_existing_run: str, *, repair: bool) -> Decision:
    """
    Decide what to do about the run.

    ============ =============== ==========================
    origin       on_existing_run decision
    ============ =============== ==========================
    THIS_TRY     any             USE
    EARLIER_TRY  any             REPAIR if it failed and the
                                 task waits for a success,
                                 else USE
    BEFORE_CLEAR any             RESET
    OTHER        fail            FAIL
    OTHER        attach          ATTACH
    OTHER        reset           RESET
    OTHER        skip            SKIP
    ============ =============== ==========================

    :param origin: who created, or reset, the run
    :param on_existing_run: the task's choice for somebody else's run
    :param repair: whether the run failed and the task waits for one that does not
    """
    if origin is Origin.THIS_TRY:
        return Decision.USE
    if origin is Origin.EARLIER_TRY:
        return Decision.REPAIR if repair else Decision.USE
    if origin is Origin.BEFORE_CLEAR:
        return Decision.RESET
    return {
        "fail": Decision.FAIL,
        "attach": Decision.ATTACH,
        "reset": Decision.RESET,
        "skip": Decision.SKIP,
    }[on_existing_run]


def created(
    run: DagRun, *, began: float | None, exact: bool, clock_lead: float, logical_date_is_creation: bool
) -> Literal["since", "before", "unknown"]:
    """
    Compare when a run was created, or last reset, with the time when a task began.

    Airflow 3 says when a run was last queued. Airflow 2 says only when it started, and sets the logical date of a run
    that is created without one to the time of its creation.

    :param run: the run, with the dates of the target's clock
    :param began: when the task began, in seconds since the epoch by our clock; ``None`` if that is not known
    :param exact: whether it began then, and not later
    :param clock_lead: seconds by which the target's clock is ahead of ours. (The target tells its time in whole
        seconds, cut off, so that this is up to a second too small, and a run never counts as older than it is)
    :param logical_date_is_creation: whether the run was created without a logical date
    """
    is_v1 = run["run_after"] is None
    date = run["queued_at"]
    if date is None and is_v1 and logical_date_is_creation:
        date = run["logical_date"]
    date = date or run["start_date"]
    if date is None or began is None:
        return "unknown"
    if parse_date(date).timestamp() < began + clock_lead:
        return "before"
    return "since" if exact else "unknown"

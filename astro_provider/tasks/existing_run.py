"""What to do about a run that exists already: pure decisions, each with its table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from astro_provider.api.dates import parse_date
from astro_provider.api.states import FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun

OnExistingRun: TypeAlias = Literal["fail", "attach", "reset", "skip"]
"""The user's choice for a run that the task did not create."""

ON_EXISTING_RUN: tuple[OnExistingRun, ...] = get_args(OnExistingRun)

Created: TypeAlias = Literal["since", "before", "unknown"]
"""Whether a run was created, or last reset, since the first try of the task started, or before."""


class Origin(Enum):
    """What created, or last reset, a run. The values complete a log line."""

    THIS_TRY = "this try"
    EARLIER_TRY = "an earlier try"
    BEFORE_CLEAR = "this task, before it was cleared"
    OTHER = "another task or a user, as far as can be determined"


class Decision(Enum):
    """What to do about a run that exists already."""

    USE = "continue with the run"
    REPAIR = "clear the tasks that failed or were cut off when the run ended, and continue with the run"
    ATTACH = "continue with the run, although this task did not create it"
    RESET = "clear the whole run, so that it runs again"
    SKIP = "skip the task"
    FAIL = "fail the task for good"


@dataclass(frozen=True)
class ExistingRun:
    """
    What is known of a run that exists already.

    :param state: its state
    :param same_run_id: whether it has the run id that the task wants to create; otherwise, it has the same logical date
        only
    :param derived: whether that run id is derived from the task, so that no other task uses it
    :param from_before_clear: whether its run id was derived from the same task before the task was cleared
    :param retry: whether this is not the first try since the task was last cleared
    :param resent: whether this try might have created it, because the response to an earlier request was lost
    :param created: whether it was created, or last reset, since the first try after the last clear started
    """

    state: str
    same_run_id: bool
    derived: bool
    from_before_clear: bool
    retry: bool
    resent: bool
    created: Created


def origin(run: ExistingRun, on_existing_run: OnExistingRun) -> Origin:
    """
    Determine what created, or last reset, a run.

    ================ ======= =================================== ============
    run id           try     created                             origin
    ================ ======= =================================== ============
    derived          first   since                               THIS_TRY
    derived          first   unknown, and a response was lost    THIS_TRY
    derived          first   otherwise                           OTHER
    derived          retry   before                              OTHER
    derived          retry   since, unknown                      EARLIER_TRY
    given            first   any                                 OTHER
    given            retry   since                               EARLIER_TRY
    given            retry   unknown, and the run is unfinished  EARLIER_TRY
    given            retry   otherwise                           OTHER
    before the clear first   any                                 BEFORE_CLEAR
    before the clear retry   since                               EARLIER_TRY
    before the clear retry   unknown, and the run is unfinished  EARLIER_TRY
    before the clear retry   otherwise                           BEFORE_CLEAR
    another          first   any                                 OTHER
    another          retry   since, and ``reset`` is chosen      EARLIER_TRY
    another          retry   otherwise                           OTHER
    ================ ======= =================================== ============

    "Before the clear" and "another" are runs with the same logical date only. If the time of creation is unknown, a
    retry can still continue with an unfinished run, because such a run has no outcome from the past.

    :param run: what is known of the run
    :param on_existing_run: the user's choice; an earlier try has only reset a run if it is ``reset``
    """
    is_recent = run.created == "since" or (run.created == "unknown" and run.state not in FINISHED_DAG_RUN_STATES)
    if run.same_run_id and run.derived:
        if run.retry:
            return Origin.OTHER if run.created == "before" else Origin.EARLIER_TRY
        is_new = run.created == "since" or (run.created == "unknown" and run.resent)
        return Origin.THIS_TRY if is_new else Origin.OTHER
    if run.same_run_id:
        return Origin.EARLIER_TRY if run.retry and is_recent else Origin.OTHER
    if run.from_before_clear:
        return Origin.EARLIER_TRY if run.retry and is_recent else Origin.BEFORE_CLEAR
    was_reset = run.retry and run.created == "since" and on_existing_run == "reset"
    return Origin.EARLIER_TRY if was_reset else Origin.OTHER


def decision(origin: Origin, on_existing_run: OnExistingRun, *, repair: bool) -> Decision:
    """
    Decide what to do about a run.

    ============ =============== ================================
    origin       on_existing_run decision
    ============ =============== ================================
    THIS_TRY     any             USE
    EARLIER_TRY  any             REPAIR with ``repair``, else USE
    BEFORE_CLEAR any             RESET
    OTHER        fail            FAIL
    OTHER        attach          ATTACH
    OTHER        reset           RESET
    OTHER        skip            SKIP
    ============ =============== ================================

    :param origin: what created, or last reset, the run
    :param on_existing_run: the user's choice for a run that the task did not create
    :param repair: whether the run has failed, and the task waits for it to succeed
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


def when_created(
    run: DagRun,
    *,
    started_at: float | None,
    started_at_is_exact: bool,
    clock_lead: float,
    logical_date_is_creation: bool,
) -> Created:
    """
    Compare the time when a run was created, or last reset, with the time when a task started.

    Airflow 3 reports when a run was last queued. Airflow 2 reports only when a run started; it sets the logical date of
    a run that is created without one to the time of its creation.

    :param run: the run, with dates by the target's clock
    :param started_at: when the task started, or an earlier time, in seconds since the epoch by this machine's clock;
        ``None`` if unknown
    :param started_at_is_exact: whether the task started at ``started_at``, and not later
    :param clock_lead: seconds by which the target's clock is ahead of this machine's. The target reports its time
        without fractions of a second, so that this is up to a second too small, and no run counts as older than it is
    :param logical_date_is_creation: whether the run was created without a logical date
    """
    is_v1 = run["run_after"] is None
    date = run["queued_at"]
    if date is None and is_v1 and logical_date_is_creation:
        date = run["logical_date"]
    date = date or run["start_date"]
    if date is None or started_at is None:
        return "unknown"
    if parse_date(date).timestamp() < started_at + clock_lead:
        return "before"
    return "since" if started_at_is_exact else "unknown"

"""What to do about a run that exists already: pure decisions, each with its table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from astro_provider.api.dates import parse_date
from astro_provider.api.states import FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun

OnExistingRun: TypeAlias = Literal["fail", "attach", "reset", "resume", "skip"]
"""The user's choice for a run that the task did not create."""

ON_EXISTING_RUN: tuple[OnExistingRun, ...] = get_args(OnExistingRun)

OnActiveRun: TypeAlias = Literal["trigger", "attach", "skip", "fail"]
"""The user's choice for a dag that has a queued or running run."""

ON_ACTIVE_RUN: tuple[OnActiveRun, ...] = get_args(OnActiveRun)

Created: TypeAlias = Literal["since", "before", "unknown"]
"""
When a run was created or last reset: at or after the start of the first try since the task was last cleared, before it,
or unknown, because the dates do not tell.
"""


class Origin(Enum):
    """What created, or last reset, a run. Log lines contain the values of ``THIS_TRY`` and ``EARLIER_TRY``."""

    THIS_TRY = "this try"
    EARLIER_TRY = "an earlier try"
    BEFORE_CLEAR = "this task, before it was cleared"
    OTHER = "another task or a user, as far as can be determined"


class Decision(Enum):
    """What to do about a run that exists already."""

    USE = "continue with the run"
    REPAIR = "clear the tasks that failed or were cut off when the run ended, and continue with the run"
    ATTACH = "continue with the run, although this task did not create it"
    RESUME = "clear the same tasks of a run that this task did not create, and continue with the run"
    RESET = "clear the whole run, so that it runs again"
    SKIP = "skip the task"
    FAIL = "fail the task for good"


@dataclass(frozen=True)
class RunFacts:
    """
    The facts about a run that exists already, from which its origin is determined.

    :param state: state of the run
    :param same_run_id: whether the run has the run id of the planned run; otherwise, it has only the same logical date
    :param derived: whether the run id of the planned run is derived from the task, so that no other task
        uses it. A user, or a deleted dag run with the same id, can still have created the run
    :param from_before_clear: whether the run id was derived from the same task before the task was last cleared
    :param retry: whether this try is not the first one since the task was last cleared
    :param restarted: whether this try has started before, in a triggerer that was stopped or has lost its triggers
    :param resent: whether this try might have created the run with a request whose response was lost
    :param created: when the run was created or last reset, see ``Created``
    """

    state: str
    same_run_id: bool
    derived: bool
    from_before_clear: bool
    retry: bool
    restarted: bool
    resent: bool
    created: Created


def origin(facts: RunFacts, on_existing_run: OnExistingRun) -> Origin:
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
    given            first   since, and ``reset`` is chosen      THIS_TRY
    given            first   otherwise                           OTHER
    given            retry   since                               EARLIER_TRY
    given            retry   unknown, and the run is unfinished  EARLIER_TRY
    given            retry   otherwise                           OTHER
    before the clear first   any                                 BEFORE_CLEAR
    before the clear retry   since                               EARLIER_TRY
    before the clear retry   unknown, and the run is unfinished  EARLIER_TRY
    before the clear retry   otherwise                           BEFORE_CLEAR
    another          first   since, and ``reset`` is chosen      THIS_TRY
    another          first   otherwise                           OTHER
    another          retry   since, and ``reset`` or ``resume``  EARLIER_TRY
    another          retry   otherwise                           OTHER
    ================ ======= =================================== ============

    In the rows "before the clear" and "another", the run has the same logical date as the planned run, but another run
    id: one that was derived from this task before it was cleared, or any other. If the time of creation is unknown, a
    retry can still continue with an unfinished run, because such a run has no outcome from before the clear.

    A first try that has started before, because the triggerer was restarted, is treated like a retry, but the origin of
    its run is ``THIS_TRY``. With ``reset``, a run that was created or reset since the try started need not be reset
    again: two triggerers can run the same try for a while.

    :param facts: the facts about the run
    :param on_existing_run: the user's choice. Only with ``"reset"`` or ``"resume"`` can an earlier try have cleared the
        run of another task
    """
    is_repeated = facts.retry or facts.restarted
    ours = Origin.EARLIER_TRY if facts.retry else Origin.THIS_TRY
    is_recent = facts.created == "since" or (facts.created == "unknown" and facts.state not in FINISHED_DAG_RUN_STATES)
    if facts.same_run_id and facts.derived:
        if is_repeated:
            return Origin.OTHER if facts.created == "before" else ours
        is_new = facts.created == "since" or (facts.created == "unknown" and facts.resent)
        return Origin.THIS_TRY if is_new else Origin.OTHER
    was_reset = facts.created == "since" and (
        on_existing_run == "reset" or (on_existing_run == "resume" and is_repeated)
    )
    if facts.same_run_id:
        return ours if (is_repeated and is_recent) or was_reset else Origin.OTHER
    if facts.from_before_clear:
        return ours if is_repeated and is_recent else Origin.BEFORE_CLEAR
    return ours if was_reset else Origin.OTHER


def decision(origin: Origin, on_existing_run: OnExistingRun, *, has_failed: bool, may_repair: bool) -> Decision:
    """
    Decide what to do about a run.

    ============ =============== =====================================================
    origin       on_existing_run decision
    ============ =============== =====================================================
    THIS_TRY     any             USE
    EARLIER_TRY  any             REPAIR if it has failed and may be repaired, else USE
    BEFORE_CLEAR any             RESET
    OTHER        fail            FAIL
    OTHER        attach          ATTACH
    OTHER        reset           RESET
    OTHER        resume          RESUME if it has failed, else ATTACH
    OTHER        skip            SKIP
    ============ =============== =====================================================

    :param origin: what created, or last reset, the run
    :param on_existing_run: the user's choice for a run that the task did not create
    :param has_failed: whether the run has failed
    :param may_repair: whether the task may clear tasks of the run of an earlier try, because it waits for the run to
        succeed
    """
    if origin is Origin.THIS_TRY:
        return Decision.USE
    if origin is Origin.EARLIER_TRY:
        return Decision.REPAIR if has_failed and may_repair else Decision.USE
    if origin is Origin.BEFORE_CLEAR:
        return Decision.RESET
    return {
        "fail": Decision.FAIL,
        "attach": Decision.ATTACH,
        "reset": Decision.RESET,
        "resume": Decision.RESUME if has_failed else Decision.ATTACH,
        "skip": Decision.SKIP,
    }[on_existing_run]


class ActiveDecision(Enum):
    """What to do before a run is created."""

    CREATE = "create the run or, if it exists already, do what is decided about it"
    ATTACH = "continue with the active run, although this task did not create it"
    SKIP = "skip the task"
    FAIL = "fail the task for good"


def active_decision(
    on_active_run: OnActiveRun, *, has_other: bool, has_own: bool, attached_before: bool
) -> ActiveDecision:
    """
    Decide what to do about a dag that may have queued or running runs, before a run is created.

    ============= =============== ============= =============== ========
    on_active_run attached before own run       other run       decision
    ============= =============== ============= =============== ========
    trigger       any             any           any             CREATE
    attach        yes             any           any             ATTACH
    any           no              exists        any             CREATE
    any           no              none          none is active  CREATE
    attach        no              none          active          ATTACH
    skip          any             none          active          SKIP
    fail          any             none          active          FAIL
    ============= =============== ============= =============== ========

    :param on_active_run: the user's choice
    :param has_other: whether a run is queued or running that is not the task's own
    :param has_own: whether the planned run exists: an active one, or on a retry also one that has finished. It is the
        run of an earlier try, or ``on_existing_run`` decides about it
    :param attached_before: whether an earlier try attached to a run that still exists, in any state
    """
    if on_active_run == "trigger":
        return ActiveDecision.CREATE
    if on_active_run == "attach" and attached_before:
        return ActiveDecision.ATTACH
    if has_own or not has_other:
        return ActiveDecision.CREATE
    return {
        "attach": ActiveDecision.ATTACH,
        "skip": ActiveDecision.SKIP,
        "fail": ActiveDecision.FAIL,
    }[on_active_run]


def when_created(
    run: DagRun,
    *,
    started_at: float | None,
    started_at_is_after_clear: bool,
    clock_lead: float,
    logical_date_is_creation: bool,
) -> Created:
    """
    Compare the time when a run was created, or last reset, with the time when the task started.

    Airflow 3 reports when a run was last queued. Airflow 2 reports only when a run started. If a run is created without
    a logical date, Airflow 2 sets its logical date to the time of its creation, which is then compared.

    :param run: the run, with dates by the target's clock
    :param started_at: see ``PlannedRun``; by this machine's clock
    :param started_at_is_after_clear: see ``PlannedRun``
    :param clock_lead: seconds by which the target's clock is ahead of this machine's. This value can be up to a second
        too low, because the target reports its time in whole seconds. A run that was created less than a second before
        the task started can therefore count as created since, but never the other way round
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
    return "since" if started_at_is_after_clear else "unknown"

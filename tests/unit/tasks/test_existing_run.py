"""The decisions about a run that exists already: each row of the tables in the docstrings."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from astro_provider.tasks.existing_run import (
    ON_ACTIVE_RUN,
    ON_EXISTING_RUN,
    ActiveDecision,
    Decision,
    Origin,
    RunFacts,
    active_decision,
    decision,
    origin,
    when_created,
)
from tests.unit import payloads

THIS_TRY, EARLIER_TRY, BEFORE_CLEAR, OTHER = Origin
DERIVED = {"same_run_id": True, "derived": True}
GIVEN = {"same_run_id": True, "derived": False}
BEFORE_THE_CLEAR = {"same_run_id": False, "derived": True, "from_before_clear": True}
ANOTHER = {"same_run_id": False, "derived": True}
UNFINISHED, FINISHED = ("queued", "running"), ("success", "failed")
ANY_STATE = (*UNFINISHED, *FINISHED)
ANY_DATE = ("since", "before", "unknown")

FIRST, RETRY = False, True
ORIGINS: list[tuple[dict[str, bool], bool, tuple[str, ...], tuple[str, ...], tuple[bool, ...], Origin]] = [
    # run id, retry, created, states, whether an earlier response was lost, origin
    (DERIVED, FIRST, ("since",), ANY_STATE, (True, False), THIS_TRY),
    (DERIVED, FIRST, ("unknown",), ANY_STATE, (True,), THIS_TRY),
    (DERIVED, FIRST, ("unknown",), ANY_STATE, (False,), OTHER),
    (DERIVED, FIRST, ("before",), ANY_STATE, (True, False), OTHER),
    (DERIVED, RETRY, ("since", "unknown"), ANY_STATE, (True, False), EARLIER_TRY),
    (DERIVED, RETRY, ("before",), ANY_STATE, (True, False), OTHER),
    (GIVEN, FIRST, ("before", "unknown"), ANY_STATE, (False,), OTHER),
    (GIVEN, RETRY, ("since",), ANY_STATE, (False,), EARLIER_TRY),
    (GIVEN, RETRY, ("unknown",), UNFINISHED, (False,), EARLIER_TRY),
    (GIVEN, RETRY, ("unknown",), FINISHED, (False,), OTHER),
    (GIVEN, RETRY, ("before",), ANY_STATE, (False,), OTHER),
    (BEFORE_THE_CLEAR, FIRST, ANY_DATE, ANY_STATE, (True, False), BEFORE_CLEAR),
    (BEFORE_THE_CLEAR, RETRY, ("since",), ANY_STATE, (True, False), EARLIER_TRY),
    (BEFORE_THE_CLEAR, RETRY, ("unknown",), UNFINISHED, (True, False), EARLIER_TRY),
    (BEFORE_THE_CLEAR, RETRY, ("unknown",), FINISHED, (True, False), BEFORE_CLEAR),
    (BEFORE_THE_CLEAR, RETRY, ("before",), ANY_STATE, (True, False), BEFORE_CLEAR),
    (ANOTHER, FIRST, ("before", "unknown"), ANY_STATE, (True, False), OTHER),
    (ANOTHER, RETRY, ("before", "unknown"), ANY_STATE, (True, False), OTHER),
]


def run_facts(**facts: Any) -> RunFacts:
    plain = {"state": "success", "derived": True, "from_before_clear": False}
    plain |= {"retry": False, "restarted": False, "resent": False}
    return RunFacts(**{**plain, "created": "unknown", **facts})


@pytest.mark.parametrize("choice", ON_EXISTING_RUN)
@pytest.mark.parametrize(("run_id", "retry", "dates", "states", "resent", "expected"), ORIGINS)
def test_origin_follows_the_table(
    run_id: dict[str, bool],
    retry: bool,
    dates: tuple[str, ...],
    states: tuple[str, ...],
    resent: tuple[bool, ...],
    expected: Origin,
    choice: str,
) -> None:
    for date, state, lost in product(dates, states, resent):
        facts = run_facts(**run_id, retry=retry, created=date, state=state, resent=lost)
        assert origin(facts, choice) is expected, facts
        if retry:  # a first try that starts again finds its own run like a retry
            restarted = replace(facts, retry=False, restarted=True)
            assert origin(restarted, choice) is (THIS_TRY if expected is EARLIER_TRY else expected), restarted


@pytest.mark.parametrize("choice", ON_EXISTING_RUN)
@pytest.mark.parametrize("run_id", [GIVEN, ANOTHER])
def test_recent_run_was_reset_by_this_task_only_with_reset(run_id: dict[str, bool], choice: str) -> None:
    facts = run_facts(**run_id, created="since")
    assert origin(facts, choice) is (THIS_TRY if choice == "reset" else OTHER)


@pytest.mark.parametrize("choice", ON_EXISTING_RUN)
def test_another_run_is_from_an_earlier_try_only_with_reset_or_resume(choice: str) -> None:
    facts = run_facts(**ANOTHER, retry=True, created="since")
    clears = choice in ("reset", "resume")
    assert origin(facts, choice) is (EARLIER_TRY if clears else OTHER)
    restarted = replace(facts, retry=False, restarted=True)
    assert origin(restarted, choice) is (THIS_TRY if clears else OTHER)


@pytest.mark.parametrize("choice", ON_EXISTING_RUN)
@pytest.mark.parametrize(
    ("origin", "has_failed", "may_repair", "expected"),
    [
        *((THIS_TRY, has_failed, may_repair, Decision.USE) for has_failed in (0, 1) for may_repair in (0, 1)),
        (EARLIER_TRY, False, False, Decision.USE),
        (EARLIER_TRY, False, True, Decision.USE),
        (EARLIER_TRY, True, False, Decision.USE),
        (EARLIER_TRY, True, True, Decision.REPAIR),
        *((BEFORE_CLEAR, has_failed, may_repair, Decision.RESET) for has_failed in (0, 1) for may_repair in (0, 1)),
    ],
)
def test_decision_about_a_run_of_this_task_ignores_on_existing_run(
    origin: Origin, has_failed: bool, may_repair: bool, expected: Decision, choice: str
) -> None:
    assert decision(origin, choice, has_failed=has_failed, may_repair=may_repair) is expected


@pytest.mark.parametrize("may_repair", [True, False])
@pytest.mark.parametrize("has_failed", [True, False])
@pytest.mark.parametrize(
    ("choice", "of_failed", "of_others"),
    [
        ("fail", Decision.FAIL, Decision.FAIL),
        ("attach", Decision.ATTACH, Decision.ATTACH),
        ("reset", Decision.RESET, Decision.RESET),
        ("resume", Decision.RESUME, Decision.ATTACH),
        ("skip", Decision.SKIP, Decision.SKIP),
    ],
)
def test_on_existing_run_decides_about_another_run(
    choice: str, of_failed: Decision, of_others: Decision, has_failed: bool, may_repair: bool
) -> None:
    expected = of_failed if has_failed else of_others
    assert decision(OTHER, choice, has_failed=has_failed, may_repair=may_repair) is expected


NO, YES, ANY = (False,), (True,), (False, True)


@pytest.mark.parametrize(
    ("choices", "attached_before", "has_own", "has_other", "expected"),
    [
        (("trigger",), ANY, ANY, ANY, ActiveDecision.CREATE),
        (("attach",), YES, ANY, ANY, ActiveDecision.ATTACH),
        (ON_ACTIVE_RUN, NO, YES, ANY, ActiveDecision.CREATE),
        (ON_ACTIVE_RUN, NO, NO, NO, ActiveDecision.CREATE),
        (("attach",), NO, NO, YES, ActiveDecision.ATTACH),
        (("skip",), ANY, NO, YES, ActiveDecision.SKIP),
        (("fail",), ANY, NO, YES, ActiveDecision.FAIL),
    ],
)
def test_active_decision_follows_the_table(
    choices: tuple[str, ...],
    attached_before: tuple[bool, ...],
    has_own: tuple[bool, ...],
    has_other: tuple[bool, ...],
    expected: ActiveDecision,
) -> None:
    for choice, before, own, other in product(choices, attached_before, has_own, has_other):
        assert active_decision(choice, has_other=other, has_own=own, attached_before=before) is expected


STARTED_AT = 1_769_839_200.0  # 2026-01-31T06:00:00Z
EARLIER, LATER = "2026-01-31T05:59:59Z", "2026-01-31T06:00:01Z"


def run_with_dates(**dates: str | None) -> Any:
    fields = {"queued_at": None, "start_date": None, "logical_date": None, "run_after": "2026-01-31T06:00:00Z"}
    return {**payloads.v2.dag_run(), **fields, **dates}


@pytest.mark.parametrize(
    ("dates", "options", "expected"),
    [
        ({"queued_at": LATER}, {}, "since"),
        ({"queued_at": LATER}, {"started_at_is_after_clear": False}, "unknown"),
        ({"queued_at": EARLIER}, {}, "before"),
        ({"queued_at": EARLIER}, {"started_at_is_after_clear": False}, "before"),
        ({"queued_at": LATER}, {"clock_lead": 2.0}, "before"),
        ({"queued_at": EARLIER}, {"clock_lead": -2.0}, "since"),
        ({"queued_at": LATER, "start_date": EARLIER}, {}, "since"),
        ({"start_date": LATER}, {}, "since"),
        ({}, {}, "unknown"),
        ({"queued_at": LATER}, {"started_at": None}, "unknown"),
        # Airflow 2, which has no run_after
        ({"start_date": LATER, "run_after": None}, {}, "since"),
        ({"run_after": None, "logical_date": LATER}, {}, "unknown"),
        ({"run_after": None, "logical_date": LATER}, {"logical_date_is_creation": True}, "since"),
        (
            {"run_after": None, "logical_date": EARLIER, "start_date": LATER},
            {"logical_date_is_creation": True},
            "before",
        ),
        ({"logical_date": LATER}, {"logical_date_is_creation": True}, "unknown"),
    ],
)
def test_creation_is_compared_with_the_start_of_the_task(
    dates: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    plain = {
        "started_at": STARTED_AT,
        "started_at_is_after_clear": True,
        "clock_lead": 0.0,
        "logical_date_is_creation": False,
    }
    assert when_created(run_with_dates(**dates), **{**plain, **options}) == expected

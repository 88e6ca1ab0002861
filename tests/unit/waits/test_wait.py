"""A wait as data: the states that end it, its text, and how a trigger stores it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.waits.wait import MAX_NAMED_DATES, EndStates, Outcome, RunWait, Verdict, first_dates, outcome_words

END_STATES = EndStates(["success"], ["failed", "upstream_failed"], ["skipped"])

# EndStates


@pytest.mark.parametrize(
    ("states", "expected", "outcome"),
    [
        ([], 1, "pending"),
        (["success"], 1, "success"),
        (["success"], 2, "pending"),
        (["success", "success"], 2, "success"),
        (["success", "success"], 1, "success"),
        (["success", "running"], 1, "pending"),
        (["running"], 1, "pending"),
        (["failed"], 1, "failed"),
        (["failed"], 2, "failed"),
        (["success", "upstream_failed"], 2, "failed"),
        (["skipped"], 1, "skipped"),
        (["skipped", "success"], 2, "skipped"),
        (["skipped", "failed"], 2, "failed"),
        (["running", "skipped"], 3, "skipped"),
        (["unheard of"], 1, "pending"),
    ],
)
def test_states_determine_the_outcome(states: list[str], expected: int, outcome: str) -> None:
    assert END_STATES.outcome(iter(states), expected) == outcome


STATES = st.sampled_from(["success", "failed", "skipped", "running", "none"])


@given(st.lists(STATES), st.integers(1, 3), st.lists(STATES), st.lists(STATES), st.lists(STATES))
def test_outcome_is_success_only_if_enough_were_found_and_all_are_allowed(
    states: list[str], expected: int, allowed: list[str], failed: list[str], skipped: list[str]
) -> None:
    outcome = EndStates(allowed, failed, skipped).outcome(states, expected)
    assert (outcome == "failed") == bool(set(states) & set(failed))
    if outcome == "success":
        assert len(states) >= expected
        assert set(states) <= set(allowed) - set(failed) - set(skipped)
    if outcome == "pending":
        assert len(states) < expected or set(states) - set(allowed)


def test_end_states_are_all_allowed_failed_and_skipped_states() -> None:
    assert END_STATES.all == ("success", "failed", "upstream_failed", "skipped")


@pytest.mark.parametrize(
    ("state", "is_stuck"),
    [("removed", True), ("success", False), ("skipped", False), ("running", False), (None, False)],
)
def test_finished_task_outside_of_the_end_states_is_stuck(state: str | None, is_stuck: bool) -> None:
    assert END_STATES.is_stuck(state) is is_stuck


# Serialization

TEXTS = st.text(min_size=1)
OPTIONAL_TEXTS = st.none() | TEXTS
SEQUENCES = st.lists(TEXTS) | st.lists(TEXTS).map(tuple)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "dag_id": TEXTS,
    "end_states": st.builds(EndStates, SEQUENCES, SEQUENCES, SEQUENCES),
    "run_id": OPTIONAL_TEXTS,
    "logical_dates": SEQUENCES,
    "latest": st.booleans(),
    "since": OPTIONAL_TEXTS,
    "logical_date_range": SEQUENCES,
    "expected_runs": st.integers(min_value=1),
    "partition_key": OPTIONAL_TEXTS,
    "idle": st.booleans(),
    "task_ids": SEQUENCES,
    "group_id": OPTIONAL_TEXTS,
    "check_existence": st.booleans(),
    "must_exist": st.booleans(),
}
"""Strategies for the values of every field of a wait."""


def test_every_field_has_a_strategy() -> None:
    assert list(VALUES) == [field.name for field in fields(RunWait)]


@given(st.builds(RunWait, **VALUES))
def test_stored_wait_can_be_deserialized(wait: RunWait) -> None:
    restored = RunWait.deserialize(json.loads(json.dumps(wait.serialize())))
    assert restored.serialize() == wait.serialize()
    for name in (
        *("dag_id", "run_id", "latest", "since", "expected_runs", "partition_key", "idle"),
        *("group_id", "check_existence", "must_exist"),
    ):
        assert getattr(restored, name) == getattr(wait, name)
    for name in ("logical_dates", "logical_date_range", "task_ids"):
        assert list(getattr(restored, name)) == list(getattr(wait, name))
    assert restored.end_states.all == wait.end_states.all


def test_missing_field_has_its_default() -> None:
    assert RunWait.deserialize({"dag_id": "d", "end_states": {"allowed": ["success"]}}) == RunWait(
        "d", EndStates(["success"])
    )


def test_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="min_tasks"):
        RunWait.deserialize({**RunWait("d", END_STATES).serialize(), "min_tasks": 2})


# Text

TASK = RunWait("d", END_STATES, run_id="r", task_ids=["a"])


@pytest.mark.parametrize(
    ("wait", "facts", "absence"),
    [
        (RunWait("d", END_STATES, run_id="r"), "", ": no such run"),
        (RunWait("d", END_STATES, latest=True), ", newest run", ": no run"),
        (RunWait("d", END_STATES, logical_dates=["A"]), ", run with logical date A", ": no run with logical date A"),
        (RunWait("d", END_STATES, partition_key="p"), ", run for partition 'p'", ": no run for partition 'p'"),
        (
            RunWait("d", END_STATES, logical_date_range=["A", "B"]),
            ", runs with logical dates from A until before B",
            ": no runs with logical dates from A until before B",
        ),
        (TASK, ", task 'a'", ", task 'a': no such run"),
        (replace(TASK, task_ids=["a", "b"]), ", tasks 'a', 'b'", ", tasks 'a', 'b': no such run"),
        (replace(TASK, task_ids=[], group_id="g"), ", task group 'g'", ", task group 'g': no such run"),
    ],
)
def test_facts_of_a_wait_name_the_run_and_the_tasks(wait: RunWait, facts: str, absence: str) -> None:
    assert (wait.facts, wait.absence) == (facts, absence)
    assert wait.waits_for_tasks is ("task" in facts)


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        ("success", "success", ("Success", "")),
        ("failed", "upstream_failed", ("Failed", "State: upstream_failed")),
        ("skipped", "failed", ("Skipped", "State: failed")),
        ("pending", "queued", ("Queued", "")),
        ("pending", "up_for_retry", ("Up for retry", "")),
        ("pending", "not there yet", ("Not there yet", "")),
        ("pending", "success", ("Waiting", "State: success")),
        ("pending", "running, success", ("Waiting", "State: running, success")),
    ],
)
def test_words_say_the_outcome_or_what_is_waited_for(outcome: Outcome, state: str, words: tuple[str, str]) -> None:
    assert outcome_words(outcome, state) == words


def test_text_names_only_the_first_of_many_dates() -> None:
    dates = [f"2026-01-{day:02}" for day in range(1, MAX_NAMED_DATES + 3)]
    assert first_dates(dates[:MAX_NAMED_DATES]) == " and ".join(dates[:MAX_NAMED_DATES])
    assert first_dates(dates) == f"{' and '.join(dates[:MAX_NAMED_DATES])} and 2 more"


# Verdict


def test_explained_verdict_has_the_hint() -> None:
    assert Verdict("pending", "not there yet").explained == "not there yet"
    explained = Verdict("pending", "Not there yet: dag 'd'\nRun: r", hint="The dag has no runs.").explained
    assert explained == "Not there yet: dag 'd'\n  The dag has no runs.\nRun: r"


def test_verdict_of_a_wait_that_was_never_answered_is_pending() -> None:
    verdict = Verdict.never_answered(TASK)
    assert (verdict.outcome, verdict.message) == ("pending", "No answer yet: dag 'd', task 'a'\nRun: r")

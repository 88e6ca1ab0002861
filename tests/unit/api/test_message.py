"""The form of a message that tells an outcome."""

from __future__ import annotations

import pytest

from astro_provider.api.message import (
    HEAD_CHARACTERS,
    dag_subject,
    error_message,
    first_line,
    outcome_message,
    restated,
    subject_message,
    with_details,
)

URL = "https://x/dags/nightly/runs/r"
FAILED = outcome_message("Failed", "nightly", where="D", details="Failed tasks:\n  a: no", run_id="r", url=URL)
LONG_ID = "d" * 100


def test_outcome_and_dag_come_first_and_the_run_and_its_link_last() -> None:
    assert FAILED.split("\n") == [
        "Failed: dag 'nightly' in D",
        "  Failed tasks:",
        "    a: no",
        "Run: r",
        URL,
    ]


def test_only_what_is_known_is_said() -> None:
    assert outcome_message("Failed", "nightly") == "Failed: dag 'nightly'"


def test_facts_follow_the_dag() -> None:
    assert outcome_message("Failed", "nightly", ", task 'a'", where="D") == "Failed: dag 'nightly', task 'a' in D"


def test_long_dag_id_is_cut_in_the_first_line_and_whole_in_another() -> None:
    head, dag, run = outcome_message("Failed", LONG_ID, ", task 'a'", run_id="r").split("\n")
    assert head == f"Failed: dag '{LONG_ID[:46]}…, task 'a'"
    assert head.index("…") == HEAD_CHARACTERS - 1
    assert (dag, run) == (f"Dag: {LONG_ID}", "Run: r")


def test_run_id_of_the_target_forges_no_line() -> None:
    assert outcome_message("Failed", "d", run_id="r\nFailed: dag 'x'").split("\n")[2].startswith(" ")


def test_request_has_the_place_of_the_dag() -> None:
    message = subject_message("Accepted", "GET pools", ", at last,", where="D", details="why")
    assert message == "Accepted: GET pools, at last, in D\n  why"
    assert len(first_line(subject_message("Accepted", "GET " + "p" * 100))) == HEAD_CHARACTERS


def test_another_outcome_keeps_everything_else() -> None:
    assert restated(FAILED, "Skipped", "{}, but soft_fail is set").split("\n") == [
        "Skipped: dag 'nightly' in D",
        "  Failed, but soft_fail is set",
        "  Failed tasks:",
        "    a: no",
        "Run: r",
        URL,
    ]


@pytest.mark.parametrize("length", [46, 47, 60])
def test_dag_is_cut_to_another_outcome(length: int) -> None:
    dag_id = LONG_ID[:length]
    message = restated(outcome_message("Failed", dag_id, where="D", run_id="r"), "Timed out after 60 s", "{}")
    head, remark, dag, run = message.split("\n")
    assert head == f"Timed out after 60 s: dag '{LONG_ID[:32]}… in D"
    assert (remark, dag, run) == ("  Failed", f"Dag: {dag_id}", "Run: r")


def test_details_are_added_in_front_of_the_run() -> None:
    assert with_details(FAILED, "", "more\nand more").split("\n")[2:] == [
        "    a: no",
        "  more",
        "  and more",
        "Run: r",
        URL,
    ]


def test_error_follows_the_outcome_and_the_dag() -> None:
    error = RuntimeError("Refused with 401: no\n    more\nPut a token there")
    message = error_message("Still waiting", dag_subject("nightly"), error, run_id="r")
    assert message == "Still waiting: dag 'nightly': Refused with 401: no\n    more\n  Put a token there\nRun: r"


def test_error_that_tells_an_outcome_is_not_changed() -> None:
    assert error_message("Failed", dag_subject("nightly"), RuntimeError(FAILED)) == FAILED
    refused = error_message("Failed", "GET pools", RuntimeError("no"))
    assert error_message("Failed", "GET pools", RuntimeError(refused)) == refused

"""Which errors a wait tolerates, and for how long."""

from __future__ import annotations

from itertools import product

import pytest

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    CertificateError,
    ConflictError,
    ConnectionConfigError,
    ConnectionUnreadableError,
    HostNotFoundError,
    InvalidRequestError,
    NotAirflowError,
    NotFoundError,
    RequestNotPossible,
    TargetError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS, Tolerance, is_refusal
from tests.unit.scripted_target import ManualClock

BROKEN = TransportError("broken off")
DENIED = AccessDeniedError("", status=401)
NOT_FOUND = NotFoundError("", status=404)

TRANSIENT: list[AstroError] = [BROKEN, TargetUnavailableError("", status=503), UnexpectedAnswerError("")]
REFUSALS: list[AstroError] = [
    DENIED,
    NotAirflowError(""),
    HostNotFoundError("", sent=False),
    CertificateError("", sent=False),
    ConnectionUnreadableError(""),
    InvalidRequestError("", status=400),
    ConflictError("", status=409),
    TargetError("", status=413),
]
FINAL: list[AstroError] = [ConnectionConfigError("x", "Host", "is empty"), RequestNotPossible(""), AstroError("")]

HOURS = 100 * MAX_REFUSED_SECONDS


def name_of(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, AstroError) else None


def nothing(error: AstroError) -> None:
    """Hear of an error that a test expects to be tolerated, or does not care about."""


@pytest.mark.parametrize(
    ("error", "tolerated", "after"),
    [
        *product(TRANSIENT, [True], [0, HOURS]),
        *product(REFUSALS, [True], [0, MAX_REFUSED_AT_FIRST_SECONDS - 1]),
        *product(REFUSALS, [False], [MAX_REFUSED_AT_FIRST_SECONDS, HOURS]),
        *product([*FINAL, NOT_FOUND], [False], [0]),
    ],
    ids=name_of,
)
def test_before_the_target_has_ever_answered(error: AstroError, tolerated: bool, after: float) -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock)
    clock.now += HOURS  # the limit counts from the first refusal
    tolerance.tolerates(error, nothing)
    clock.now += after
    assert tolerance.tolerates(error, nothing) == tolerated


@pytest.mark.parametrize(
    ("error", "tolerated", "after"),
    [
        *product(TRANSIENT, [True], [0, HOURS]),
        *product(REFUSALS, [True], [0, MAX_REFUSED_SECONDS - 1]),
        *product(REFUSALS, [False], [MAX_REFUSED_SECONDS, HOURS]),
        *product(FINAL, [False], [0]),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("by", ["worked", "has_worked"])
def test_once_the_target_has_answered(error: AstroError, tolerated: bool, after: float, by: str) -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock, has_answered=by == "has_worked")
    if by == "worked":
        tolerance.note_answer()
    clock.now += HOURS
    tolerance.tolerates(error, nothing)
    clock.now += after
    assert tolerance.tolerates(error, nothing) == tolerated


def test_an_answer_in_between_starts_the_limit_anew() -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock)
    for _ in range(3):
        assert tolerance.tolerates(DENIED, nothing)
        clock.now += MAX_REFUSED_AT_FIRST_SECONDS - 1
        tolerance.note_answer()
    assert tolerance.tolerates(DENIED, nothing)
    clock.now += MAX_REFUSED_SECONDS - 1
    assert tolerance.tolerates(DENIED, nothing)


def test_transient_errors_neither_use_up_nor_renew_the_limit_of_refusals() -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock, has_answered=True)
    assert tolerance.tolerates(BROKEN, nothing)
    clock.now += HOURS
    assert tolerance.tolerates(DENIED, nothing)
    assert tolerance.tolerates(BROKEN, nothing)
    clock.now += MAX_REFUSED_SECONDS
    assert not tolerance.tolerates(DENIED, nothing)
    assert tolerance.tolerates(BROKEN, nothing)


def test_what_is_not_found_is_believed_when_it_is_confirmed() -> None:
    tolerance = Tolerance(ManualClock(), has_answered=True)
    assert tolerance.tolerates(NOT_FOUND, nothing)
    tolerance.note_answer()  # it was a proxy's answer
    assert tolerance.tolerates(NOT_FOUND, nothing)
    assert tolerance.tolerates(BROKEN, nothing)  # neither confirms nor denies it
    assert not tolerance.tolerates(NOT_FOUND, nothing)


def test_one_warning_until_the_target_answers_again() -> None:
    tolerance = Tolerance(ManualClock())
    warned: list[AstroError] = []
    for error in (BROKEN, BROKEN, DENIED):
        assert tolerance.tolerates(error, warned.append)
    assert warned == [BROKEN]
    assert tolerance.is_tolerating
    tolerance.note_answer()
    assert not tolerance.is_tolerating
    tolerance.tolerates(DENIED, warned.append)
    assert warned == [BROKEN, DENIED]


@pytest.mark.parametrize("error", [*FINAL, NOT_FOUND], ids=name_of)
def test_an_error_that_ends_the_wait_is_no_warning(error: AstroError) -> None:
    assert not Tolerance(ManualClock()).tolerates(error, pytest.fail)


@pytest.mark.parametrize("error", [*TRANSIENT, *REFUSALS, *FINAL, NOT_FOUND], ids=name_of)
def test_refusals(error: AstroError) -> None:
    assert is_refusal(error) == (error in REFUSALS)

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


def ignore(error: AstroError) -> None:
    """Ignore an error that is tolerated."""


@pytest.mark.parametrize(
    ("error", "tolerated", "seconds"),
    [
        *product(TRANSIENT, [True], [0, HOURS]),
        *product(REFUSALS, [True], [0, MAX_REFUSED_AT_FIRST_SECONDS - 1]),
        *product(REFUSALS, [False], [MAX_REFUSED_AT_FIRST_SECONDS, HOURS]),
        *product([*FINAL, NOT_FOUND], [False], [0]),
    ],
    ids=name_of,
)
def test_tolerated_seconds_before_the_first_answer(error: AstroError, tolerated: bool, seconds: float) -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock)
    clock.now += HOURS  # the limit counts from the first refusal
    tolerance.tolerates(error, ignore)
    clock.now += seconds
    assert tolerance.tolerates(error, ignore) == tolerated


@pytest.mark.parametrize(
    ("error", "tolerated", "seconds"),
    [
        *product(TRANSIENT, [True], [0, HOURS]),
        *product(REFUSALS, [True], [0, MAX_REFUSED_SECONDS - 1]),
        *product(REFUSALS, [False], [MAX_REFUSED_SECONDS, HOURS]),
        *product(FINAL, [False], [0]),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("by", ["note_answer", "has_answered"])
def test_tolerated_seconds_after_an_answer(error: AstroError, tolerated: bool, seconds: float, by: str) -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock, has_answered=by == "has_answered")
    if by == "note_answer":
        tolerance.note_answer()
    clock.now += HOURS
    tolerance.tolerates(error, ignore)
    clock.now += seconds
    assert tolerance.tolerates(error, ignore) == tolerated


def test_answer_resets_the_limit_of_refusals() -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock)
    for _ in range(3):
        assert tolerance.tolerates(DENIED, ignore)
        clock.now += MAX_REFUSED_AT_FIRST_SECONDS - 1
        tolerance.note_answer()
    assert tolerance.tolerates(DENIED, ignore)
    clock.now += MAX_REFUSED_SECONDS - 1
    assert tolerance.tolerates(DENIED, ignore)


def test_transient_errors_do_not_affect_the_limit_of_refusals() -> None:
    clock = ManualClock()
    tolerance = Tolerance(clock, has_answered=True)
    assert tolerance.tolerates(BROKEN, ignore)
    clock.now += HOURS
    assert tolerance.tolerates(DENIED, ignore)
    assert tolerance.tolerates(BROKEN, ignore)
    clock.now += MAX_REFUSED_SECONDS
    assert not tolerance.tolerates(DENIED, ignore)
    assert tolerance.tolerates(BROKEN, ignore)


def test_second_404_confirms_the_first_one() -> None:
    tolerance = Tolerance(ManualClock(), has_answered=True)
    assert tolerance.tolerates(NOT_FOUND, ignore)
    tolerance.note_answer()  # the 404 came from a proxy
    assert tolerance.tolerates(NOT_FOUND, ignore)
    assert tolerance.tolerates(BROKEN, ignore)  # neither confirms nor refutes the 404
    assert not tolerance.tolerates(NOT_FOUND, ignore)


def test_first_tolerated_error_is_reported_until_the_next_answer() -> None:
    tolerance = Tolerance(ManualClock())
    warnings: list[AstroError] = []
    for error in (BROKEN, BROKEN, DENIED):
        assert tolerance.tolerates(error, warnings.append)
    assert warnings == [BROKEN]
    assert tolerance.is_tolerating
    tolerance.note_answer()
    assert not tolerance.is_tolerating
    tolerance.tolerates(DENIED, warnings.append)
    assert warnings == [BROKEN, DENIED]


@pytest.mark.parametrize("error", [*FINAL, NOT_FOUND], ids=name_of)
def test_error_that_is_not_tolerated_is_not_reported(error: AstroError) -> None:
    assert not Tolerance(ManualClock()).tolerates(error, pytest.fail)


@pytest.mark.parametrize("error", [*TRANSIENT, *REFUSALS, *FINAL, NOT_FOUND], ids=name_of)
def test_is_refusal_is_true_for_refusals_only(error: AstroError) -> None:
    assert is_refusal(error) == (error in REFUSALS)

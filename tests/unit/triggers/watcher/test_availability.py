"""How much a watcher requests of a target that does not answer everything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.triggers.watcher.availability import Availability
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS

if TYPE_CHECKING:
    from tests.unit.task_runner import FakeClock


@pytest.fixture
def availability(clock: FakeClock) -> Availability:
    return Availability(time.time)


def is_listing_poll(availability: Availability) -> bool:
    """Begin a poll, and return whether it lists what has finished."""
    availability.count_poll()
    return availability.should_list


def test_every_poll_lists_while_lists_succeed(availability: Availability) -> None:
    assert [is_listing_poll(availability) for _ in range(4)] == [True] * 4


def test_every_other_poll_lists_while_lists_fail(availability: Availability) -> None:
    availability.note_failed_list(tolerated=True)
    assert [is_listing_poll(availability) for _ in range(4)] == [True, False, True, False]


def test_target_is_down_until_a_check_or_a_list_succeeds(availability: Availability) -> None:
    availability.note_check()
    assert availability.note_failed_list(tolerated=True)
    assert not availability.note_failed_list(tolerated=True)
    assert (availability.is_down, availability.only_lists_fail) == (True, False)
    availability.note_check()
    assert (availability.is_down, availability.only_lists_fail) == (False, True)
    availability.note_failed_check()
    assert (availability.is_down, availability.only_lists_fail) == (True, False)
    availability.note_list()
    assert (availability.is_down, availability.only_lists_fail, availability.lists_fail) == (False, False, False)


def test_target_is_not_down_after_an_error_that_is_not_tolerated(availability: Availability) -> None:
    availability.note_failed_list(tolerated=False)
    assert (availability.lists_fail, availability.is_down) == (True, False)


@pytest.mark.parametrize(
    ("has_answered", "seconds"), [(False, MAX_REFUSED_AT_FIRST_SECONDS), (True, MAX_REFUSED_SECONDS)]
)
def test_refusals_are_tolerated_for_a_limited_time_since_the_last_answer(
    availability: Availability, clock: FakeClock, has_answered: bool, seconds: float
) -> None:
    refused = AccessDeniedError("refused", status=401)
    if has_answered:
        availability.note_earlier_answer()
    assert availability.tolerates(refused)
    clock.shift(seconds)
    assert not availability.tolerates(refused)
    availability.note_check()
    assert availability.tolerates(refused)


def test_missing_run_and_connection_errors_are_always_tolerated(availability: Availability, clock: FakeClock) -> None:
    for _ in range(2):
        assert availability.tolerates(NotFoundError("no run", status=404))
        assert availability.tolerates(TransportError("no response"))
        clock.shift(1e6)

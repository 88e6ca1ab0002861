"""The number of periodic checks that are due."""

from __future__ import annotations

import pytest

from astro_provider.triggers.watcher.periodic_check_rate import (
    MIN_CHECKS_WITHOUT_LISTS,
    ROUND_SECONDS,
    PeriodicCheckRate,
)


@pytest.mark.parametrize("interval", [0.5, 5.0, 60.0, 600.0, 3600.0])
@pytest.mark.parametrize("number", [1, 10, 1000, 10_000])
def test_every_wait_is_checked_once_per_round_but_not_once_per_interval(number: int, interval: float) -> None:
    check_rate = PeriodicCheckRate()
    polls = 4 * max(int(ROUND_SECONDS / interval), 1)
    checks = sum(check_rate.take(interval, {interval: number}) for _ in range(polls))
    rounds = polls * interval / max(ROUND_SECONDS, 2 * interval)
    assert checks >= int(number * rounds)  # every wait within ten minutes, or within two intervals
    assert checks <= max(number * polls, polls) / 2 + 1


@pytest.mark.parametrize(("number", "per_poll"), [(1, 0.5), (60, 0.5), (1000, 8.33), (10_000, 83.3)])
def test_number_of_checks_per_poll_grows_with_the_number_of_waits(number: int, per_poll: float) -> None:
    check_rate = PeriodicCheckRate()
    checks = sum(check_rate.take(5, {5: number}) for _ in range(1000))
    assert checks == pytest.approx(1000 * per_poll, rel=0.01)


def test_no_more_checks_are_due_than_there_are_waits() -> None:
    assert PeriodicCheckRate().take(1e6, {5: 7}) == 7


def test_without_lists_ten_checks_are_due_or_as_many_as_a_round_needs() -> None:
    assert PeriodicCheckRate().take_without_lists(5, {5: 3}) == MIN_CHECKS_WITHOUT_LISTS
    assert PeriodicCheckRate().take_without_lists(5, {5: 12_000}) == 100


def test_last_of_many_waits_are_checked_within_a_round_as_the_others_end() -> None:
    check_rate, left = PeriodicCheckRate(), 10_000
    check_rate.take(5, {5: left})
    for _ in range(int(ROUND_SECONDS / 5) + 1):
        left -= min(check_rate.take_without_lists(5, {5: left}), left)
    assert left == 0


def test_last_of_many_waits_are_checked_at_most_every_other_poll() -> None:
    check_rate = PeriodicCheckRate()
    check_rate.take(5, {5: 10_000})
    assert sum(check_rate.take(5, {5: 10}) for _ in range(100)) <= 500
    # One round later, they are checked as rarely as if there had never been more of them.
    for _ in range(2 * int(ROUND_SECONDS / 5)):
        check_rate.take(5, {5: 10})
    assert sum(check_rate.take(5, {5: 10}) for _ in range(100)) == 50

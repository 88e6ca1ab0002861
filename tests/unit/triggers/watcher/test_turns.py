"""How many waits are checked in turn."""

from __future__ import annotations

import pytest

from astro_provider.triggers.watcher.turns import MIN_CHECKS_WITHOUT_LISTS, ROUND_SECONDS, Turns


@pytest.mark.parametrize("interval", [0.5, 5.0, 60.0, 600.0, 3600.0])
@pytest.mark.parametrize("number", [1, 10, 1000, 10_000])
def test_a_round_takes_minutes_and_less_than_a_request_per_interval_and_wait(number: int, interval: float) -> None:
    turns = Turns()
    polls = 4 * max(int(ROUND_SECONDS / interval), 1)
    taken = sum(turns.due(interval, {interval: number}) for _ in range(polls))
    rounds = polls * interval / max(ROUND_SECONDS, 2 * interval)
    assert taken >= int(number * rounds)  # everybody within ten minutes, or within two intervals
    assert taken <= max(number * polls, polls) / 2 + 1


@pytest.mark.parametrize(("number", "per_poll"), [(1, 0.5), (60, 0.5), (1000, 8.33), (10_000, 83.3)])
def test_what_the_documentation_says_it_costs(number: int, per_poll: float) -> None:
    turns = Turns()
    assert sum(turns.due(5, {5: number}) for _ in range(1000)) == pytest.approx(1000 * per_poll, rel=0.01)


def test_never_more_than_there_are() -> None:
    assert Turns().due(1e6, {5: 7}) == 7


def test_where_lists_fail_it_is_ten_at_least_and_a_round_in_minutes() -> None:
    assert Turns().due_without_lists(5, {5: 3}) == MIN_CHECKS_WITHOUT_LISTS
    assert Turns().due_without_lists(5, {5: 12_000}) == 100


def test_the_last_ones_of_many_that_end_are_checked_within_a_round() -> None:
    turns, left = Turns(), 10_000
    turns.due(5, {5: left})
    for _ in range(int(ROUND_SECONDS / 5) + 1):
        left -= min(turns.due_without_lists(5, {5: left}), left)
    assert left == 0


def test_the_few_that_are_left_of_many_are_not_checked_more_than_every_other_poll() -> None:
    turns = Turns()
    turns.due(5, {5: 10_000})
    assert sum(turns.due(5, {5: 10}) for _ in range(100)) <= 500
    # And as seldom as others, a round later.
    for _ in range(2 * int(ROUND_SECONDS / 5)):
        turns.due(5, {5: 10})
    assert sum(turns.due(5, {5: 10}) for _ in range(100)) == 50

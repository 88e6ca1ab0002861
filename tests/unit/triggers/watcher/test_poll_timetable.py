"""When polls, scheduled checks and deadlines are due."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.triggers.watcher.poll_timetable import PollTimetable
from tests.unit.triggers.watcher.subscriptions import make_subscription

if TYPE_CHECKING:
    from astro_provider.triggers.watcher.subscription import Subscription

START = 1000.0


@pytest.fixture
def timetable() -> PollTimetable:
    return PollTimetable(START)


def join(
    timetable: PollTimetable,
    poke_interval: float = 5.0,
    deadline: float | None = None,
    *,
    age: float = 1e6,
    at: float = START,
) -> Subscription:
    subscription = make_subscription("theirs")
    subscription.poke_interval, subscription.deadline, subscription.started_at = poke_interval, deadline, at - age
    timetable.join(subscription, at)
    return subscription


def test_nothing_is_due_without_subscriptions(timetable: PollTimetable) -> None:
    assert timetable.next_due == float("inf")


def test_poll_is_due_once_per_shortest_interval(timetable: PollTimetable) -> None:
    join(timetable, 60)
    short = join(timetable, 7)
    assert timetable.next_due == START + 7
    assert timetable.advance(START + 6).elapsed is None
    assert timetable.advance(START + 8).elapsed == 8
    assert timetable.next_due == START + 15
    timetable.leave(short)
    assert timetable.advance(START + 15).elapsed == 7
    assert timetable.next_due == START + 75


def test_interval_of_polls_follows_the_age_of_the_youngest_wait(timetable: PollTimetable) -> None:
    old, young = join(timetable, 60), join(timetable, 30, age=0)
    times, now = [], START
    while len(times) < 60:
        now = timetable.next_due
        assert timetable.advance(now).elapsed is not None
        times.append(now - START)
    assert times[:10] == [pytest.approx(1 + each) for each in range(10)]
    intervals = [later - earlier for earlier, later in pairwise(times)]
    assert max(later / earlier for earlier, later in pairwise(intervals)) <= 1.11
    assert intervals[-1] == 30
    timetable.leave(young)
    timetable.advance(timetable.next_due)
    assert timetable.poll_interval == 60
    timetable.leave(old)
    timetable.advance(timetable.next_due)
    assert timetable.poll_interval == float("inf")


def test_wait_that_joins_makes_the_next_poll_come_within_a_second(timetable: PollTimetable) -> None:
    join(timetable, 60)
    join(timetable, 60, age=0, at=START + 20)
    assert timetable.next_due == START + 21
    # However many others join meanwhile, they do not delay the poll.
    for each in range(1, 10):
        join(timetable, 60, age=0, at=START + 20 + each / 10)
    assert timetable.next_due == START + 21
    assert timetable.advance(START + 21).elapsed == 2  # two intervals, as after a suspension


JOINS = st.tuples(st.floats(0, 30), st.sampled_from([0.5, 1.0, 5.0, 60.0]), st.floats(0, 1000))


@given(joins=st.lists(JOINS, min_size=1, max_size=20))
def test_no_wait_is_polled_later_than_its_interval_and_polls_are_no_more_frequent_than_needed(
    joins: list[tuple[float, float, float]],
) -> None:
    timetable, now = PollTimetable(START), START
    polls: list[float] = []
    waits: list[tuple[float, Subscription]] = []

    def advance_until(end: float) -> float:
        while (due := timetable.next_due) <= end:
            assert timetable.advance(due).elapsed is not None
            polls.append(due)
        return end

    for pause, poke_interval, age in joins:
        now = advance_until(now + pause)
        waits.append((now, join(timetable, poke_interval, age=age, at=now)))
    advance_until(now + 100)
    for joined_at, each in waits:
        times = [joined_at, *(at for at in polls if at >= joined_at)]
        assert all(later - earlier <= each.current_interval(earlier) + 1e-6 for earlier, later in pairwise(times))
    for earlier, later in pairwise(polls):
        needed = [each.current_interval(earlier) for joined_at, each in waits if joined_at <= earlier]
        joined = [at + each.current_interval(at) - earlier for at, each in waits if earlier < at < later]
        assert later - earlier >= min(needed + joined) - 1e-6


def test_old_wait_that_joins_is_polled_after_its_own_interval(timetable: PollTimetable) -> None:
    """A restarted triggerer begins its waits again."""
    for each in range(20):
        join(timetable, 60, age=200 + each, at=START + each / 10)
    assert timetable.next_due == START + 20


def test_clock_that_moves_backwards_makes_no_wait_young_again(timetable: PollTimetable) -> None:
    join(timetable, 5, age=100)
    timetable.advance(START + 1)
    timetable.advance(START - 3600)
    assert timetable.next_due == START - 3595


def test_suspended_machine_makes_up_for_two_intervals_at_most(timetable: PollTimetable) -> None:
    join(timetable, 5)
    assert timetable.advance(START + 3600).elapsed == 10


def test_deadline_and_scheduled_check_are_due_once(timetable: PollTimetable) -> None:
    late, checked = join(timetable, deadline=START + 2), join(timetable)
    timetable.schedule_check(checked, START + 3)
    assert timetable.next_due == START + 2
    due = timetable.advance(START + 3)
    assert (due.past_deadline, due.to_check) == ([late], [checked])
    due = timetable.advance(START + 4)
    assert (due.past_deadline, due.to_check) == ([], [])


def test_new_schedule_replaces_the_one_before(timetable: PollTimetable) -> None:
    subscription = join(timetable)
    timetable.schedule_check(subscription, START + 1)
    timetable.schedule_check(subscription, START + 3)
    assert timetable.advance(START + 2).to_check == []
    assert timetable.advance(START + 3).to_check == [subscription]


def test_nothing_is_due_for_subscriptions_that_have_left(timetable: PollTimetable) -> None:
    subscription = join(timetable, deadline=START + 1)
    timetable.schedule_check(subscription, START + 1)
    timetable.leave(subscription)
    due = timetable.advance(START + 2)
    assert (due.past_deadline, due.to_check, due.elapsed) == ([], [], None)


def test_clock_that_moves_backwards_makes_a_poll_due_and_shifts_checks_but_no_deadline(
    timetable: PollTimetable,
) -> None:
    subscription = join(timetable, 5, deadline=START + 30)
    timetable.advance(START + 1)
    timetable.schedule_check(subscription, START + 60)
    due = timetable.advance(START - 99)
    assert (due.clock_moved_back, due.elapsed) == (105, 5)
    assert subscription.check_at == START + 60 - 105
    assert timetable.advance(subscription.check_at).to_check == [subscription]
    assert timetable.advance(START + 29).past_deadline == []
    assert timetable.advance(START + 30).past_deadline == [subscription]

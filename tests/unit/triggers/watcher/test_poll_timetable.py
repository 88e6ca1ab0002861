"""When polls, scheduled checks and deadlines are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.poll_timetable import PollTimetable
from tests.unit.triggers.watcher.subscriptions import make_subscription

if TYPE_CHECKING:
    from astro_provider.triggers.watcher.subscription import Subscription

START = 1000.0


@pytest.fixture
def timetable() -> PollTimetable:
    return PollTimetable(START)


def join(timetable: PollTimetable, poke_interval: float = 5.0, deadline: float | None = None) -> Subscription:
    subscription = make_subscription("theirs")
    subscription.poke_interval, subscription.deadline = poke_interval, deadline
    timetable.join(subscription)
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
    assert timetable.next_due == START + 68


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

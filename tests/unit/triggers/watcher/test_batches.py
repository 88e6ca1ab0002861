"""Which waits a list checks, how they are divided, and which of them it leaves in doubt."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import pytest

from astro_provider.triggers.watcher.batches import POLLS_PER_BATCH, Batches, changed_waits, divide
from astro_provider.triggers.watcher.check_rate import ROUND_SECONDS
from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit import payloads

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun, TaskInstance

INTERVAL = 5.0
BEGAN = datetime(2026, 2, 1, 12, tzinfo=timezone.utc)


def subscribed(
    run_id: str | None,
    state: str = "running",
    *,
    due: int = 0,
    dag_id: str = "d",
    end_states: EndStates = EndStates(("success",), ("failed",)),  # noqa: B008  it is frozen
    run_state: str = "running",
    **what: Any,
) -> Subscription:
    """Subscribe to a run that was due so many minutes after the beginning, and that a check has found."""
    subscription = Subscription(
        RunWait(dag_id, end_states, run_id=run_id, **what),
        poke_interval=INTERVAL,
        deadline=None,
        clock=BEGAN.timestamp,
        on_change=lambda _: None,
        warn=lambda _: None,
    )
    at = (BEGAN + timedelta(minutes=due)).isoformat()
    found = cast("DagRun", payloads.of("v2").dag_run(run_id or "theirs", run_state, dag_id=dag_id, run_after=at))
    subscription.note_verdict(Verdict("pending", "", found, state=state))
    return subscription


def run_row(run_id: str, state: str = "running", dag_id: str = "d") -> DagRun:
    return cast("DagRun", payloads.of("v2").dag_run(run_id, state, dag_id=dag_id))


def task_row(run_id: str, task_id: str, state: str | None, map_index: int = -1) -> TaskInstance:
    return cast(
        "TaskInstance",
        payloads.of("v2").task_instance(task_id, state, dag_id="d", dag_run_id=run_id, map_index=map_index),
    )


# Whom a list can check.


@pytest.mark.parametrize(
    ("what", "listable"),
    [
        ({"run_id": "r"}, True),
        ({"run_id": None, "logical_dates": ["2026-02-01T00:00:00Z"]}, True),
        ({"run_id": "r", "task_ids": ["load"]}, True),
        ({"run_id": "r", "task_ids": ["load"], "run_state": "success"}, True),
        ({"run_id": None, "latest": True}, False),
        ({"run_id": None, "logical_dates": ["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]}, False),
        ({"run_id": "r", "group_id": "g"}, False),
        ({"run_id": "r", "end_states": EndStates(("running",))}, False),
        ({"run_id": "r", "run_state": "failed", "end_states": EndStates(("success",))}, False),
    ],
)
def test_a_list_can_check_a_wait_for_one_run_that_is_not_over(what: dict[str, Any], listable: bool) -> None:
    assert subscribed(**what).can_be_batched is listable


def test_a_list_cannot_check_a_wait_whose_run_is_not_there() -> None:
    subscription = subscribed("r")
    subscription.note_verdict(Verdict("pending", "not there yet"))
    assert not subscription.can_be_batched


# Batches.


def test_a_batch_has_the_runs_that_were_due_one_after_another() -> None:
    subscriptions = [subscribed(f"r{due}", due=due, dag_id=f"d{due % 7}") for due in range(250)]
    batches = divide(reversed(subscriptions), by_dag=False)
    assert [len(batch.subscriptions) for batch in batches] == [100, 100, 50]
    assert [each for batch in batches for each in batch.subscriptions] == subscriptions
    assert batches[1].dag_ids == [f"d{number}" for number in range(7)]
    assert batches[1].due_range == (subscriptions[100].due_after.isoformat(), subscriptions[199].due_after.isoformat())


def test_a_batch_is_of_one_dag_where_lists_are() -> None:
    subscriptions = [subscribed(f"r{due}", due=due, dag_id=f"d{due % 2}") for due in range(210)]
    batches = divide(subscriptions, by_dag=True)
    assert [(batch.dag_ids, len(batch.subscriptions)) for batch in batches] == [
        (["d0"], 100),
        (["d0"], 5),
        (["d1"], 100),
        (["d1"], 5),
    ]


def test_a_batch_of_tasks_has_no_more_instances_than_a_page() -> None:
    same_task = [subscribed(f"r{number:03}", task_ids=["load"]) for number in range(150)]
    same_run = [subscribed("r", task_ids=[f"t{number}"]) for number in range(90)]
    different = [subscribed(f"r{number}", task_ids=[f"t{number}"]) for number in range(30)]
    assert [len(each.subscriptions) for each in divide(same_task, by_dag=False)] == [100, 50]
    assert [len(each.subscriptions) for each in divide(same_run, by_dag=False)] == [90]
    assert [len(each.subscriptions) for each in divide(different, by_dag=False)] == [10, 10, 10]


def test_those_who_wait_for_the_same_run_are_all_in_a_batch() -> None:
    subscriptions = [subscribed("r") for _ in range(250)]
    assert {each for batch in divide(subscriptions, by_dag=False) for each in batch.subscriptions} == set(subscriptions)


# Rounds.


@pytest.mark.parametrize(
    ("number", "dags", "per_poll"), [(4, 1, 0.25), (100, 1, 0.25), (3000, 1, 0.25), (10_000, 1, 0.83), (1000, 500, 4.2)]
)
def test_a_round_takes_minutes_and_a_poll_few_lists(number: int, dags: int, per_poll: float) -> None:
    batches, by_dag = Batches(), dags > 1
    for each in range(number):
        batches.add(subscribed(f"r{each}", due=each, dag_id=f"d{each % dags}"))
    polls = int(ROUND_SECONDS / INTERVAL)
    taken = [batches.take(INTERVAL, by_dag=by_dag) for _ in range(polls)]
    assert max(map(len, taken)) <= per_poll + 1
    assert sum(map(len, taken)) == pytest.approx(polls * per_poll, rel=0.02)
    checked = {each for batch in taken for one in batch for each in one.subscriptions}
    assert len(checked) >= 0.97 * number


def test_who_would_be_alone_in_a_batch_is_checked_individually() -> None:
    batches = Batches()
    pair = [subscribed("r1", dag_id="a"), subscribed("r2", dag_id="a")]
    alone = subscribed("r3", dag_id="b")
    for each in (*pair, alone):
        batches.add(each)
    taken = [batch for _ in range(4 * POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=True)]
    assert [list(batch.subscriptions) for batch in taken] == [pair] * 4
    assert alone not in batches


def test_who_has_left_is_in_no_batch() -> None:
    batches = Batches()
    subscriptions = [subscribed(f"r{number}", due=number) for number in range(150)]
    for each in subscriptions:
        batches.add(each)
    first = [batch for _ in range(POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=False)]
    batches.discard(*subscriptions[::2])
    second = [batch for _ in range(POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=False)]
    assert (len(first), len(second)) == (1, 1)
    assert set(second[0].subscriptions) == set(subscriptions[1::2]) - set(first[0].subscriptions)


# Doubt.


def test_a_run_is_in_doubt_unless_it_is_listed_as_it_was() -> None:
    as_it_was, queued, changed, gone = (subscribed(name) for name in ("as-it-was", "queued", "changed", "gone"))
    queued.state = "queued"
    (batch,) = divide([as_it_was, queued, changed, gone], by_dag=False)
    rows = [
        run_row("as-it-was"),
        run_row("queued", "queued"),
        run_row("changed", "queued"),
        run_row("gone", dag_id="x"),
    ]
    assert set(changed_waits(batch, rows)) == {changed, gone}


@pytest.mark.parametrize(
    ("states", "received", "doubtful"),
    [
        ({"a": ["running"], "b": ["queued"]}, "queued, running", False),
        ({"a": [None], "b": [None]}, "none", False),
        ({"a": ["running"], "b": ["success", "running"]}, "running, success", False),
        ({"a": ["running"], "b": ["running"]}, "queued, running", True),
        ({"a": ["running"]}, "running", True),
        ({"a": ["success"], "b": ["success"]}, "success", True),
        ({"a": ["running"], "b": ["skipped"]}, "running, skipped", True),
        ({}, "running", True),
    ],
)
def test_a_task_is_in_doubt_unless_it_is_listed_as_it_was(
    states: dict[str, list[str | None]], received: str, doubtful: bool
) -> None:
    subscription = subscribed("r", received, task_ids=["a", "b"])
    (batch,) = divide([subscription], by_dag=False)
    rows = [task_row("r", task_id, state, index) for task_id in states for index, state in enumerate(states[task_id])]
    other = [task_row("other", task_id, "failed") for task_id in "ab"]
    assert (changed_waits(batch, [*rows, *other]) == [subscription]) is doubtful

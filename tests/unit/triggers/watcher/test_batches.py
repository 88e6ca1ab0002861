"""How waits are divided into batches, and which waits of a batch have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from astro_provider.triggers.watcher.batches import POLLS_PER_BATCH, Batches, divide, waits_to_check
from astro_provider.triggers.watcher.periodic_check_rate import ROUND_SECONDS
from tests.unit import payloads
from tests.unit.triggers.watcher.subscriptions import make_subscription
from tests.unit.triggers.watcher.watched_airflow import INTERVAL

if TYPE_CHECKING:
    from astro_provider.api.types import DagRun, TaskInstance


def run_row(run_id: str, state: str = "running", dag_id: str = "d") -> DagRun:
    return cast("DagRun", payloads.for_version("v2").dag_run(run_id, state, dag_id=dag_id))


def task_row(run_id: str, task_id: str, state: str | None, map_index: int = -1) -> TaskInstance:
    return cast(
        "TaskInstance",
        payloads.for_version("v2").task_instance(task_id, state, dag_id="d", dag_run_id=run_id, map_index=map_index),
    )


# Dividing waits into batches.


def test_divide_puts_consecutive_runs_into_a_batch() -> None:
    subscriptions = [make_subscription(f"r{due}", due=due, dag_id=f"d{due % 7}") for due in range(250)]
    batches = divide(reversed(subscriptions), by_dag=False)
    assert [len(batch.subscriptions) for batch in batches] == [100, 100, 50]
    assert [each for batch in batches for each in batch.subscriptions] == subscriptions
    assert batches[1].dag_ids == [f"d{number}" for number in range(7)]
    assert batches[1].due_range == (subscriptions[100].due_after.isoformat(), subscriptions[199].due_after.isoformat())


def test_divide_by_dag_puts_one_dag_into_a_batch() -> None:
    subscriptions = [make_subscription(f"r{due}", due=due, dag_id=f"d{due % 2}") for due in range(210)]
    batches = divide(subscriptions, by_dag=True)
    assert [(batch.dag_ids, len(batch.subscriptions)) for batch in batches] == [
        (["d0"], 100),
        (["d0"], 5),
        (["d1"], 100),
        (["d1"], 5),
    ]


def test_divide_keeps_the_task_instances_of_a_batch_below_a_page() -> None:
    same_task = [make_subscription(f"r{number:03}", task_ids=["load"]) for number in range(150)]
    same_run = [make_subscription("r", task_ids=[f"t{number}"]) for number in range(90)]
    different = [make_subscription(f"r{number}", task_ids=[f"t{number}"]) for number in range(30)]
    assert [len(each.subscriptions) for each in divide(same_task, by_dag=False)] == [100, 50]
    assert [len(each.subscriptions) for each in divide(same_run, by_dag=False)] == [90]
    assert [len(each.subscriptions) for each in divide(different, by_dag=False)] == [10, 10, 10]


def test_divide_keeps_all_waits_for_the_same_run() -> None:
    subscriptions = [make_subscription("r") for _ in range(250)]
    assert {each for batch in divide(subscriptions, by_dag=False) for each in batch.subscriptions} == set(subscriptions)


# Rounds of batches.


@pytest.mark.parametrize(
    ("number", "dags", "per_poll"), [(4, 1, 0.25), (100, 1, 0.25), (3000, 1, 0.25), (10_000, 1, 0.83), (1000, 500, 4.2)]
)
def test_batches_cover_all_waits_in_a_round_with_few_lists_per_poll(number: int, dags: int, per_poll: float) -> None:
    batches, by_dag = Batches(), dags > 1
    for each in range(number):
        batches.add(make_subscription(f"r{each}", due=each, dag_id=f"d{each % dags}"))
    polls = int(ROUND_SECONDS / INTERVAL)
    taken = [batches.take(INTERVAL, by_dag=by_dag) for _ in range(polls)]
    assert max(map(len, taken)) <= per_poll + 1
    assert sum(map(len, taken)) == pytest.approx(polls * per_poll, rel=0.02)
    checked = {each for batch in taken for one in batch for each in one.subscriptions}
    assert len(checked) >= 0.97 * number


def test_wait_that_is_alone_in_its_batch_is_checked_individually() -> None:
    batches = Batches()
    pair = [make_subscription("r1", dag_id="a"), make_subscription("r2", dag_id="a")]
    alone = make_subscription("r3", dag_id="b")
    for each in (*pair, alone):
        batches.add(each)
    taken = [batch for _ in range(4 * POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=True)]
    assert [list(batch.subscriptions) for batch in taken] == [pair] * 4
    assert alone not in batches


def test_discarded_waits_are_in_no_batch() -> None:
    batches = Batches()
    subscriptions = [make_subscription(f"r{number}", due=number) for number in range(150)]
    for each in subscriptions:
        batches.add(each)
    first = [batch for _ in range(POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=False)]
    batches.discard(*subscriptions[::2])
    second = [batch for _ in range(POLLS_PER_BATCH) for batch in batches.take(INTERVAL, by_dag=False)]
    assert (len(first), len(second)) == (1, 1)
    assert set(second[0].subscriptions) == set(subscriptions[1::2]) - set(first[0].subscriptions)


# Waits that have changed.


def test_wait_for_a_run_has_changed_unless_its_state_is_listed_again() -> None:
    unchanged, queued, changed, gone = (make_subscription(name) for name in ("unchanged", "queued", "changed", "gone"))
    queued.state = "queued"
    (batch,) = divide([unchanged, queued, changed, gone], by_dag=False)
    rows = [
        run_row("unchanged"),
        run_row("queued", "queued"),
        run_row("changed", "queued"),
        run_row("gone", dag_id="x"),
    ]
    assert set(waits_to_check(batch, rows)) == {changed, gone}


@pytest.mark.parametrize(
    ("states", "last_state", "is_changed"),
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
def test_wait_for_tasks_has_changed_unless_their_states_are_listed_again(
    states: dict[str, list[str | None]], last_state: str, is_changed: bool
) -> None:
    subscription = make_subscription("r", last_state, task_ids=["a", "b"])
    (batch,) = divide([subscription], by_dag=False)
    rows = [task_row("r", task_id, state, index) for task_id in states for index, state in enumerate(states[task_id])]
    other = [task_row("other", task_id, "failed") for task_id in "ab"]
    assert (waits_to_check(batch, [*rows, *other]) == [subscription]) is is_changed

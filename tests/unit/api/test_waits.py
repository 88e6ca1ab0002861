"""What is waited for, what ends it, and which trouble it survives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    NotFoundError,
    TransportError,
)
from astro_provider.api.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from astro_provider.api.waits import RunWait, Verdict, Wanted
from tests.unit import answers
from tests.unit.target import Target, page, says

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.unit.target import Answer, Seen

WANTED = Wanted(["success"], ["failed", "upstream_failed"], ["skipped"])
RUN = "dags/d/dagRuns/r"
RUNS = "dags/d/dagRuns"
TASKS = f"{RUN}/taskInstances"
SEARCH = "dags/~/dagRuns/~/taskInstances/list"
BROKEN = TransportError("broken off")


def client_of(target: Target) -> Any:
    return target.client(api_version=target.generation)


def check(target: Target, wait: RunWait, **arguments: Any) -> Verdict:
    return target.run(wait.check(client_of(target), **arguments))


def runs(target: Target, *states: str, total: int | None = None) -> Any:
    """A list of runs r0, r1... in these states."""
    found = [target.answers.dag_run(f"r{i}", state) for i, state in enumerate(states)]
    return says(target.answers.collection("dag_runs", *found, total=total))


def tasks(target: Target, *found: dict[str, Any]) -> Any:
    return says(target.answers.collection("task_instances", *found))


# --- Wanted


@pytest.mark.parametrize(
    ("states", "expected", "outcome"),
    [
        ([], 1, "pending"),
        (["success"], 1, "success"),
        (["success"], 2, "pending"),
        (["success", "success"], 2, "success"),
        (["success", "success"], 1, "success"),
        (["success", "running"], 1, "pending"),
        (["running"], 1, "pending"),
        (["failed"], 1, "failed"),
        (["failed"], 2, "failed"),
        (["success", "upstream_failed"], 2, "failed"),
        (["skipped"], 1, "skipped"),
        (["skipped", "success"], 2, "skipped"),
        (["skipped", "failed"], 2, "failed"),
        (["running", "skipped"], 3, "skipped"),
        (["unheard of"], 1, "pending"),
    ],
)
def test_what_states_mean(states: list[str], expected: int, outcome: str) -> None:
    assert WANTED.outcome(iter(states), expected) == outcome


STATES = st.sampled_from(["success", "failed", "skipped", "running", "none"])


@given(st.lists(STATES), st.integers(1, 3), st.lists(STATES), st.lists(STATES), st.lists(STATES))
def test_a_wait_ends_well_only_when_all_is_there_and_allowed(
    states: list[str], expected: int, allowed: list[str], failed: list[str], skipped: list[str]
) -> None:
    outcome = Wanted(allowed, failed, skipped).outcome(states, expected)
    assert (outcome == "failed") == bool(set(states) & set(failed))
    if outcome == "success":
        assert len(states) >= expected
        assert set(states) <= set(allowed) - set(failed) - set(skipped)
    if outcome == "pending":
        assert len(states) < expected or set(states) - set(allowed)


# --- RunWait.check, of runs


@pytest.mark.parametrize(
    ("state", "outcome"), [("queued", "pending"), ("running", "pending"), ("success", "success"), ("failed", "failed")]
)
def test_a_run_by_its_id(either: Target, state: str, outcome: str) -> None:
    either.on("GET", RUN, says(either.answers.dag_run("r", state)))
    either.on("GET", TASKS, tasks(either))
    verdict = check(either, RunWait("d", WANTED, run_id="r"))
    assert (verdict.outcome, verdict.run and verdict.run["dag_run_id"]) == (outcome, "r")
    assert verdict.message.startswith(
        f"run 'r' of dag 'd' in Deployment {either.url} (connection 'http_conn'): {state}"
    )
    page_of_run = "grid?dag_run_id=r" if either.generation == "v1" else "runs/r"
    assert verdict.url == f"{either.url}/dags/d/{page_of_run}"


@pytest.mark.parametrize(
    "wait",
    [
        RunWait("d", WANTED, run_id="r"),
        RunWait("d", WANTED, logical_dates=[answers.DATE]),
        RunWait("d", WANTED, latest=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("dag_there", [False, True])
def test_a_run_that_is_not_there_yet_is_waited_for(either: Target, wait: RunWait, dag_there: bool) -> None:
    either.on("GET", "version", says(either.answers.version()))
    if dag_there:
        either.on("GET", RUNS, runs(either))
    verdict = check(either, wait)
    assert (verdict.outcome, verdict.run, verdict.url) == ("pending", None, None)
    assert verdict.message == f"{wait} in Deployment {either.url} (connection 'http_conn'): not there yet"


def test_a_run_that_was_there_and_is_no_more_ends_the_wait(either: Target) -> None:
    either.on("GET", "version", says(either.answers.version()))
    with pytest.raises(NotFoundError, match="has no run 'r' of dag 'd' any more: it was deleted"):
        check(either, RunWait("d", WANTED, run_id="r", known=True))


def test_a_run_that_ended_in_a_state_that_is_not_allowed_says_so(either: Target) -> None:
    either.on("GET", RUN, says(either.answers.dag_run("r", "success")))
    verdict = check(either, RunWait("d", Wanted(["failed"]), run_id="r", known=True))
    assert verdict.outcome == "failed"
    assert verdict.message.endswith(": success, which is none of allowed_states (failed)")


@pytest.mark.parametrize(("generation", "name"), [("v1", "execution_date"), ("v2", "logical_date")])
def test_runs_by_their_logical_dates(generation: str, name: str) -> None:
    target = Target(generation)
    target.on("GET", RUNS, runs(target, "success"), runs(target, "running"))
    verdict = check(target, RunWait("d", WANTED, logical_dates=["2026-01-01", "2026-01-02"]))
    assert verdict.outcome == "pending"
    paging = {"limit": ["1"], "offset": ["0"]}
    assert [seen.query for seen in target.seen] == [
        {f"{name}_gte": [date], f"{name}_lte": [date], **paging} for date in ("2026-01-01", "2026-01-02")
    ]


@pytest.mark.parametrize(
    ("first", "second", "outcome", "decided_by"),
    [
        (["success"], ["success"], "success", "success"),
        (["success"], [], "pending", "success"),
        ([], ["success"], "pending", "success"),
        (["failed"], ["running"], "failed", "failed"),
        (["failed"], [], "failed", "failed"),
    ],
)
def test_all_of_several_runs_must_be_there(
    target: Target, first: list[str], second: list[str], outcome: str, decided_by: str
) -> None:
    target.on("GET", RUNS, runs(target, *first), runs(target, *second))
    verdict = check(target, RunWait("d", WANTED, logical_dates=["2026-01-01", "2026-01-02"]))
    assert verdict.outcome == outcome
    assert verdict.run is not None
    assert verdict.run["state"] == decided_by


@pytest.mark.parametrize(("generation", "name"), [("v1", "execution_date"), ("v2", "run_after")])
@time_machine.travel("2026-01-31T06:00:00Z", tick=False)
def test_the_newest_run_is_none_of_the_future(generation: str, name: str) -> None:
    target = Target(generation)
    target.on("GET", RUNS, runs(target, "success", total=7))
    assert check(target, RunWait("d", WANTED, latest=True)).outcome == "success"
    [seen] = target.seen
    assert seen.query == {
        "order_by": [f"-{name}"],
        f"{name}_lte": ["2026-01-31T06:00:00+00:00"],
        "limit": ["1"],
        "offset": ["0"],
    }


def test_a_failed_run_is_explained(either: Target) -> None:
    either.on("GET", RUN, says(either.answers.dag_run("r", "failed")))
    either.on("GET", TASKS, tasks(either, either.answers.task_instance("load", "failed")))
    either.on("GET", f"{TASKS}/load/logs/1", says(either.answers.log()))
    verdict = check(either, RunWait("d", WANTED, run_id="r"))
    first, *rest = verdict.message.splitlines()
    assert first.endswith(": failed")
    assert rest == ["Failed tasks:", "  load (try 1): ValueError: no rows", f"See {verdict.url}"]


def test_a_state_that_only_the_user_calls_failed_is_not_explained(either: Target) -> None:
    either.on("GET", RUN, says(either.answers.dag_run("r", "success")))
    verdict = check(either, RunWait("d", Wanted(["failed"], ["success"]), run_id="r"))
    assert (verdict.outcome, either.asked) == ("failed", [f"GET {either.api(RUN)}"])


# --- RunWait.check, of tasks


def searches(target: Target, found: Mapping[str, Iterable[dict[str, Any]]]) -> None:
    """Let a target find task instances of runs by their ids."""

    def search(seen: Seen) -> Answer:
        of_runs = [task for run_id in seen.json["dag_run_ids"] for task in found[run_id]]
        return tasks(target, *(task for task in of_runs if task["task_id"] in seen.json["task_ids"]))

    target.on("POST", SEARCH, search)


def with_tasks(target: Target, *found: dict[str, Any], run_state: str = "running") -> None:
    target.on("GET", RUN, says(target.answers.dag_run("r", run_state)))
    target.on("GET", TASKS, tasks(target, *found))
    searches(target, {"r": found})
    target.on("GET", f"{TASKS}/a/logs/1", says(target.answers.log()))


TASK = RunWait("d", WANTED, run_id="r", task_ids=["a"])
TWO_TASKS = replace(TASK, task_ids=["a", "b"])
GROUP = replace(TASK, task_ids=[], group_id="g")


@pytest.mark.parametrize(
    ("wait", "found", "outcome", "states"),
    [
        (TASK, [("a", "success")], "success", "success"),
        (TASK, [("a", None)], "pending", "none"),
        (TASK, [("a", "running"), ("b", "failed")], "pending", "running"),
        (TASK, [("b", "success")], "pending", "not there yet"),
        (TASK, [], "pending", "not there yet"),
        (TASK, [("a", "skipped")], "skipped", "skipped"),
        (TASK, [("a", "upstream_failed")], "failed", "upstream_failed"),
        (TWO_TASKS, [("a", "success"), ("b", "success")], "success", "success"),
        (TWO_TASKS, [("a", "success")], "pending", "success"),
        (TWO_TASKS, [("a", "success"), ("b", "running")], "pending", "running, success"),
        (TWO_TASKS, [("a", "failed"), ("b", "running")], "failed", "failed, running"),
        (GROUP, [("g.a", "success"), ("g.b", "success"), ("x", "failed")], "success", "success"),
        (GROUP, [("g.a", "success"), ("g.b", "running")], "pending", "running, success"),
        (GROUP, [("g.a", "upstream_failed")], "failed", "upstream_failed"),
        (GROUP, [], "pending", "not there yet"),
    ],
)
def test_tasks_of_a_run(
    either: Target, wait: RunWait, found: list[tuple[str, str | None]], outcome: str, states: str
) -> None:
    with_tasks(either, *(either.answers.task_instance(task_id, state) for task_id, state in found))
    verdict = check(either, wait)
    assert verdict.outcome == outcome
    assert verdict.message.splitlines()[0].endswith(f": {states}")


def test_a_mapped_task_is_done_when_all_of_it_is(either: Target) -> None:
    mapped = [either.answers.task_instance("a", state, map_index=i) for i, state in enumerate(["success", "running"])]
    with_tasks(either, *mapped)
    assert check(either, TASK).outcome == "pending"
    with_tasks(either, *(task | {"state": "success"} for task in mapped))
    assert check(either, TASK).outcome == "success"
    with_tasks(either, mapped[0], mapped[1] | {"state": "failed"})
    verdict = check(either, TASK)
    assert verdict.outcome == "failed"
    assert "  a[1] (try 1): ValueError: no rows" in verdict.message


def test_a_group_that_a_run_does_not_have_yet_is_waited_for(target: Target) -> None:
    """Airflow 3.2 and up answers 404 for a group that no task is in."""
    target.on("GET", RUN, says(target.answers.dag_run("r", "running")))
    target.on("GET", TASKS, says({"detail": "Task group g not found"}, 404))
    assert check(target, GROUP).outcome == "pending"


def test_tasks_of_a_run_that_is_over_without_them_are_said_to_be(either: Target) -> None:
    with_tasks(either, either.answers.task_instance("a", "removed"), run_state="success")
    verdict = check(either, TASK)
    assert verdict.outcome == "failed"
    assert "its run is over, and 'a' is removed. List 'removed' in allowed_states or skipped_states" in verdict.message


def test_tasks_are_looked_for_in_all_runs(target: Target) -> None:
    dates = ["2026-01-01", "2026-01-02"]
    wait = replace(TASK, run_id=None, logical_dates=dates)
    first, second = target.answers.dag_run("r", "success"), target.answers.dag_run("r2", "running")
    done, failed = target.answers.task_instance("a"), target.answers.task_instance("a", "failed", dag_run_id="r2")
    of_run = [says(target.answers.collection("dag_runs", *found)) for found in ([first], [second], [first], [])]
    target.on("GET", RUNS, *of_run)
    searches(target, {"r": [done], "r2": [failed]})
    verdict = check(target, wait)
    assert verdict.outcome == "failed"
    assert verdict.run is not None
    assert verdict.run["dag_run_id"] == "r2"
    verdict = check(target, wait)
    assert (verdict.outcome, verdict.run and verdict.run["dag_run_id"]) == ("pending", "r")


# --- RunWait.check, of existence


def test_existence_is_looked_for_at_the_first_check_only(either: Target) -> None:
    either.on("GET", "dags/d", says(either.answers.dag()))
    either.on("GET", "dags/d/tasks/a", says(either.answers.task("a")))
    with_tasks(either, either.answers.task_instance("a"))
    wait = replace(TASK, check_existence=True)
    check(either, wait)
    assert [line.rpartition("/")[2] for line in either.asked] == ["d", "a", "r", "list"]
    check(either, wait, first=False)
    assert [line.rpartition("/")[2] for line in either.asked[4:]] == ["r", "list"]


def test_a_dag_that_must_be_there(either: Target) -> None:
    with pytest.raises(NotFoundError, match="has no dag 'd'"):
        check(either, RunWait("d", WANTED, run_id="r", check_existence=True))


def test_a_task_that_must_be_there(either: Target) -> None:
    either.on("GET", "dags/d", says(either.answers.dag()))
    either.on("GET", "dags", says(either.answers.collection("dags", either.answers.dag())))
    with pytest.raises(NotFoundError, match="has no task 'a' of dag 'd'"):
        check(either, replace(TASK, check_existence=True))


def test_a_group_that_must_be_there(either: Target) -> None:
    either.on("GET", "dags/d", says(either.answers.dag()))
    either.on("GET", RUN, says(either.answers.dag_run()))
    wait = replace(GROUP, check_existence=True)
    everything = tasks(either, either.answers.task_instance("x"))
    either.on("GET", TASKS, lambda seen: tasks(either) if "task_group_id" in seen.query else everything)
    with pytest.raises(NotFoundError, match="has no task group 'g' in dag 'd'"):
        check(either, wait)
    either.on("GET", TASKS, tasks(either))
    assert check(either, wait).outcome == "pending"


# --- RunWait.watch


class Log:
    """Watches a run with a target's clock, and keeps what it was told."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.told: list[str] = []
        self.warned: list[str] = []

    def watch(self, wait: RunWait, *, poke_interval: float = 5, timeout: float | None = None) -> Verdict:
        deadline = None if timeout is None else self.target.clock.now + timeout
        return self.target.run(
            wait.watch(
                client_of(self.target),
                poke_interval=poke_interval,
                deadline=deadline,
                tell=self.told.append,
                warn=self.warned.append,
            )
        )


BY_ID = RunWait("d", Wanted(["success"]), run_id="r")


def course(target: Target, *states: str | TransportError | Any) -> None:
    """Say these states of the run, one a look; what is no text is said as it is."""
    said = [says(target.answers.dag_run("r", s)) if isinstance(s, str) else s for s in states]
    target.on("GET", RUN, *said)


def test_a_watch_tells_changes_only(either: Target) -> None:
    log = Log(either)
    course(either, "queued", "queued", "running", "running", "running", "success")
    assert log.watch(BY_ID, poke_interval=7).outcome == "success"
    assert [line.rpartition(": ")[2] for line in log.told] == ["queued", "running", "success"]
    assert (either.pauses, log.warned) == ([7] * 5, [])


def test_a_watch_that_is_too_long_ends_with_what_was_last_seen(either: Target) -> None:
    log = Log(either)
    course(either, "running")
    verdict = log.watch(BY_ID, poke_interval=5, timeout=12)
    assert (verdict.outcome, verdict.run and verdict.run["state"]) == ("pending", "running")
    assert either.pauses == [5, 5, 2]


def test_a_watch_without_time_looks_once(target: Target) -> None:
    course(target, "success")
    assert Log(target).watch(BY_ID, timeout=0).outcome == "success"
    course(target, "running")
    assert Log(target).watch(BY_ID, timeout=0).outcome == "pending"
    assert target.pauses == []


def test_a_watch_survives_trouble_in_the_middle_and_warns_once(target: Target) -> None:
    log = Log(target)
    down = [BROKEN] * 3, [says({}, 500)] * 3, [page("Being deployed", 200)] * 3
    for trouble in down:
        course(target, "running", *trouble, *trouble, "running", "success")
        log.warned.clear()
        assert log.watch(BY_ID).outcome == "success"
        assert len(log.warned) == 1
        assert log.warned[0].startswith("Still waiting: ")


@pytest.mark.parametrize("refusal", [says({}, 401), page("Sign in")])
def test_a_watch_that_begins_with_a_refusal_ends_with_it(target: Target, refusal: Any) -> None:
    log = Log(target)
    course(target, refusal)
    start = target.clock.now
    with pytest.raises(AstroError):
        log.watch(BY_ID, poke_interval=5)
    assert target.clock.now - start == MAX_REFUSED_AT_FIRST_SECONDS
    assert len(log.warned) == 1


@pytest.mark.parametrize("trouble", [BROKEN, says({}, 503)])
def test_a_watch_that_begins_while_the_target_is_down_waits(target: Target, trouble: Any) -> None:
    log = Log(target)
    course(target, *[trouble] * 500, "success")
    assert log.watch(BY_ID, poke_interval=60).outcome == "success"
    assert len(log.warned) == 1


@pytest.mark.parametrize("trouble", [BROKEN, says({}, 503), says({}, 401), page("Being deployed")])
def test_a_watch_of_a_known_run_survives_trouble_at_its_beginning(target: Target, trouble: Any) -> None:
    """A restarted triggerer begins its watches anew, maybe while the target is being deployed."""
    log = Log(target)
    course(target, *[trouble] * 5, "success")
    assert log.watch(replace(BY_ID, known=True)).outcome == "success"
    assert len(log.warned) == 1


def test_a_refusal_is_survived_for_a_while(target: Target) -> None:
    log = Log(target)
    course(target, "running", says({}, 401))
    start = target.clock.now
    with pytest.raises(AccessDeniedError):
        log.watch(BY_ID, poke_interval=60)
    assert MAX_REFUSED_SECONDS <= target.clock.now - start - 60 < MAX_REFUSED_SECONDS + 60
    assert len(log.warned) == 1


def test_a_watch_that_is_down_at_its_end_says_what_it_saw_last(target: Target) -> None:
    course(target, "running", BROKEN)
    assert Log(target).watch(BY_ID, timeout=30).message.endswith(": running")


@pytest.mark.parametrize("paused", [True, False])
def test_a_run_that_stays_queued_in_a_paused_dag_is_warned_of_once(either: Target, paused: bool) -> None:
    log = Log(either)
    course(either, "queued", "queued", "queued", "queued", "success")
    either.on("GET", "dags/d", says(either.answers.dag(is_paused=paused)))
    assert log.watch(replace(BY_ID, known=True)).outcome == "success"
    expected = f"Dag 'd' is paused in Deployment {either.url} (connection 'http_conn'): "
    assert log.warned == ([expected + "the run stays queued until it is unpaused."] if paused else [])
    assert either.asked.count(f"GET {either.api('dags/d')}") == 1


@pytest.mark.parametrize(
    ("wait", "states"),
    [(BY_ID, ["queued", "queued", "success"]), (replace(BY_ID, known=True), ["queued", "running", "success"])],
)
def test_whether_the_dag_is_paused_is_not_asked_in_vain(target: Target, wait: RunWait, states: list[str]) -> None:
    course(target, *states)
    Log(target).watch(wait)
    assert "GET /api/v2/dags/d" not in target.asked


def test_a_dag_that_cannot_be_asked_whether_it_is_paused_ends_no_wait(target: Target) -> None:
    course(target, "queued", "queued", "success")
    log = Log(target)
    assert log.watch(replace(BY_ID, known=True)).outcome == "success"
    assert log.warned == []


# --- in words


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (BY_ID, "run 'r' of dag 'd'"),
        (RunWait("d", WANTED, latest=True), "the newest run of dag 'd'"),
        (RunWait("d", WANTED, logical_dates=["A", "B"]), "the run with logical date A and B of dag 'd'"),
        (TASK, "task 'a' in run 'r' of dag 'd'"),
        (TWO_TASKS, "task 'a', 'b' in run 'r' of dag 'd'"),
        (GROUP, "task group 'g' in run 'r' of dag 'd'"),
    ],
)
def test_a_wait_in_words(wait: RunWait, words: str) -> None:
    assert str(wait) == words

"""One poll for all waits of a process, with time that goes on only when nobody has anything else to do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.client import Client
from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.api.exchange import Response
from astro_provider.api.waits import PATIENCE, RunWait, Wanted
from astro_provider.hooks import astro_async
from astro_provider.triggers import watch
from astro_provider.triggers.watch import LAST_LOOK, OVERLAP, TICKS_PER_LOOK, watching
from tests.unit.target import TOKEN, page, says
from tests.unit.target_stub import Played
from tests.unit.tasks import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.exchange import Request
    from astro_provider.api.waits import Verdict
    from astro_provider.connection import Deployment
    from tests.unit.target import Answer, Said, Seen
    from tests.unit.tasks import Clock

INTERVAL = 5.0
RUNS = "dags/~/dagRuns/list"
TASKS = "dags/~/dagRuns/~/taskInstances/list"
READ_TIMEOUT = 60.0


class Target(Played):
    """A played Airflow that keeps a clock of its own, knows its tokens, and counts who is connected."""

    def __init__(self, generation: str = "v2") -> None:
        super().__init__(generation)
        self.tokens = {TOKEN}
        self.connected = 0
        self.most_connected = 0
        self.closed = 0
        self.refused = 0
        self.hanging: set[str] = set()
        """Paths whose requests get no answer."""
        self.in_vain: list[str] = []
        """URLs of the requests that got none."""
        self.down = False

    def answer(self, seen: Seen) -> Answer:
        if self.down:
            self.seen.append(seen)
            return says(self.answers.error(500, "down"), 500)
        return super().answer(seen)

    def carry(self, request: Request) -> Response:
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.tokens:
            answer = says(self.answers.error(401, "Unauthorized"), 401)
            self.refused += 1
            return Response(answer.status, {"content-type": "application/json"}, answer.body)
        response = self._carry(request)
        if isinstance(response, TransportError):
            raise response
        assert response is not None
        date = datetime.now(timezone.utc) + timedelta(seconds=self.lead)
        return Response(
            response.status, {**response.headers, "date": format_datetime(date, usegmt=True)}, response.body
        )

    def forget(self) -> None:
        """Begin to count anew what it is asked."""
        self.seen.clear()
        self.refused = 0

    def lists(self, path: str = RUNS) -> int:
        """How many times it was asked what has finished."""
        return self.asked.count(f"POST {self.api(path)}")

    def looks(self, run_id: str | None = None) -> int:
        """How many times it was asked for this run alone, or for any."""
        runs = [run_id] if run_id else list(self.runs)
        return sum(self.asked.count(f"GET {self.api(f'dags/d/dagRuns/{run}')}") for run in runs)


class Carrier:
    """Carries requests to a target in memory; what the hook's own carrier does over a session."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._open = False

    async def send(self, request: Request) -> Response:
        if not self._open:
            self._open = True
            self._target.connected += 1
            self._target.most_connected = max(self._target.most_connected, self._target.connected)
        await asyncio.sleep(0)
        if any(request.url.endswith(self._target.api(path)) for path in self._target.hanging):
            self._target.in_vain.append(request.url)
            await self._clock.sleep_async(READ_TIMEOUT)
            raise TransportError("did not answer")
        return self._target.carry(request)

    async def close(self) -> None:
        self._target.connected -= self._open
        self._target.closed += self._open
        self._open = False


@dataclass
class Waiting:
    """A wait that is under way."""

    task: asyncio.Task[Verdict]
    told: list[str]
    warned: list[str]

    @property
    def outcome(self) -> str | None:
        """What came of it, ``None`` if it still waits."""
        return self.task.result().outcome if self.task.done() else None


@dataclass
class Waits:
    """Begins waits, and ends those that are left over."""

    begun: list[Waiting] = field(default_factory=list)

    def __call__(
        self,
        run_id: str | None = "theirs",
        *,
        conn_id: str = "http_conn",
        poke_interval: float = INTERVAL,
        deadline: float | None = None,
        settle: float = 0,
        wanted: Wanted = Wanted(("success",), ("failed",)),  # noqa: B008  it is frozen
        dag_id: str = "d",
        **what: Any,
    ) -> Waiting:
        told: list[str] = []
        warned: list[str] = []

        async def wait() -> Verdict:
            async with watching(conn_id) as watcher:
                return await watcher.wait(
                    RunWait(dag_id, wanted, run_id=run_id, **what),
                    poke_interval=poke_interval,
                    deadline=deadline,
                    tell=lambda verdict: told.append(verdict.message),
                    warn=warned.append,
                    settle=settle,
                )

        self.begun.append(Waiting(asyncio.create_task(wait()), told, warned))
        return self.begun[-1]

    async def end(self) -> None:
        for waiting in self.begun:
            waiting.task.cancel()
        await asyncio.gather(*(waiting.task for waiting in self.begun), return_exceptions=True)


@pytest.fixture(params=["v1", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def played(generation: str, clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:
    target = Target(generation)
    connect(target.url, password=TOKEN)

    def carrier(deployment: Deployment) -> Carrier:
        return Carrier(target, clock)

    monkeypatch.setattr(astro_async, "AsyncCarrier", carrier)
    monkeypatch.setattr(watch, "_watchers", {})
    return target


@pytest.fixture
def either(generation: str, clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:
    return played(generation, clock, connect, monkeypatch)


@pytest.fixture
def target(clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:  # type: ignore[misc]
    return played("v2", clock, connect, monkeypatch)


@pytest.fixture
async def waits() -> Any:
    begun = Waits()
    yield begun
    await begun.end()
    assert watch._watchers == {}


# What it costs.


@pytest.mark.parametrize("number", [1, 100, 1000])
async def test_it_asks_once_per_interval_for_any_number_of_waits(
    either: Target, clock: Clock, waits: Waits, number: int
) -> None:
    for each in range(number):
        either.has_run(f"run-{each}", "running", end_date=None)
        waits(f"run-{each}")
    await clock.sleep_async(1)
    assert either.looks() == number
    either.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert (either.lists(), either.lists(TASKS)) == (20, 0)
    assert either.looks() == 20 / TICKS_PER_LOOK
    assert len(either.seen) == 20 + 20 / TICKS_PER_LOOK
    assert either.most_connected == 1


async def test_the_looks_in_turn_come_to_everybody(target: Target, clock: Clock, waits: Waits) -> None:
    for each in range(10):
        target.has_run(f"run-{each}", "running", end_date=None)
        waits(f"run-{each}")
    await clock.sleep_async(1)
    target.forget()
    await clock.sleep_async(10 * TICKS_PER_LOOK * INTERVAL)
    assert [target.looks(f"run-{each}") for each in range(10)] == [1] * 10


# Who is called.


async def test_a_run_that_ends_calls_whom_it_concerns(either: Target, clock: Clock, waits: Waits) -> None:
    for name in ("one", "two", "three"):
        either.has_run(name, "running", end_date=None)
    one, two, same = waits("one"), waits("two"), waits("one")
    await clock.sleep_async(1)
    either.forget()
    either.ends("one")
    either.ends("three")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (one, two, same)] == ["success", None, "success"]
    assert (either.lists(), either.looks("one"), either.looks()) == (1, 2, 2)


async def test_a_run_of_the_same_name_in_another_dag_calls_nobody(target: Target, clock: Clock, waits: Waits) -> None:
    target.dags["other"] = False
    for dag_id in ("d", "other"):
        target.has_run("theirs", "running", dag_id=dag_id, end_date=None)
    here, there = waits(), waits(dag_id="other")
    await clock.sleep_async(1)
    target.forget()
    target.ends("theirs", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome, target.looks()) == (None, "success", 0)


async def test_a_task_that_ends_calls_whom_it_concerns(either: Target, clock: Clock, waits: Waits) -> None:
    either.has_run("theirs", "running", end_date=None)
    for name in ("load", "check", "group.load"):
        either.has_task(name, "running", run_id="theirs", end_date=None)
    load, check = waits(task_ids=["load"]), waits(task_ids=["check"])
    run = waits()
    await clock.sleep_async(1)
    either.forget()
    either.task_ends("load", run_id="theirs")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in (load, check, run)] == ["success", None, None]
    assert (either.lists(), either.lists(TASKS), either.looks()) == (1, 1, 1)


async def test_a_task_of_a_group_that_ends_calls_who_waits_for_the_group(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.has_run("theirs", "running", end_date=None)
    either.has_task("group.load", "running", run_id="theirs", end_date=None)
    either.groups = {"group": ["group.load"]}
    group = waits(group_id="group")
    await clock.sleep_async(1)
    either.task_ends("group.load", "failed", run_id="theirs")
    await clock.sleep_async(INTERVAL)
    assert group.outcome == "failed"


async def test_runs_are_known_by_their_logical_dates(either: Target, clock: Clock, waits: Waits) -> None:
    dates = ["2026-01-31T06:00:00+00:00", "2026-01-31T07:00:00+00:00", "2026-01-31T08:00:00+00:00"]
    for name, date in zip(("one", "two", "three"), dates, strict=True):
        either.has_run(name, "running", logical_date=date, end_date=None)
    both, third = waits(None, logical_dates=dates[:2]), waits(None, logical_dates=dates[2:])
    await clock.sleep_async(1)
    either.ends("one")
    await clock.sleep_async(INTERVAL)
    assert both.outcome is None
    either.ends("two")
    either.forget()
    await clock.sleep_async(INTERVAL - 1)
    assert (both.outcome, third.outcome) == ("success", None)


async def test_the_newest_run_is_whichever_ends(either: Target, clock: Clock, waits: Waits) -> None:
    either.has_run("old", "running", end_date=None, run_after="2026-01-01T00:00:00Z")
    latest = waits(None, latest=True)
    await clock.sleep_async(1)
    either.has_run(
        "new", "running", end_date=None, run_after="2026-02-01T00:00:00Z", logical_date="2026-02-01T00:00:00Z"
    )
    either.ends("new")
    await clock.sleep_async(INTERVAL)
    assert latest.outcome == "success"
    run = latest.task.result().run
    assert run
    assert run["dag_run_id"] == "new"


async def test_a_run_that_was_not_there_when_the_wait_began_calls_it(
    either: Target, clock: Clock, waits: Waits
) -> None:
    waiting = waits()
    await clock.sleep_async(1)
    either.has_run("theirs", "running", end_date=None)
    either.ends("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "failed"


async def test_what_the_overlap_brings_again_calls_nobody_again(target: Target, clock: Clock, waits: Waits) -> None:
    others = [f"run-{each}" for each in range(9)]
    for name in (*others, "theirs"):
        target.has_run(name, "running", end_date=None)
        # Those in front take the looks in turn; the last one goes on though its run has failed.
        waits(name, wanted=Wanted(("success",)))
    await clock.sleep_async(1)
    target.forget()
    target.ends("theirs", "failed")
    await clock.sleep_async(OVERLAP)
    assert (target.lists(), target.looks("theirs")) == (OVERLAP / INTERVAL, 1)


async def test_a_run_that_is_cleared_and_ends_again_calls_again(either: Target, clock: Clock, waits: Waits) -> None:
    others = [f"run-{each}" for each in range(9)]
    for name in (*others, "theirs"):
        either.has_run(name, "running", end_date=None)
        waiting = waits(name, wanted=Wanted(("success",)))  # those in front take the looks in turn
    await clock.sleep_async(1)
    either.ends("theirs", "failed")
    await clock.sleep_async(INTERVAL)
    either.has_run("theirs", "queued", end_date=None)
    await clock.sleep_async(INTERVAL)
    either.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert ([each.rpartition(" ")[2] for each in waiting.told], waiting.outcome) == (["running", "failed"], "success")


async def test_what_is_committed_late_is_found(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.ends("theirs")
    target.runs["theirs"]["end_date"] = (NOW + timedelta(seconds=1)).isoformat()
    target.forget()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, target.lists()) == ("success", 1)


async def test_more_than_a_page_that_finished_is_found(either: Target, clock: Clock, waits: Waits) -> None:
    either.page_limit = 2
    names = [f"run-{each}" for each in range(5)]
    for name in names:
        either.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1)
    either.forget()
    for name in names:
        either.ends(name)
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 5
    assert either.lists() == 3


# When.


async def test_what_is_over_already_is_seen_at_once(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("theirs", "success")
    waiting = waits()
    await waiting.task
    assert (waiting.outcome, clock.sleeps, target.lists()) == ("success", [], 0)


@pytest.mark.parametrize("others", [0.5, 60.0])
async def test_nobody_waits_longer_than_its_own_interval(
    target: Target, clock: Clock, waits: Waits, others: float
) -> None:
    for name in ("slow", "theirs"):
        target.has_run(name, "running", end_date=None)
    waits("slow", poke_interval=others)
    waiting = waits(poke_interval=7)
    await clock.sleep_async(100)
    target.ends("theirs")
    await clock.sleep_async(7.1)
    assert waiting.outcome == "success"


async def test_one_in_a_hurry_is_not_kept_waiting_by_a_poll_that_sleeps(
    target: Target, clock: Clock, waits: Waits
) -> None:
    for name in ("slow", "theirs"):
        target.has_run(name, "running", end_date=None)
    waits("slow", poke_interval=600)
    await clock.sleep_async(1)
    hurried = waits(poke_interval=2)
    await clock.sleep_async(0.1)
    target.ends("theirs")
    await clock.sleep_async(2)
    assert hurried.outcome == "success"
    # Nor does anybody stay in a hurry when it has gone.
    target.forget()
    await clock.sleep_async(590)
    assert len(target.seen) == 0


async def test_it_gives_up_at_its_deadline(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = waits(deadline=NOW.timestamp() + 33)
    late = waits(poke_interval=60, settle=60, deadline=NOW.timestamp() + 12)
    await clock.sleep_async(11.9)
    assert late.outcome is None
    await clock.sleep_async(0.2)
    assert (late.outcome, late.task.result().message.rpartition(": ")[2]) == ("pending", "running")
    await clock.sleep_async(20.8)
    assert waiting.outcome is None
    await clock.sleep_async(0.2)
    assert waiting.outcome == "pending"


@pytest.mark.parametrize("hanging", [RUNS, TASKS])
async def test_a_list_that_does_not_come_keeps_nobody_waiting(
    target: Target, clock: Clock, waits: Waits, hanging: str
) -> None:
    for name in ("theirs", "other"):
        target.has_run(name, "queued", end_date=None)
    target.has_task("load", "running", run_id="other", end_date=None)
    waits("other", task_ids=["load"])
    late, ended = waits("other", deadline=NOW.timestamp() + 23), waits("other")
    begins = waits(wanted=Wanted(("running",)))
    target.hanging = {hanging}
    await clock.sleep_async(INTERVAL + 1)
    target.ends("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, late.outcome) == ("success", None)
    await clock.sleep_async(12.1)
    assert late.outcome == "pending"
    # The next one is asked when that one has failed, and brings what ended meanwhile.
    target.hanging.clear()
    target.ends("other")
    target.forget()
    await clock.sleep_async(READ_TIMEOUT - 24)
    assert (target.lists(), ended.outcome) == (0, None)
    await clock.sleep_async(TICKS_PER_LOOK * INTERVAL + 1)
    assert ended.outcome == "success"


# Who comes and goes.


async def test_who_has_left_costs_nothing_more(target: Target, clock: Clock, waits: Waits) -> None:
    for each in range(20):
        target.has_run(f"run-{each}", "running", end_date=None)
    left = [waits(f"run-{each}", poke_interval=1) for each in range(19)]
    stays = waits("run-19")
    await clock.sleep_async(0.5)
    for waiting in left:
        waiting.task.cancel()
    await clock.sleep_async(0.1)
    target.forget()
    for each in range(19):
        target.ends(f"run-{each}")
    await clock.sleep_async(INTERVAL)
    assert (stays.outcome, target.asked) == (None, [f"POST {target.api(RUNS)}"])


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_the_last_one_out_ends_the_poll_and_a_new_one_starts_anew(
    target: Target, clock: Clock, waits: Waits, hanging: set[str]
) -> None:
    target.has_run("theirs", "running", end_date=None)
    before = asyncio.all_tasks()
    first, second = waits(), waits()
    await clock.sleep_async(1)
    assert (target.connected, len(watch._watchers)) == (1, 1)
    first.task.cancel()
    target.hanging = hanging
    await clock.sleep_async(INTERVAL)
    assert (target.connected, len(watch._watchers)) == (1, 1)
    second.task.cancel()
    await asyncio.wait([second.task])
    assert (target.connected, watch._watchers) == (0, {})
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert target.seen == []
    assert {task for task in asyncio.all_tasks() - before if task is not clock._going_on} == set()

    target.hanging = set()
    again = waits()
    await clock.sleep_async(1)
    target.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert (again.outcome, target.connected) == ("success", 0)


async def test_ten_thousand_that_come_and_go_leave_nothing_behind(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("stays", "running", end_date=None)
    target.has_run("theirs", "success")
    stays = waits("stays")
    await clock.sleep_async(0.1)
    (watcher,) = watch._watchers.values()
    most = 0
    for _ in range(100):
        for waiting in [waits(deadline=NOW.timestamp() + 1e6) for _ in range(100)]:
            await waiting.task
        most = max(most, len(watcher._due))
    assert stays.outcome is None
    # Their deadlines would be 10,000 entries.
    assert most < 1000
    assert len(watcher._subscriptions) == 1
    assert sum(map(len, watcher._by_dag.values())) == 1
    assert dict(watcher._intervals) == {INTERVAL: 1}


async def test_two_connections_to_the_same_deployment_share_a_watcher(
    target: Target, clock: Clock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password=TOKEN, conn_id="same")
    target.has_run("theirs", "running", end_date=None)
    one, other = waits(), waits(conn_id="same")
    await clock.sleep_async(1)
    assert len(watch._watchers) == target.connected == 1
    target.forget()
    await clock.sleep_async(INTERVAL)
    assert target.lists() == 1
    target.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert (one.outcome, other.outcome) == ("success", "success")


async def test_others_credentials_have_a_watcher_of_their_own(
    target: Target, clock: Clock, waits: Waits, connect: Callable[..., None]
) -> None:
    connect(target.url, password="another-token", conn_id="other")
    target.tokens.add("another-token")
    target.has_run("theirs", "running", end_date=None)
    waits()
    waits(conn_id="other")
    await clock.sleep_async(1)
    assert len(watch._watchers) == target.connected == 2
    target.forget()
    await clock.sleep_async(INTERVAL)
    assert target.lists() == 2
    assert {seen.headers["authorization"] for seen in target.seen} == {f"Bearer {TOKEN}", "Bearer another-token"}


# Trouble.


async def test_a_deleted_run_is_the_trouble_of_its_own_wait(either: Target, clock: Clock, waits: Waits) -> None:
    for name in ("theirs", "other"):
        either.has_run(name, "running", end_date=None)
    waiting, other = waits(known=True), waits("other", known=True)
    await clock.sleep_async(1)
    either.forget_run("theirs")
    await clock.sleep_async(2 * TICKS_PER_LOOK * INTERVAL)
    with pytest.raises(NotFoundError, match="was deleted"):
        waiting.task.result()
    assert (other.outcome, other.warned) == (None, [])


DOWN = pytest.mark.parametrize(
    "down",
    [says({"detail": "down"}, 503), TransportError("hung up"), page("Sign in"), says([])],
    ids=["503", "hangup", "login page", "nonsense"],
)


@DOWN
@pytest.mark.parametrize("looks_too", [True, False], ids=["all", "lists"])
async def test_a_target_that_is_down_is_survived_and_everybody_told_once(
    target: Target, clock: Clock, waits: Waits, down: Said, looks_too: bool
) -> None:
    names = [f"run-{each}" for each in range(3)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(2 * INTERVAL + 1)
    for outage in (1, 2):
        for path in [RUNS] + [f"dags/d/dagRuns/{name}" for name in names if looks_too]:
            target.on("POST" if path == RUNS else "GET", path, down)
        await clock.sleep_async(PATIENCE / 2)
        assert [(len(each.warned), each.outcome) for each in waiting] == [(outage, None)] * 3
        target._said.clear()
        if outage == 1:
            await clock.sleep_async(10 * INTERVAL)
    assert waiting[0].warned[0].startswith("Still waiting: ")
    # What ended in the meantime is found by the first poll that is answered.
    for name in names:
        target.ends(name)
        target.runs[name]["end_date"] = (datetime.now(timezone.utc) - timedelta(seconds=PATIENCE / 4)).isoformat()
    await clock.sleep_async(2 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 3


async def test_trouble_that_a_look_noticed_first_is_told_once_too(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("other", "running", end_date=None)
    target.has_run("theirs", "queued", end_date=None)
    other = waits("other")
    await clock.sleep_async(INTERVAL / 2)
    waiting = waits(wanted=Wanted(("running",)))
    await clock.sleep_async(INTERVAL / 2 + 1)
    for outage in (1, 2):
        target.on("GET", "dags/d/dagRuns/theirs", says({}, 500))
        await clock.sleep_async(INTERVAL)
        assert (len(waiting.warned), other.warned) == (outage, other.warned[: outage - 1])
        target.on("POST", RUNS, says({}, 500))
        await clock.sleep_async(INTERVAL)
        assert [len(each.warned) for each in (waiting, other)] == [outage, outage]
        target._said.clear()
        await clock.sleep_async(TICKS_PER_LOOK * INTERVAL)


async def test_a_target_in_trouble_is_asked_one_thing_per_interval(either: Target, clock: Clock, waits: Waits) -> None:
    names = [f"run-{each}" for each in range(1000)]
    for name in (*names, "begins", "late", "old"):
        either.has_run(name, "running" if name != "begins" else "queued", end_date=None)
    waiting = [waits(name) for name in names]
    either.has_run("queued", "queued", end_date=None)
    waits("queued", known=True)
    waiting += [waits("begins", wanted=Wanted(("running",))), waits("late", deadline=NOW.timestamp() + 60.5)]
    await clock.sleep_async(3 * INTERVAL + 1)
    either.down = True
    await clock.sleep_async(2 * INTERVAL)
    either.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert (either.lists(), len(either.seen)) == (20 - 20 / TICKS_PER_LOOK, 20)
    assert waiting.pop().outcome == "pending"

    # Who joins looks once.
    either.ends("old")
    joined = [waits("old", known=True), waits("old", known=True, settle=OVERLAP)]
    await clock.sleep_async(20 * INTERVAL)
    assert len(either.seen) == 40 + 2
    assert [len(each.warned) for each in (*waiting, *joined)] == [1] * 1003

    either.down = False
    either.ends("begins", "running")
    for name in names[500:]:
        either.ends(name)
    either.forget()
    await clock.sleep_async(TICKS_PER_LOOK * INTERVAL)
    assert [each.outcome for each in (*waiting, *joined)] == [None] * 500 + ["success"] * 503
    # Nor is everybody looked at for that: who had been looked at in turn is, once more.
    assert either.looks() <= 503 + 40 / TICKS_PER_LOOK + 5
    await clock.sleep_async(1)
    either.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert either.looks() - either.looks("queued") == 10 / TICKS_PER_LOOK


async def test_a_deadline_is_kept_by_who_queues_for_a_look_and_by_who_gets_no_answer(
    target: Target, clock: Clock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, known=True, deadline=NOW.timestamp() + 120) for name in names]
    await clock.sleep_async(119)
    assert {each.outcome for each in waiting} == {None}
    await clock.sleep_async(1 + LAST_LOOK + 0.1)
    assert {each.outcome for each in waiting} == {"pending"}


async def test_who_is_late_already_looks_once_and_is_given_time_for_that(
    target: Target, clock: Clock, waits: Waits
) -> None:
    target.has_run("theirs", "success")
    waiting = waits(known=True, deadline=NOW.timestamp() - 60)
    await clock.sleep_async(0.1)
    assert waiting.outcome == "success"


async def test_who_queues_for_a_look_does_not_look_when_trouble_has_come(
    target: Target, clock: Clock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, known=True) for name in names]
    await clock.sleep_async(10 * READ_TIMEOUT)
    looked = {url for url in target.in_vain if not url.endswith(RUNS)}
    assert len(looked) <= watch._MOST_LOOKS_AT_ONCE + 10
    assert [len(each.warned) for each in waiting] == [1] * 100
    target.hanging.clear()
    for name in names:
        target.ends(name)
    await clock.sleep_async(READ_TIMEOUT + 2 * TICKS_PER_LOOK * INTERVAL)
    assert {each.outcome for each in waiting} == {"success"}


async def test_a_look_that_failed_is_made_again_when_a_poll_has_worked(
    target: Target, clock: Clock, waits: Waits
) -> None:
    for name in [f"run-{each}" for each in range(100)]:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    # One that no list will bring.
    target.has_run("theirs", "success")
    target.on("GET", "dags/d/dagRuns/theirs", says({}, 500))
    waiting = waits(known=True)
    await clock.sleep_async(10 * INTERVAL)
    assert (target.looks("theirs"), waiting.outcome) == (11, None)
    target._said.clear()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, len(waiting.warned)) == ("success", 1)


async def test_lists_that_never_come_lose_nobody(either: Target, clock: Clock, waits: Waits) -> None:
    either.on("POST", RUNS, says(either.answers.error(500, "too slow"), 500))
    names = [f"run-{each}" for each in range(5)]
    for name in names:
        either.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1)
    for name in names:
        either.ends(name)
    await clock.sleep_async(5 * TICKS_PER_LOOK * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 5


@pytest.mark.parametrize("hanging", [False, True], ids=["500", "no answer"])
async def test_where_only_lists_fail_many_look_in_turn(
    target: Target, clock: Clock, waits: Waits, hanging: bool
) -> None:
    names = [f"run-{each}" for each in range(200)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    if hanging:
        target.hanging = {RUNS}
    else:
        target.on("POST", RUNS, says({}, 500))
    await clock.sleep_async(2 * READ_TIMEOUT)  # until the trouble is noticed, and a look is answered
    for name in names:
        target.ends(name)
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert target.looks() == 10 * watch._MOST_LOOKS_AT_ONCE
    await clock.sleep_async(10 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 200
    assert hanging or target.lists() == 20 / TICKS_PER_LOOK  # it is still tried


async def test_looks_that_are_answered_again_while_a_list_hangs_are_made_use_of(
    target: Target, clock: Clock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(30)]
    for name in names:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    await clock.sleep_async(READ_TIMEOUT / 4)
    waits("run-0")
    # The second list begins when the first has failed, and one look has been tried.
    await clock.sleep_async(READ_TIMEOUT * 3 / 4 + 2 * INTERVAL)
    assert len([url for url in target.in_vain if url.endswith(RUNS)]) == 2
    target.hanging = {RUNS}
    target.forget()
    # The one that joined fails, and is answered when it is sent again.
    await clock.sleep_async(READ_TIMEOUT / 4 + INTERVAL)
    assert target.looks() >= watch._MOST_LOOKS_AT_ONCE


async def test_lists_of_tasks_that_do_not_come_are_not_the_trouble_of_runs(
    target: Target, clock: Clock, waits: Waits
) -> None:
    target.on("POST", TASKS, says({}, 500))
    others = [f"run-{each}" for each in range(20)]
    for name in (*others, "theirs"):
        target.has_run(name, "running", end_date=None)
        waits(name, task_ids=["load"])
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.ends("theirs")
    await clock.sleep_async(TICKS_PER_LOOK * INTERVAL)
    assert waiting.outcome == "success"


async def test_a_poll_that_fails_before_any_look_ends_no_wait(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("theirs", "running", end_date=None)
    target.on("POST", RUNS, says({"detail": "down"}, 500))
    waiting = waits(settle=60, known=True, poke_interval=60)
    waits("none", poke_interval=2)
    await clock.sleep_async(30)
    assert (waiting.outcome, len(waiting.warned)) == (None, 1)


async def test_being_refused_for_long_is_the_end_of_everybody(target: Target, clock: Clock, waits: Waits) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens.clear()
    await clock.sleep_async(PATIENCE - 1)
    assert [(each.outcome, len(each.warned)) for each in waiting] == [(None, 1)] * 2
    await clock.sleep_async((TICKS_PER_LOOK + 1) * INTERVAL)
    for each in waiting:
        with pytest.raises(AccessDeniedError, match="401"):
            each.task.result()
    assert (target.connected, watch._watchers) == (0, {})


async def test_it_counts_from_when_it_began_also_for_who_looked_long_ago(
    target: Target, clock: Clock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(PATIENCE + INTERVAL)
    tokens, target.tokens = target.tokens, set()
    for name in names:
        target.ends(name)
    await clock.sleep_async(PATIENCE / 2)
    target.tokens = tokens
    await clock.sleep_async(2 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 100


async def test_a_connection_that_has_another_token_now_is_read_anew(
    target: Target, clock: Clock, waits: Waits, connect: Callable[..., None]
) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens = {"new-token"}
    await clock.sleep_async(10 * INTERVAL)
    connect(target.url, password="new-token")
    await clock.sleep_async(2 * INTERVAL)
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert (target.lists(), target.refused, target.most_connected) == (10, 0, 1)
    target.ends("one")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success", None]


async def test_where_lists_across_dags_are_refused_each_dag_is_asked_for(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.dags["other"] = False
    either.on("POST", RUNS, says(either.answers.error(403, "Forbidden"), 403))
    for dag_id in ("d", "other"):
        either.has_run(f"of-{dag_id}", "running", dag_id=dag_id, end_date=None)
    here, there = waits("of-d"), waits("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL + 1)
    either.forget()
    await clock.sleep_async(9 * INTERVAL)
    each_dag = [either.asked.count(f"GET {either.api(f'dags/{dag_id}/dagRuns')}") for dag_id in ("d", "other")]
    assert (either.lists(), each_dag) == (0, [9, 9])
    for waiting in (here, there):
        (warned,) = waiting.warned
        assert "may not list across dags" in warned
    late = waits("of-d")
    await clock.sleep_async(2 * INTERVAL)
    assert [len(each.warned) for each in (here, there, late)] == [1, 1, 1]
    either.ends("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome) == (None, "success")


async def test_a_dag_that_is_refused_from_now_on_is_the_trouble_of_its_own_waits(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.dags["e"] = False
    refused = says(either.answers.error(403, "Forbidden"), 403)
    either.on("POST", RUNS, refused)
    for dag_id in ("d", "e"):
        either.has_run(f"of-{dag_id}", "running", dag_id=dag_id, end_date=None)
    here, there = waits("of-d"), waits("of-e", dag_id="e")
    await clock.sleep_async(3 * INTERVAL + 1)
    for path in ("dags/e/dagRuns", "dags/e/dagRuns/of-e"):
        either.on("GET", path, refused)
    await clock.sleep_async(PATIENCE + 2 * TICKS_PER_LOOK * INTERVAL)
    with pytest.raises(AccessDeniedError, match="/dags/e/"):
        there.task.result()
    assert (here.outcome, [warned for warned in here.warned if "Still waiting" in warned]) == (None, [])
    assert either.closed == 0
    either.ends("of-d")
    await clock.sleep_async(INTERVAL)
    assert here.outcome == "success"


async def test_a_defect_of_the_poll_ends_everybody(
    target: Target, clock: Clock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.has_run("theirs", "running", end_date=None)
    waiting = [waits(), waits()]
    await clock.sleep_async(1)
    with monkeypatch.context() as patched:
        patched.setattr(Client, "finished_runs", lambda *_: {}["defect"])
        await clock.sleep_async(INTERVAL)
    for each in waiting:
        with pytest.raises(KeyError, match="defect"):
            each.task.result()
    assert (target.connected, watch._watchers) == (0, {})


# What no list of finished runs tells.


async def test_a_state_that_is_not_final_is_seen_within_the_interval(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.has_run("theirs", "queued", end_date=None)
    waiting = waits(wanted=Wanted(("running",)))
    await clock.sleep_async(10 * INTERVAL + 1)
    either.ends("theirs", "running")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


async def test_looks_that_are_made_anyway_do_not_add_up(target: Target, clock: Clock, waits: Waits) -> None:
    target.has_run("theirs", "queued", end_date=None)
    target.has_run("other", "running", end_date=None)
    waits("other")
    await clock.sleep_async(INTERVAL / 2)
    waits(wanted=Wanted(("running",)))
    await clock.sleep_async(100 * INTERVAL)
    target.forget()
    await clock.sleep_async(100 * INTERVAL)
    # One per interval of its own, and every second look in turn.
    assert 100 <= target.looks("theirs") <= 126
    (watcher,) = watch._watchers.values()
    assert len(watcher._due) < 5


async def test_a_run_that_stays_queued_is_looked_at_ever_more_seldom_and_its_paused_dag_told_once(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.dags["d"] = True
    others = [f"run-{each}" for each in range(100)]
    for name in (*others, "theirs"):
        either.has_run(name, "running" if name != "theirs" else "queued", end_date=None)
    for name in others:
        waits(name)
    waiting = waits(known=True)
    await clock.sleep_async(0.1)
    assert waiting.warned == []
    await clock.sleep_async(INTERVAL)
    (warned,) = waiting.warned
    assert "paused" in warned
    either.forget()
    # After 1 interval, then 2, 4, 8 ... more; the looks in turn are at others for as long.
    await clock.sleep_async(100 * INTERVAL)
    assert 4 <= either.looks("theirs") <= 6
    assert waiting.warned == [warned]
    either.dags["d"] = False
    either.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert waiting.outcome == "success"


@pytest.mark.parametrize("lead", [-3600.0, 3600.0])
async def test_a_clock_of_the_target_that_goes_wrong_is_reckoned_with(
    either: Target, clock: Clock, waits: Waits, lead: float
) -> None:
    either.lead = lead
    either.has_run("old", "running", end_date=None)
    either.ends("old")
    either.has_run("theirs", "running", end_date=None)
    waiting = waits()
    await clock.sleep_async(10 * INTERVAL + 1)
    either.forget()
    either.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, either.lists()) == ("success", 1)
    # Nor does a clock that is behind let the list grow, back to the beginning of the hour.
    since = datetime.fromisoformat(either.seen[0].json["end_date_gte"])
    assert abs((since - NOW).total_seconds() - lead - 10 * INTERVAL) <= OVERLAP + INTERVAL


@pytest.mark.parametrize("hanging", [set(), {RUNS}], ids=["between polls", "in a poll"])
async def test_a_clock_that_is_set_back_costs_an_interval_at_most(
    target: Target, clock: Clock, waits: Waits, monkeypatch: pytest.MonkeyPatch, hanging: set[str]
) -> None:
    set_back = 0.0
    here = partial(watch.Watcher, clock=lambda: time.time() - set_back)
    monkeypatch.setattr(watch, "Watcher", here)
    for name in ("theirs", "begins", "over"):
        target.has_run(name, "queued" if name == "begins" else "running", end_date=None)
    waiting = waits()
    begins = waits("begins", wanted=Wanted(("running",)))
    settles = waits("over", known=True, settle=60)
    await clock.sleep_async(INTERVAL - 1)
    target.hanging = hanging
    await clock.sleep_async(2)
    set_back = 3600.0
    target.ends("begins", "running")
    target.ends("theirs")
    await clock.sleep_async(INTERVAL)
    assert (begins.outcome, waiting.outcome) == ("success", None if hanging else "success")
    target.hanging = set()
    await clock.sleep_async(60 - 2 * INTERVAL - 1)
    target.has_run("over", "success")  # nobody is told of it
    assert settles.outcome is None
    await clock.sleep_async(2 * INTERVAL)
    assert settles.outcome == "success"
    await clock.sleep_async(READ_TIMEOUT)
    assert waiting.outcome == "success"


async def test_a_deadline_is_a_time_of_day(
    target: Target, clock: Clock, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_back = 0.0
    here = partial(watch.Watcher, clock=lambda: time.time() - set_back)
    monkeypatch.setattr(watch, "Watcher", here)
    target.has_run("theirs", "running", end_date=None)
    late = waits(deadline=NOW.timestamp() + 60)
    await clock.sleep_async(INTERVAL + 1)
    set_back = 600.0
    await clock.sleep_async(600)
    assert late.outcome is None
    await clock.sleep_async(60)
    assert late.outcome == "pending"

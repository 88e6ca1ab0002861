"""
One poll per Deployment on real targets: the watcher runs here, and what passes between it and a target is counted.

The runs are those of a paused dag, so each ends when a test says so, over the target's own REST API.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from astro_provider.api.errors import NotFoundError
from astro_provider.triggers.watcher.batches import POLLS_PER_BATCH
from astro_provider.triggers.watcher.check_rate import POLLS_PER_CHECK
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from dev.deployments import Deployment
from dev.settings import PASSWORDS_FILE
from tests.integration.conftest import RESTRICTED_USER, both_targets
from tests.integration.recording_proxy import RecordingProxy
from tests.integration.runs import Run, trigger_run

INTERVAL = 0.5
DAG = "watched"
RUNS = "POST dags/~/dagRuns/list"
TASKS = "POST dags/~/dagRuns/~/taskInstances/list"
LOOKS = f"GET dags/{DAG}/dagRuns/*"


async def until(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(0.02)


@dataclass(eq=False)
class Waiting:
    """A wait that is under way."""

    run: Run
    task: asyncio.Task[Verdict]
    told: list[str]
    warned: list[str]

    @property
    def outcome(self) -> str | None:
        """What came of it, `None` if it still waits."""
        return self.task.result().outcome if self.task.done() else None

    @property
    def troubles(self) -> list[str]:
        """The troubles that it was told of, beside the dag's being paused."""
        return [warning for warning in self.warned if "is paused" not in warning]


@dataclass
class Waits:
    """Begins waits through the connection `watched`, and ends those that are left over."""

    begun: list[Waiting] = field(default_factory=list)

    def __call__(
        self, run: Run, *, must_exist: bool = False, failed: Iterable[str] = ("failed",), tasks: Iterable[str] = ()
    ) -> Waiting:
        wait = RunWait(
            run.dag_id,
            EndStates(("success",), tuple(failed)),
            run_id=run.run_id,
            must_exist=must_exist,
            task_ids=tuple(tasks),
        )
        told: list[str] = []
        warned: list[str] = []

        async def verdict() -> Verdict:
            async with shared_watcher("watched") as watcher:
                return await watcher.wait(
                    wait,
                    poke_interval=INTERVAL,
                    deadline=None,
                    on_change=lambda verdict: told.append(verdict.message),
                    warn=warned.append,
                )

        self.begun.append(Waiting(run, asyncio.create_task(verdict()), told, warned))
        return self.begun[-1]

    async def have_looked(self) -> None:
        await until(lambda: all(each.told or each.task.done() for each in self.begun), "everybody has looked")

    async def end(self, waits: Iterable[Waiting]) -> None:
        for each in waits:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in waits), return_exceptions=True)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(connection: dict[str, object], proxy: RecordingProxy) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_WATCHED", json.dumps({**connection, "host": proxy.url}))

    return connect


@pytest.fixture
async def proxy(target: Deployment, connect: Callable[..., None]) -> AsyncIterator[RecordingProxy]:
    async with RecordingProxy(target) as proxy:
        connect(target.connection("astro" if target.airflow_major == 3 else "login"), proxy)
        yield proxy


@pytest.fixture
async def waits(proxy: RecordingProxy) -> AsyncIterator[Waits]:
    waits = Waits()
    yield waits
    await waits.end(waits.begun)
    await until(lambda: proxy.connections == 0, "the session is closed")


async def make(target: Deployment, number: int) -> list[Run]:
    """Make runs that stay queued."""
    names = [f"watched-{uuid4().hex[:8]}" for _ in range(number)]
    return await asyncio.gather(*(asyncio.to_thread(trigger_run, target, DAG, run_id=name) for name in names))


async def ends(*runs: Run, state: str = "success") -> None:
    """Let runs end, in the target."""
    for run in runs:
        await asyncio.to_thread(run.deployment.request, "PATCH", run.path, json={"state": state})


async def task_ends(run: Run, task_id: str) -> None:
    """Let a task end, in the target."""
    body = {"new_state": "success"} | ({"dry_run": False} if run.deployment.airflow_major == 2 else {})
    await asyncio.to_thread(run.deployment.request, "PATCH", f"{run.path}/taskInstances/{task_id}", json=body)


async def states_of(runs: list[Run]) -> dict[str, str]:
    """Ask the target which states its runs are in, by run id."""
    return {run.run_id: (await asyncio.to_thread(run.get))["state"] for run in runs}


async def all_over(waits: Iterable[Waiting]) -> None:
    await until(lambda: all(each.task.done() for each in waits), "all waits are over")


@both_targets
async def test_many_waits_cost_little_more_than_one_list_per_interval(target, proxy, waits):
    runs = await make(target, 6)
    began = time.monotonic()
    waiting = [waits(run) for run in runs * 5]
    await waits.have_looked()
    await until(lambda: proxy.count(RUNS) >= 8, "some polls")
    lists, looks, elapsed = proxy.count(RUNS), proxy.count(LOOKS), time.monotonic() - began
    # One list of what has finished per poll, and one of what has not per POLLS_PER_BATCH polls.
    assert lists <= elapsed / INTERVAL * (1 + 1 / POLLS_PER_BATCH) + 1
    assert len(waiting) <= looks <= len(waiting) + lists / POLLS_PER_CHECK
    # Which generation it is, at first.
    assert len(proxy.asked) - proxy.count("POST /auth/token") == lists + looks

    await ends(runs[0])
    lists = proxy.count(RUNS)
    await all_over(waiting[:: len(runs)])
    # Looks in turn would come to the last of them after 48.
    assert proxy.count(RUNS) - lists < 24

    await ends(*runs[1:4])
    await ends(*runs[4:], state="failed")
    await all_over(waiting)
    assert [each.outcome for each in waiting] == (["success"] * 4 + ["failed"] * 2) * 5
    assert list((await states_of(runs)).values()) == ["success"] * 4 + ["failed"] * 2


@both_targets
async def test_tasks_have_a_list_of_their_own(target, proxy, waits):
    (run,) = await make(target, 1)
    of_run, of_task, of_other = waits(run), waits(run, tasks=["load"]), waits(run, tasks=["check"])
    await waits.have_looked()
    proxy.asked.clear()
    await until(lambda: proxy.count(TASKS) > 3, "some polls")
    assert abs(proxy.count(RUNS) - proxy.count(TASKS)) <= 1

    await task_ends(run, "load")
    await all_over([of_task])
    assert [each.outcome for each in (of_run, of_task, of_other)] == [None, "success", None]
    assert (await asyncio.to_thread(run.states))["load"] == "success"

    await waits.end([of_other])
    proxy.asked.clear()
    await until(lambda: proxy.count(RUNS) > 2, "some polls")
    assert proxy.count(TASKS) <= 1, "of the poll that was under way, at most"
    await ends(run)
    await all_over([of_run])
    assert of_run.outcome == "success"


@both_targets
async def test_who_is_cancelled_costs_nothing_more(target, proxy, waits, caplog):
    before = asyncio.all_tasks()
    runs = await make(target, 4)
    waiting = [waits(run) for run in runs]
    await waits.have_looked()
    await waits.end(waiting[1:])
    await ends(*runs[1:])
    proxy.asked.clear()
    await until(lambda: proxy.count(RUNS) > 3, "some polls")
    assert set(proxy.asked) <= {RUNS, f"GET {runs[0].path}"}

    await waits.end(waiting[:1])
    await until(lambda: proxy.connections == 0, "the session is closed")
    await until(lambda: asyncio.all_tasks() <= before, "nothing is left that could ask")
    gc.collect()
    assert "Unclosed" not in caplog.text, "the session is closed, not only forgotten"


@both_targets
async def test_none_is_lost_and_none_wrong_while_waits_come_and_go(target, proxy, waits):
    dice = random.Random(20260201)
    runs = await make(target, 6)
    left: set[Waiting] = set()
    for run in runs:
        for _ in range(4):
            waits(dice.choice(runs))
            await asyncio.sleep(dice.random() * INTERVAL / 4)
        gone = [each for each in dice.sample(waits.begun, 2) if not each.task.done()]
        await waits.end(gone)
        left.update(gone)
        await ends(run, state=dice.choice(["success", "failed"]))

    stayed = [each for each in waits.begun if each not in left]
    await all_over(stayed)
    states = await states_of(runs)
    assert set(states.values()) == {"success", "failed"}
    assert [each.outcome for each in stayed] == [states[each.run.run_id] for each in stayed]
    assert len(stayed) >= 12


@both_targets
async def test_a_deleted_run_fails_its_own_wait_only(target, proxy, waits):
    runs = await make(target, 3)
    waiting = [waits(run, must_exist=True) for run in runs]
    await waits.have_looked()
    await asyncio.to_thread(target.request, "DELETE", runs[1].path)
    await all_over(waiting[1:2])
    with pytest.raises(NotFoundError, match=f"has no run '{runs[1].run_id}' of dag '{DAG}' any more: it was deleted"):
        waiting[1].task.result()
    assert [(each.outcome, each.troubles) for each in waiting[::2]] == [(None, [])] * 2
    await ends(runs[0], runs[2])
    await all_over(waiting)
    assert [each.outcome for each in waiting[::2]] == ["success"] * 2


@both_targets
async def test_a_run_that_is_cleared_and_ends_again(target, proxy, waits):
    run, other = await make(target, 2)
    for _ in range(20):
        waits(other)  # these take the looks in turn
    patient, strict = waits(run, failed=()), waits(run)
    await waits.have_looked()
    await ends(run, state="failed")
    await all_over([strict])
    assert (strict.outcome, patient.outcome) == ("failed", None)
    await until(lambda: len(patient.told) == 2, "it has seen the failure")

    await asyncio.to_thread(target.request, "POST", f"{run.path}/clear", json={"dry_run": False})
    assert await states_of([run]) == {run.run_id: "queued"}
    await ends(run)
    proxy.asked.clear()
    await all_over([patient])
    assert patient.outcome == "success"
    assert proxy.count(RUNS) < 20


@both_targets
async def test_a_target_that_goes_away_and_comes_back(target, proxy, waits):
    runs = await make(target, 4)
    waiting = [waits(run, must_exist=True) for run in runs[:3]]
    await waits.have_looked()

    proxy.cut = True
    await until(lambda: all(each.troubles for each in waiting), "everybody is told")
    waiting.append(waits(runs[3], must_exist=True))
    await ends(*runs[1:])
    proxy.asked.clear()
    await until(lambda: proxy.count(RUNS) > 4 and bool(waiting[3].troubles), "some polls fail")
    assert [each.outcome for each in waiting] == [None] * 4
    proxy.cut = False
    await all_over(waiting[1:])
    assert [each.outcome for each in waiting] == [None, "success", "success", "success"]

    await ends(runs[0])
    await all_over(waiting)
    assert waiting[0].outcome == "success"
    assert [len(each.troubles) for each in waiting] == [1] * 4


@pytest.fixture
def narrow(target: Deployment) -> dict[str, object]:
    """A connection whose user may ask for the dag that is waited for, and for no list across dags."""
    if target.airflow_major == 3:
        password = json.loads((target.airflow_home / PASSWORDS_FILE).read_text())[RESTRICTED_USER]
        return {**target.connection("login"), "login": RESTRICTED_USER, "password": password}
    resources = [f"DAG:{DAG}", f"DAG Run:{DAG}"]
    actions = [{"action": {"name": "can_read"}, "resource": {"name": resource}} for resource in resources]
    target.request("POST", "roles", json={"name": RESTRICTED_USER, "actions": actions})
    names = dict.fromkeys(("username", "password", "first_name", "last_name"), RESTRICTED_USER)
    target.request(
        "POST", "users", json={**names, "email": f"{RESTRICTED_USER}@example.com", "roles": [{"name": RESTRICTED_USER}]}
    )
    return target.connection("login", RESTRICTED_USER)


@both_targets
async def test_each_dag_is_asked_for_where_lists_across_dags_are_refused(target, proxy, waits, connect, narrow):
    connect(narrow, proxy)
    runs = await make(target, 2)
    first = waits(runs[0])
    await until(lambda: bool(proxy.count(RUNS)), "a poll")
    late = waits(runs[1])
    await waits.have_looked()
    await ends(*runs)
    await all_over([first, late])
    assert [each.outcome for each in (first, late)] == ["success"] * 2
    assert proxy.refused == [RUNS]
    assert proxy.count(RUNS) == 1
    assert proxy.count(f"GET dags/{DAG}/dagRuns") >= 1
    for each in (first, late):
        (warned,) = each.warned
        assert "may not list across dags" in warned

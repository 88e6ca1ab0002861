"""
One poll per connection, on real targets: the watcher runs in this process, and a proxy records its requests.

The runs are of a paused dag, so they stay queued until a test sets their state through the target's REST API.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import random
import re
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
from astro_provider.triggers.watcher.periodic_check_rate import POLLS_PER_CHECK
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
MAX_JOIN_LISTS = 4
"""Pages of unfinished runs that waits need to join: the tests before leave some such runs."""
CHECKS = f"GET dags/{DAG}/dagRuns/*"


async def until(condition: Callable[[], bool], description: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {description}")
        await asyncio.sleep(0.02)


@dataclass(eq=False)
class LiveWait:
    """A wait that is under way."""

    run: Run
    task: asyncio.Task[Verdict]
    changes: list[str]
    """Messages of the verdicts that were reported."""
    warnings: list[str]
    """Messages that were logged as warnings."""

    @property
    def outcome(self) -> str | None:
        """The outcome; `None` while the wait is under way."""
        return self.task.result().outcome if self.task.done() else None

    @property
    def outages(self) -> list[str]:
        """The warnings that the target does not answer."""
        return [warning for warning in self.warnings if warning.startswith("Still waiting: ")]


@dataclass
class LiveWaits:
    """Begins waits through the connection `watched`, and cancels those that are still under way."""

    started: list[LiveWait] = field(default_factory=list)

    def __call__(
        self,
        run: Run,
        *,
        must_exist: bool = False,
        failed: Iterable[str] = ("failed",),
        tasks: Iterable[str] = (),
        poke_interval: float = INTERVAL,
    ) -> LiveWait:
        wait = RunWait(
            run.dag_id,
            EndStates(("success",), tuple(failed)),
            run_id=run.run_id,
            must_exist=must_exist,
            task_ids=tuple(tasks),
        )
        changes: list[str] = []
        warnings: list[str] = []

        async def verdict() -> Verdict:
            async with shared_watcher("watched") as watcher:
                return await watcher.watch(
                    wait,
                    poke_interval=poke_interval,
                    deadline=None,
                    on_change=lambda verdict: changes.append(verdict.message),
                    warn=warnings.append,
                )

        self.started.append(LiveWait(run, asyncio.create_task(verdict()), changes, warnings))
        return self.started[-1]

    async def are_checked(self) -> None:
        await until(lambda: all(each.changes or each.task.done() for each in self.started), "all waits are checked")

    async def cancel(self, waits: Iterable[LiveWait]) -> None:
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
async def waits(proxy: RecordingProxy) -> AsyncIterator[LiveWaits]:
    waits = LiveWaits()
    yield waits
    await waits.cancel(waits.started)
    await until(lambda: proxy.connections == 0, "the session is closed")


async def create_runs(target: Deployment, number: int) -> list[Run]:
    """Create runs that stay queued."""
    names = [f"watched-{uuid4().hex[:8]}" for _ in range(number)]
    return await asyncio.gather(*(asyncio.to_thread(trigger_run, target, DAG, run_id=name) for name in names))


async def end_runs(*runs: Run, state: str = "success") -> None:
    """Set the state of runs in the target."""
    for run in runs:
        await asyncio.to_thread(run.deployment.request, "PATCH", run.path, json={"state": state})


async def end_task(run: Run, task_id: str) -> None:
    """Mark a task in the target as success."""
    body = {"new_state": "success"} | ({"dry_run": False} if run.deployment.airflow_major == 2 else {})
    await asyncio.to_thread(run.deployment.request, "PATCH", f"{run.path}/taskInstances/{task_id}", json=body)


async def states_of(runs: list[Run]) -> dict[str, str]:
    """Get the states of runs from the target, by run id."""
    return {run.run_id: (await asyncio.to_thread(run.get))["state"] for run in runs}


async def until_over(waits: Iterable[LiveWait]) -> None:
    await until(lambda: all(each.task.done() for each in waits), "all waits are over")


@both_targets
async def test_many_waits_cost_little_more_than_one_list_per_interval(target, proxy, waits):
    runs = await create_runs(target, 6)
    began = time.monotonic()
    waiting = [waits(run) for run in runs * 5]
    await waits.are_checked()
    await until(lambda: proxy.count(RUNS) >= 8, "some polls")
    lists, checks, elapsed = proxy.count(RUNS), proxy.count(CHECKS), time.monotonic() - began
    # One list of finished runs per poll, and one list of unfinished runs per POLLS_PER_BATCH polls.
    assert lists <= elapsed / INTERVAL * (1 + 1 / POLLS_PER_BATCH) + 1 + MAX_JOIN_LISTS
    assert 1 <= checks <= 1 + lists / POLLS_PER_CHECK + len(waiting) / len(runs)  # those whose run the list misses
    # The only other request, for a token, also finds out the API version.
    assert len(proxy.requests) - proxy.count("POST /auth/token") == lists + checks

    await end_runs(runs[0])
    lists = proxy.count(RUNS)
    await until_over(waiting[:: len(runs)])
    # Periodic checks would take 48 polls until the last of them.
    assert proxy.count(RUNS) - lists < 24

    await end_runs(*runs[1:4])
    await end_runs(*runs[4:], state="failed")
    await until_over(waiting)
    assert [each.outcome for each in waiting] == (["success"] * 4 + ["failed"] * 2) * 5
    assert list((await states_of(runs)).values()) == ["success"] * 4 + ["failed"] * 2


@both_targets
async def test_waits_that_join_together_cost_a_handful_of_requests(target, proxy, waits):
    runs = await create_runs(target, 30)
    began = time.monotonic()
    waiting = [waits(run, must_exist=True, poke_interval=60) for run in runs * 10]
    await waits.are_checked()
    polls = (time.monotonic() - began) + 1
    # A request for a token, the check of the first wait, and a few pages of unfinished runs.
    assert len(proxy.requests) <= 2 + MAX_JOIN_LISTS + polls
    assert [each.changes[0].partition(":")[0] for each in waiting] == ["Queued"] * 300
    assert waiting[-1].changes == waiting[len(runs) - 1].changes

    # The dag is paused, and each wait says so. The first wait was checked a little earlier than the others.
    await until(lambda: all(len(each.warnings) == 1 for each in waiting), "all waits warn that the dag is paused")
    assert not any(each.outages for each in waiting)
    assert 1 <= proxy.count(f"GET dags/{DAG}") <= 3

    await end_runs(runs[0])
    await end_runs(runs[-1], state="failed")
    over = waiting[:: len(runs)] + waiting[len(runs) - 1 :: len(runs)]
    await until_over(over)
    assert [each.outcome for each in over] == ["success"] * 10 + ["failed"] * 10
    assert not any(each.task.done() for each in waiting if each not in over)


@both_targets
async def test_end_of_a_short_run_is_found_soon_whatever_the_poke_interval(target, proxy, waits):
    short, long = await create_runs(target, 2)
    waiting = waits(short, poke_interval=3600), waits(long, poke_interval=3600)
    await waits.are_checked()
    await until(lambda: proxy.count(RUNS) >= 3, "polls of young waits", timeout=10)
    await end_runs(short)
    ended_at = time.monotonic()
    await until_over(waiting[:1])
    assert time.monotonic() - ended_at < 4  # a second until the next poll, its list, and the check
    assert [each.outcome for each in waiting] == ["success", None]


@both_targets
async def test_waits_for_tasks_are_polled_with_a_list_of_their_own(target, proxy, waits):
    (run,) = await create_runs(target, 1)
    of_run, of_task, of_other = waits(run), waits(run, tasks=["load"]), waits(run, tasks=["check"])
    await waits.are_checked()
    proxy.requests.clear()
    await until(lambda: proxy.count(TASKS) > 3, "some polls")
    assert abs(proxy.count(RUNS) - proxy.count(TASKS)) <= 1

    await end_task(run, "load")
    await until_over([of_task])
    assert [each.outcome for each in (of_run, of_task, of_other)] == [None, "success", None]
    assert (await asyncio.to_thread(run.states))["load"] == "success"

    await waits.cancel([of_other])
    proxy.requests.clear()
    await until(lambda: proxy.count(RUNS) > 2, "some polls")
    assert proxy.count(TASKS) <= 1, "at most one, of the poll that was under way"
    await end_runs(run)
    await until_over([of_run])
    assert of_run.outcome == "success"


@both_targets
async def test_cancelled_waits_cost_no_request(target, proxy, waits, caplog):
    before = asyncio.all_tasks()
    runs = await create_runs(target, 4)
    waiting = [waits(run) for run in runs]
    await waits.are_checked()
    await waits.cancel(waiting[1:])
    await end_runs(*runs[1:])
    proxy.requests.clear()
    await until(lambda: proxy.count(RUNS) > 3, "some polls")
    assert set(proxy.requests) <= {RUNS, f"GET {runs[0].path}"}

    await waits.cancel(waiting[:1])
    await until(lambda: proxy.connections == 0, "the session is closed")
    await until(lambda: asyncio.all_tasks() <= before, "no task of the watcher is left")
    gc.collect()
    assert "Unclosed" not in caplog.text, "the session is closed, not only garbage-collected"


@both_targets
async def test_every_wait_ends_correctly_while_others_join_and_leave(target, proxy, waits):
    dice = random.Random(20260201)
    runs = await create_runs(target, 6)
    cancelled: set[LiveWait] = set()
    for run in runs:
        for _ in range(4):
            waits(dice.choice(runs))
            await asyncio.sleep(dice.random() * INTERVAL / 4)
        sample = [each for each in dice.sample(waits.started, 2) if not each.task.done()]
        await waits.cancel(sample)
        cancelled.update(sample)
        await end_runs(run, state=dice.choice(["success", "failed"]))

    remaining = [each for each in waits.started if each not in cancelled]
    await until_over(remaining)
    states = await states_of(runs)
    assert set(states.values()) == {"success", "failed"}
    assert [each.outcome for each in remaining] == [states[each.run.run_id] for each in remaining]
    assert len(remaining) >= 12


@both_targets
async def test_deleted_run_fails_only_its_wait(target, proxy, waits):
    runs = await create_runs(target, 3)
    waiting = [waits(run, must_exist=True) for run in runs]
    await waits.are_checked()
    await asyncio.to_thread(target.request, "DELETE", runs[1].path)
    await until_over(waiting[1:2])
    gone = f"^Deleted: dag '{DAG}', its run is gone in .*\nRun: {re.escape(runs[1].run_id)}$"
    with pytest.raises(NotFoundError, match=gone):
        waiting[1].task.result()
    assert [(each.outcome, each.outages) for each in waiting[::2]] == [(None, [])] * 2
    await end_runs(runs[0], runs[2])
    await until_over(waiting)
    assert [each.outcome for each in waiting[::2]] == ["success"] * 2


@both_targets
async def test_run_that_is_cleared_and_finishes_again_ends_its_wait(target, proxy, waits):
    run, other = await create_runs(target, 2)
    for _ in range(20):
        waits(other)  # the periodic checks are of these waits
    patient, strict = waits(run, failed=()), waits(run)
    await waits.are_checked()
    await end_runs(run, state="failed")
    await until_over([strict])
    assert (strict.outcome, patient.outcome) == ("failed", None)
    await until(lambda: len(patient.changes) == 2, "the failure is reported")

    await asyncio.to_thread(target.request, "POST", f"{run.path}/clear", json={"dry_run": False})
    assert await states_of([run]) == {run.run_id: "queued"}
    await end_runs(run)
    proxy.requests.clear()
    await until_over([patient])
    assert patient.outcome == "success"
    assert proxy.count(RUNS) < 20


@both_targets
async def test_outage_is_tolerated_and_each_wait_warns_once(target, proxy, waits):
    runs = await create_runs(target, 4)
    waiting = [waits(run, must_exist=True) for run in runs[:3]]
    await waits.are_checked()

    proxy.is_cut = True
    await until(lambda: all(each.outages for each in waiting), "all waits warn of the outage")
    waiting.append(waits(runs[3], must_exist=True))
    await end_runs(*runs[1:])
    proxy.requests.clear()
    await until(lambda: proxy.count(RUNS) > 4 and bool(waiting[3].outages), "some polls fail")
    assert [each.outcome for each in waiting] == [None] * 4
    proxy.is_cut = False
    await until_over(waiting[1:])
    assert [each.outcome for each in waiting] == [None, "success", "success", "success"]

    await end_runs(runs[0])
    await until_over(waiting)
    assert waiting[0].outcome == "success"
    assert [len(each.outages) for each in waiting] == [1] * 4


@pytest.fixture
def narrow(target: Deployment) -> dict[str, object]:
    """A connection whose user is allowed to read the watched dag, but not to list across dags."""
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
async def test_each_dag_is_listed_if_lists_across_dags_are_refused(target, proxy, waits, connect, narrow):
    connect(narrow, proxy)
    runs = await create_runs(target, 2)
    first = waits(runs[0])
    await until(lambda: bool(proxy.count(RUNS)), "a poll")
    late = waits(runs[1])
    await waits.are_checked()
    await end_runs(*runs)
    await until_over([first, late])
    assert [each.outcome for each in (first, late)] == ["success"] * 2
    assert proxy.forbidden == [RUNS]
    assert proxy.count(RUNS) == 1
    assert proxy.count(f"GET dags/{DAG}/dagRuns") >= 1
    for each in (first, late):
        (warning,) = each.warnings
        assert "may not list across dags" in warning

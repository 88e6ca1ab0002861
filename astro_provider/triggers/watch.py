"""
One poll per Deployment for all waits of a process.

A wait is a question put to a watcher, not a loop of its own. The watcher asks the target, once per interval and for
everybody, what has finished since it last asked, and calls those whom that may concern; who is called looks for
itself. Between calls, each wait is made to look now and then, in turn, for what no list of finished runs tells: a run
that was deleted or cleared, a clock that jumped, a list that leaves out what the token may not see.

While the target is in trouble, it is asked one thing per interval, for everybody. The first list that it answers
reaches back to before the trouble, and whose look failed meanwhile looks again. Where only lists fail and looks are
answered, many are made to look in turn.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count, islice
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.errors import AccessDeniedError, AstroError
from astro_provider.api.waits import Patience, Verdict
from astro_provider.hooks.astro_async import AsyncAstroHook
from astro_provider.triggers.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from astro_provider.api.client import Client
    from astro_provider.api.exchange import Flow
    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.api.waits import RunWait

T = TypeVar("T")

OVERLAP = 30.0
"""Seconds by which a poll reaches back behind the one before: an end date is set before its row is committed."""

TICKS_PER_LOOK = 2
"""Polls for every wait that is made to look in turn: half a request per poll, however many waits there are."""

LAST_LOOK = 10.0
"""Seconds that a look may last beyond the deadline: no target that hangs keeps a wait for longer."""

_MOST_LOOKS_AT_ONCE = 10


class Watcher:
    """
    Watches one Deployment for any number of waits; made by :func:`watching`.

    :param hook: whose connection leads to the Deployment; the watcher closes it
    :param clock: seconds since the epoch
    :param sleep: sleeps for so many seconds
    """

    def __init__(
        self,
        hook: AsyncAstroHook,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
    ) -> None:
        self.users = 0
        self._hook = hook
        self._clock = clock
        self._sleep = sleep
        self._subscriptions: dict[Subscription, None] = {}
        self._intervals: Counter[float] = Counter()
        self._by_dag: dict[str, set[Subscription]] = {}
        self._due: list[tuple[float, int, Subscription]] = []
        self._numbers = count()
        self._looks = asyncio.Semaphore(_MOST_LOOKS_AT_ONCE)
        self._missed: set[Subscription] = set()
        self._wake = asyncio.Event()
        self._sleeps_until = float("inf")
        self._timetable: asyncio.Task[None] | None = None
        # A task of its own, as who is due must not wait for a list that does not come.
        self._poll: asyncio.Task[None] | None = None
        # A poll that fails at first ends no wait: it is the look of each that tells of a wrong host or token.
        self._patience = Patience(clock, has_worked=True)
        self._looks_work = False  # while lists fail: whether the last look was answered
        self._since: dict[bool, float] = {}
        self._called: dict[tuple[object, ...], float] = {}
        self._ticks = 0

    async def wait(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        tell: Callable[[Verdict], None],
        warn: Callable[[str], None],
        settle: float = 0,
    ) -> Verdict:
        """
        Wait until the target says that it is over; what ``RunWait.watch`` does for one wait alone.

        :param wait: what is waited for
        :param poke_interval: seconds within which to learn that it is over
        :param deadline: when to give up, in seconds since the epoch; ``None`` never
        :param tell: told of every change that is seen before it is over
        :param warn: told when trouble begins that is survived (see ``Patience``), and of what keeps a run queued
        :param settle: seconds before the first look, whatever is heard by then; 0 looks at once, as it may be over
            already
        :return: the verdict; ``pending`` where ``deadline`` came first
        :raise AstroError: trouble of this wait, or trouble of the target that is not survived
        """
        subscription = Subscription(wait, poke_interval=poke_interval, deadline=deadline, clock=self._clock, warn=warn)
        last: Verdict | None = None
        self._join(subscription)
        try:
            if deadline is not None:
                self._call_at(subscription, deadline)
            if settle:
                subscription.worked()  # somebody has just looked, and been answered
                await self._settle(subscription, settle)
            while True:
                subscription.call.clear()
                if subscription.failure is not None:
                    raise subscription.failure
                # A target that answers nothing would only keep a wait beyond its deadline.
                in_vain = self._answers_nothing and subscription.is_late(self._clock())
                verdict = None if in_vain else await self._look(subscription, first=last is None)
                if verdict is not None:
                    if verdict.outcome != "pending":
                        return verdict
                    if last is None or verdict.message != last.message:
                        tell(verdict)
                    last = verdict
                if subscription.is_late(self._clock()):
                    return last or Verdict("pending", f"{wait}: never seen")
                await subscription.call.wait()
        finally:
            self._leave(subscription)

    async def _settle(self, subscription: Subscription, seconds: float) -> None:
        self._look_again(subscription, seconds)
        while subscription.is_early(self._clock()) and subscription.failure is None:
            await subscription.call.wait()
            subscription.call.clear()

    async def close(self) -> None:
        """End the poll, and close the session."""
        under_way = [task for task in (self._timetable, self._poll) if task is not None]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._timetable = self._poll = None
        await self._hook.close()

    def _join(self, subscription: Subscription) -> None:
        self._subscriptions[subscription] = None
        self._intervals[subscription.poke_interval] += 1
        self._by_dag.setdefault(subscription.wait.dag_id, set()).add(subscription)
        if self._timetable is None:
            self._timetable = asyncio.create_task(self._keep_timetable())
        self._wake_before(self._clock() + subscription.poke_interval)

    def _leave(self, subscription: Subscription) -> None:
        del self._subscriptions[subscription]
        self._missed.discard(subscription)
        self._intervals[subscription.poke_interval] -= 1
        self._intervals += Counter()  # drops what nobody has any more
        of_dag = self._by_dag[subscription.wait.dag_id]
        of_dag.discard(subscription)
        if not of_dag:
            del self._by_dag[subscription.wait.dag_id]
        if len(self._due) > 4 * len(self._subscriptions) + 64:  # mostly calls of those who have left
            self._due = [call for call in self._due if call[2] in self._subscriptions]
            heapq.heapify(self._due)

    async def _look(self, subscription: Subscription, *, first: bool) -> Verdict | None:
        """Look; ``None`` where the target is in trouble that is borne, and a poll that works will call again."""
        try:
            verdict = await self._in_time(subscription, self._check(subscription, first=first))
        except AstroError as error:
            if not subscription.patience.bears(error, subscription.warn_of):
                raise
            self._looks_work = False
            verdict = None
        if verdict is None:
            self._missed.add(subscription)
            return None
        self._looks_work = True
        subscription.worked()
        return verdict

    async def _check(self, subscription: Subscription, *, first: bool) -> Verdict | None:
        wait = subscription.wait
        queued = self._looks.locked()
        async with self._looks:
            if queued and subscription.has_worked and self._answers_nothing:
                return None  # trouble that has come while it queued
            verdict = await self._run(lambda client: wait.check(client, first=first))
        self._look_again(subscription, subscription.looked(verdict))
        if subscription.looks == 2 and wait.known and verdict.run and verdict.run["state"] == "queued":
            await self._run(lambda client: wait.warn_if_paused(client, subscription.warn))
        return verdict

    async def _in_time(self, subscription: Subscription, look: Coroutine[None, None, Verdict | None]) -> Verdict | None:
        """Look, but not for long beyond the deadline, nor queue for it; ``None`` where that was too short."""
        if subscription.deadline is None:
            return await look
        left = max(subscription.deadline - self._clock(), 0) + LAST_LOOK
        looking, sleeping = asyncio.ensure_future(look), asyncio.ensure_future(self._sleep(left))
        try:
            await asyncio.wait((looking, sleeping), return_when=asyncio.FIRST_COMPLETED)
            return looking.result() if looking.done() else None
        finally:
            looking.cancel()
            sleeping.cancel()
            await asyncio.gather(looking, sleeping, return_exceptions=True)

    async def _run(self, question: Callable[[Client], Flow[T]]) -> T:
        return await self._hook.run(question(await self._hook.client()))

    def _look_again(self, subscription: Subscription, pause: float | None) -> None:
        """Call it after a pause, and no more at the time that was set before: else looks would add up."""
        subscription.look_at = None if pause is None else self._clock() + pause
        if subscription.look_at is not None:
            self._call_at(subscription, subscription.look_at)

    def _call_at(self, subscription: Subscription, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), subscription))
        self._wake_before(at)

    def _wake_before(self, at: float) -> None:
        if at < self._sleeps_until:
            self._wake.set()

    async def _keep_timetable(self) -> None:
        ticked = seen = self._clock()
        while True:
            polling = self._poll is not None and not self._poll.done()
            pausing = polling and not self._only_lists_fail
            next_tick = float("inf") if pausing else ticked + self._shortest_interval
            await self._sleep_until(min(next_tick, self._due[0][0] if self._due else next_tick))
            now = self._clock()
            if now < seen:
                # There is no telling how much of the interval is over: better early than late.
                self._set_back(seen - now + min(self._intervals, default=0))
                ticked = 0.0
            seen = now
            self._call_who_is_due(now)
            if not pausing and now >= ticked + self._shortest_interval:
                ticked = now
                if polling:
                    self._call_in_turn(_MOST_LOOKS_AT_ONCE)
                else:
                    self._poll = asyncio.create_task(self._poll_once(now))
                    self._poll.add_done_callback(lambda _: self._wake.set())

    @property
    def _shortest_interval(self) -> float:
        return min(self._intervals, default=float("inf"))

    @property
    def _only_lists_fail(self) -> bool:
        return self._patience.in_trouble and self._looks_work

    @property
    def _answers_nothing(self) -> bool:
        return self._patience.in_trouble and not self._looks_work

    async def _sleep_until(self, at: float) -> None:
        """Sleep; a wait that joins may be in more of a hurry, and a clock that is set back must be noticed."""
        self._wake.clear()
        self._sleeps_until = at
        waking: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        seconds = min(max(at - self._clock(), 0), self._shortest_interval)
        if seconds < float("inf"):
            waking.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waking:
                future.cancel()

    def _set_back(self, seconds: float) -> None:
        """Go by a clock that was set back so far: pauses end when they were to; a deadline is a time of day."""
        self._since = {of_tasks: at - seconds for of_tasks, at in self._since.items()}
        self._due.clear()
        for subscription in self._subscriptions:
            if subscription.look_at is not None:
                subscription.look_at -= seconds
                self._call_at(subscription, subscription.look_at)
            if subscription.deadline is not None:
                self._call_at(subscription, subscription.deadline)

    def _call_who_is_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, subscription = heapq.heappop(self._due)
            if at == subscription.deadline:
                subscription.call.set()
            elif at == subscription.look_at:
                if subscription.patience.in_trouble:
                    self._missed.add(subscription)
                else:
                    subscription.call.set()

    async def _poll_once(self, now: float) -> None:
        self._ticks += 1
        in_turn = self._ticks % TICKS_PER_LOOK == 0
        # A target in trouble is asked one thing only. Not the list each time: it may be just that which fails.
        if not (in_turn and self._patience.in_trouble):
            await self._ask(now)
        if self._only_lists_fail:
            self._call_in_turn(_MOST_LOOKS_AT_ONCE)
        elif in_turn:
            self._call_in_turn(1)

    def _call_in_turn(self, most: int) -> None:
        for subscription in list(islice(self._subscriptions, most)):
            self._subscriptions[subscription] = self._subscriptions.pop(subscription)  # to the end of the line
            subscription.call.set()

    async def _ask(self, now: float) -> None:
        """Ask what has finished since the last time, of runs and of tasks, as far as anybody waits for such."""
        try:
            for of_tasks in (False, True):
                waiting = [each for each in self._subscriptions if each.of_tasks == of_tasks]
                since = self._since.pop(of_tasks, now - min(self._intervals, default=0))
                if waiting:
                    self._since[of_tasks] = since
                    rows = await self._finished(waiting, since)
                    self._since[of_tasks] = now
                    self._call_whom_it_concerns(rows, now)
        except AstroError as error:
            await self._heed(error)
        except Exception as error:  # a defect of ours: nobody must be left waiting for a poll that finds nothing
            self._fail_everybody(error)
        else:
            self._call_who_missed_a_look()

    async def _finished(self, waiting: list[Subscription], since: float) -> list[DagRun] | list[TaskInstance]:
        client = await self._hook.client()
        dag_ids = sorted({each.wait.dag_id for each in waiting})
        ended_after = client.at_target(since - OVERLAP)
        rows: list[DagRun] | list[TaskInstance]
        if waiting[0].of_tasks:
            rows = await self._hook.run(client.finished_tasks(dag_ids, ended_after))
        else:
            due_after = min(each.due_after for each in waiting).isoformat()
            rows = await self._hook.run(client.finished_runs(dag_ids, ended_after, due_after))
        for subscription in self._subscriptions if client.memory.lists_by_dag else ():
            if not subscription.told_of_lists:
                subscription.told_of_lists = True
                subscription.warn(f"The token may not list across dags in {client.deployment}: each dag is asked for.")
        return rows

    def _call_whom_it_concerns(self, rows: list[DagRun] | list[TaskInstance], now: float) -> None:
        for row in rows:
            key = (row["dag_id"], row["dag_run_id"], row.get("task_id"), row.get("map_index"), row["end_date"])
            if key not in self._called:  # else the overlap has brought it again
                for subscription in self._by_dag.get(row["dag_id"], ()):
                    if subscription.of_tasks == ("task_id" in row) and subscription.concerns(row):
                        subscription.call.set()
            self._called[key] = now
        self._called = {key: at for key, at in self._called.items() if at > now - 2 * OVERLAP}

    def _call_who_missed_a_look(self) -> None:
        """End the trouble of everybody, now that a poll has worked."""
        if self._patience.in_trouble:
            for subscription in self._subscriptions:
                subscription.patience.in_trouble = False
        self._patience.worked()
        for subscription in self._missed:
            subscription.call.set()
        self._missed.clear()

    async def _heed(self, error: AstroError) -> None:
        """Survive the target's trouble, as far as it can be borne; else it is the trouble of everybody."""
        if isinstance(error, AccessDeniedError):
            await self._hook.close()  # its connection is read anew next time, and may have another token by then
        if not self._patience.in_trouble:
            self._looks_work = False  # an earlier one that was answered says nothing of now
        if not self._patience.bears(error, self._warn_everybody):
            self._fail_everybody(error)

    def _fail_everybody(self, error: Exception) -> None:
        for subscription in self._subscriptions:
            subscription.failure = error
            subscription.call.set()

    def _warn_everybody(self, trouble: AstroError) -> None:
        for subscription in self._subscriptions:
            if not subscription.patience.in_trouble:  # else a look of its own has told it
                subscription.patience.in_trouble = True
                subscription.warn_of(trouble)


_watchers: dict[tuple[int, str], Watcher] = {}


@asynccontextmanager
async def watching(http_conn_id: str) -> AsyncIterator[Watcher]:
    """
    Share the watcher of a Deployment: of one URL with the same credentials, whatever the connections are called.

    The first one in makes it, the last one out ends its poll and closes its session.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    :raise ConnectionConfigError: there is no such connection, or a field of it is wrong
    """
    hook = AsyncAstroHook(http_conn_id)
    key = (id(asyncio.get_running_loop()), (await hook.client()).deployment.fingerprint)
    watcher = _watchers.get(key)
    if watcher is None:
        watcher = _watchers[key] = Watcher(hook)
    watcher.users += 1
    try:
        yield watcher
    finally:
        watcher.users -= 1
        if not watcher.users:
            del _watchers[key]
            await watcher.close()

"""What is waited for, and what the target's answers mean for it. Pure, but for the flow that asks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from astro_provider.api import calls
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import NotAirflowError, NotFoundError
from astro_provider.api.groups import members
from astro_provider.api.states import FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES
from astro_provider.waits.hints import Hints, airflow_version
from astro_provider.waits.loop import check_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance

Outcome: TypeAlias = Literal["pending", "success", "failed", "skipped"]


MAX_NAMED_DATES = 5
"""How many of several logical dates a message names."""


@dataclass(frozen=True)
class EndStates:
    """
    The states that end a wait, and how.

    :param allowed: end it well
    :param failed: fail the task
    :param skipped: skip the task
    """

    allowed: Sequence[str]
    failed: Sequence[str] = ()
    skipped: Sequence[str] = ()

    def outcome(self, states: Iterable[str], expected: int = 1) -> Outcome:
        """
        Judge what there is so far.

        :param states: the states of everything that there is
        :param expected: how many there must be at least before all can be well
        :return: ``failed`` as soon as one is, then ``skipped``; ``success`` when all are there and allowed
        """
        seen = list(states)
        if any(state in self.failed for state in seen):
            return "failed"
        if any(state in self.skipped for state in seen):
            return "skipped"
        if len(seen) >= expected and all(state in self.allowed for state in seen):
            return "success"
        return "pending"

    def is_stuck(self, state: str | None) -> bool:
        """Say whether a task in this state, of a run that is over, ends no wait and will not change by itself."""
        return state in FINISHED_TASK_STATES and state not in (*self.allowed, *self.failed, *self.skipped)


@dataclass(frozen=True)
class Verdict:
    """
    What a check found.

    :param outcome: whether and how the wait is over
    :param message: for people; of a failure, with what failed in the target
    :param run: the dag run that decided it (the last one that was seen), if any
    :param url: where the target's UI shows that run
    :param hint: why there may be no run; said rarely
    :param state: the state of the run, or the states of the tasks, as the message names them
    """

    outcome: Outcome
    message: str
    run: DagRun | None = None
    url: str | None = None
    hint: str = ""
    state: str | None = None

    @property
    def explained(self) -> str:
        """The message, with the hint behind it."""
        return f"{self.message}. {self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class RunWait:
    """
    A wait for dag runs, or for tasks of dag runs.

    :param dag_id: the dag in the target
    :param end_states: the states that end it
    :param run_id: the run, or
    :param logical_dates: the runs with these logical dates (ISO 8601), or
    :param latest: the newest run, whichever it is at each check
    :param task_ids: tasks of the runs, or
    :param group_id: a task group of the runs; neither means the runs themselves
    :param check_existence: a dag, task or group that is not there ends the wait
    :param must_exist: the run is known to exist, so its absence ends the wait. Transient errors are tolerated from the
        first check on, because a restarted triggerer begins waits anew
    """

    dag_id: str
    end_states: EndStates
    run_id: str | None = None
    logical_dates: Sequence[str] = ()
    latest: bool = False
    task_ids: Sequence[str] = ()
    group_id: str | None = None
    check_existence: bool = False
    must_exist: bool = False

    def __str__(self) -> str:
        run = (
            f"run {self.run_id!r}"
            if self.run_id
            else "the newest run"
            if self.latest
            else f"the run with logical date {_few(self.logical_dates)}"
        )
        if self.group_id:
            return f"task group {self.group_id!r} in {run} of dag {self.dag_id!r}"
        if self.task_ids:
            return f"task {', '.join(map(repr, self.task_ids))} in {run} of dag {self.dag_id!r}"
        return f"{run} of dag {self.dag_id!r}"

    def check(self, client: Client, *, first: bool = True, hints: Hints | None = None) -> Flow[Verdict]:
        """
        Ask the target how it stands.

        :param client: the target
        :param first: whether this is the first check, which alone looks for existence
        :param hints: says why a run may not be there; ``None`` for no such hint
        :return: the verdict
        :raise AstroError: the target's trouble; ``NotFoundError`` only with ``check_existence``
        """
        if self.check_existence and first:
            yield from self._must_exist(client)
        runs = yield from self._runs(client)
        if not runs and self.must_exist:
            raise (yield from self._missing(client))
        if not runs:
            hint = (yield from hints.give(client, self.dag_id, self.logical_dates)) if hints else ""
            return Verdict("pending", f"{self} in {client.deployment}: not there yet", hint=hint)
        if self.task_ids or self.group_id:
            return (yield from self._judge_tasks(client, runs))
        outcome = self.end_states.outcome((run["state"] for run in runs), self._expected)
        is_unlisted = self.must_exist and outcome == "pending" and runs[-1]["state"] in FINISHED_DAG_RUN_STATES
        if is_unlisted:
            outcome = "failed"  # the run is over, so that its state does not change any more
        ended = [run for run in runs if run["state"] in (*self.end_states.failed, *self.end_states.skipped)]
        waiting = [run for run in runs if run["state"] not in self.end_states.allowed]
        run = next((run for run in ended if run["state"] in self.end_states.failed), (ended or waiting or runs)[-1])
        state = self._state(runs, run)
        if is_unlisted:
            state += f", which is none of allowed_states ({', '.join(self.end_states.allowed)})"
        return (yield from self._verdict(client, outcome, run, state, None))

    def _state(self, runs: list[DagRun], run: DagRun) -> str:
        """Say how the runs stand; of several, first the one that decides."""
        if self._expected == 1:
            return run["state"]
        done = sum(run["state"] in self.end_states.allowed for run in runs)
        state = f"{done} of {self._expected} are {' or '.join(self.end_states.allowed)}{self._progress(runs)}"
        return (
            state
            if run["state"] in self.end_states.allowed
            else f"run {run['dag_run_id']!r} is {run['state']}; {state}"
        )

    def watch(
        self,
        client: Client,
        *,
        poke_interval: float,
        deadline: float | None,
        on_change: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> Flow[Verdict]:
        """
        Check again and again until the wait is over.

        :param poke_interval: seconds between two checks
        :param deadline: when to give up, in seconds since the epoch; the verdict is ``pending`` then
        :param on_change: told of every change
        :param warn: told when trouble begins that is survived (see ``Tolerance``), and of what keeps a run queued
        :raise AstroError: trouble that is not survived
        """
        last: Verdict | None = None
        looks = 0
        hints = Hints()

        def check() -> Flow[Verdict | None]:
            nonlocal last, looks
            looks += 1
            verdict = yield from self.check(client, first=last is None, hints=hints)
            if last is None or verdict.hint or verdict.message != last.message:
                on_change(verdict.explained)
            if self.must_exist and looks == 2 and verdict.run and verdict.run["state"] == "queued":
                yield from self.warn_if_paused(client, warn)
            last = verdict
            return verdict if verdict.outcome != "pending" else None

        found: Verdict | None = yield from check_until(
            check,
            clock=client.clock,
            poke_interval=poke_interval,
            deadline=deadline,
            on_tolerated_error=lambda error: warn(f"Still waiting: {error}"),
            has_answered=self.must_exist,
        )
        return found or last or Verdict("pending", f"{self}: never seen")

    def warn_if_paused(self, client: Client, warn: Callable[[str], None]) -> Flow[None]:
        """Say that the dag is paused, where that is why its run does not start."""
        dag = yield from client.find(calls.get_dag, self.dag_id)
        if dag and dag["is_paused"]:
            warn(f"Dag {self.dag_id!r} is paused in {client.deployment}: the run stays queued until it is unpaused.")

    @property
    def _expected(self) -> int:
        return len(self.logical_dates) or 1

    def _must_exist(self, client: Client) -> Flow[None]:
        yield from client.call(calls.get_dag, self.dag_id)
        for task_id in self.task_ids:
            yield from client.call(calls.get_task, self.dag_id, task_id)

    def _runs(self, client: Client) -> Flow[list[DagRun]]:
        """Find the runs; a dag that is not there has none."""
        try:
            if self.run_id:
                run = yield from client.find_dag_run(self.dag_id, self.run_id)
                return [run] if run else []
            if self.latest:
                # A run that is to start in the future is not the newest yet.
                now = client.at_target(time.time())
                return (yield from client.list_dag_runs(self.dag_id, order_by="-run_after", run_after_lte=now, limit=1))
            runs = []
            for date in self.logical_dates:
                if run := (yield from client.find_by_logical_date(self.dag_id, date)):
                    runs.append(run)
        except NotFoundError:
            return []
        return runs

    def _missing(self, client: Client) -> Flow[NotFoundError | NotAirflowError]:
        """Say that a run which was there is not any more; a gateway may answer 404, too, but to everything."""
        try:
            version = yield from airflow_version(client)
        except NotAirflowError as error:
            return error
        return NotFoundError(
            f"{client.deployment} (Airflow {version}) has no {self} any more: it was deleted.", status=404
        )

    def _judge_tasks(self, client: Client, runs: list[DagRun]) -> Flow[Verdict]:
        instances: list[TaskInstance] = []
        stuck: list[TaskInstance] = []
        missing = len(runs) < self._expected
        for run in runs:
            mine = yield from self._instances(client, run)
            missing |= not mine or not set(self.task_ids) <= {task["task_id"] for task in mine}
            instances += mine
            if run["state"] in FINISHED_DAG_RUN_STATES:
                stuck += [task for task in mine if self.end_states.is_stuck(task["state"])]
        outcome = self.end_states.outcome(task["state"] or "none" for task in instances)
        if outcome == "success" and missing:
            outcome = "pending"
        failed = [task for task in instances if task["state"] in self.end_states.failed]
        states = ", ".join(sorted({task["state"] or "none" for task in instances})) or "not there yet"
        if outcome == "pending" and stuck:
            outcome = "failed"
            states = (
                f"its run is over, and {stuck[0]['task_id']!r} is {stuck[0]['state']}. "
                f"List {stuck[0]['state']!r} in allowed_states or skipped_states to end the wait otherwise"
            )
        decisive = failed or (stuck if outcome == "failed" else [])
        run = next((run for run in runs if decisive and run["dag_run_id"] == decisive[0]["dag_run_id"]), runs[-1])
        return (yield from self._verdict(client, outcome, run, states + self._progress(runs), failed))

    def _instances(self, client: Client, run: DagRun) -> Flow[list[TaskInstance]]:
        if self.group_id:
            return (yield from members(client, run, self.group_id, must_exist=self.check_existence))
        try:
            listed = yield from client.list_instances_of_tasks(self.dag_id, run["dag_run_id"], self.task_ids)
        except NotFoundError:  # the run was deleted meanwhile
            return []
        return [task for task in listed if task["task_id"] in self.task_ids]

    def _progress(self, runs: list[DagRun]) -> str:
        """Say, of a wait for several runs, how many there are and which are missing."""
        if self._expected == 1:
            return ""
        found = {parse_date(run["logical_date"]) for run in runs if run["logical_date"]}
        missing = [date for date in self.logical_dates if parse_date(date) not in found]
        return f" ({len(runs)} of {self._expected} runs are there{_missing(missing)})"

    def _verdict(
        self, client: Client, outcome: Outcome, run: DagRun, state: str, tasks: list[TaskInstance] | None
    ) -> Flow[Verdict]:
        message = f"{self} in {client.deployment}: {state}"
        if outcome == "failed" and (tasks or (tasks is None and run["state"] == "failed")):
            message += "\n" + (yield from client.describe_failure(run, tasks=tasks))
        elif outcome == "pending" and tasks is not None and run["state"] in FINISHED_DAG_RUN_STATES:
            message += f" (its run is over: {run['state']})"
        return Verdict(outcome, message, run, client.run_url(run["dag_id"], run["dag_run_id"]), state=state)


def _few(dates: Sequence[str]) -> str:
    named = " and ".join(dates[:MAX_NAMED_DATES])
    return named if len(dates) <= MAX_NAMED_DATES else f"{named} and {len(dates) - MAX_NAMED_DATES} more"


def _missing(dates: Sequence[str]) -> str:
    return f"; not there yet: {_few(dates)}" if dates else ""

"""What a wait is for, and what the responses of the target mean for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from astro_provider.api import calls
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import NotAirflowError, NotFoundError
from astro_provider.api.states import FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES
from astro_provider.api.task_groups import members
from astro_provider.waits.hints import Hints, airflow_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON, DagRun, TaskInstance

Outcome: TypeAlias = Literal["pending", "success", "failed", "skipped"]
"""Whether a wait is over, and how it ended."""

MAX_NAMED_DATES = 5
"""How many of several logical dates a message names."""


@dataclass(frozen=True)
class EndStates:
    """
    The states that end a wait, and how each of them ends it.

    :param allowed: states that end the wait successfully
    :param failed: states that fail the waiting task
    :param skipped: states that skip the waiting task
    """

    allowed: Sequence[str]
    failed: Sequence[str] = ()
    skipped: Sequence[str] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every state that ends the wait."""
        return (*self.allowed, *self.failed, *self.skipped)

    def outcome(self, states: Iterable[str], expected: int = 1) -> Outcome:
        """
        Decide from the states found so far whether the wait is over.

        :param states: the states of all runs or task instances found
        :param expected: the minimum number of them for a success
        :return: ``failed`` as soon as one has failed, else ``skipped`` as soon as one is skipped; ``success`` if enough
            were found and all are allowed; ``pending`` otherwise
        """
        found = list(states)
        if any(state in self.failed for state in found):
            return "failed"
        if any(state in self.skipped for state in found):
            return "skipped"
        if len(found) >= expected and all(state in self.allowed for state in found):
            return "success"
        return "pending"

    def is_stuck(self, state: str | None) -> bool:
        """
        Decide whether a task instance of a finished run will stay in a state that does not end the wait.

        :param state: the state of the task instance
        """
        return state in FINISHED_TASK_STATES and state not in self.all


@dataclass(frozen=True)
class Verdict:
    """
    The result of one check of a wait.

    :param outcome: whether the wait is over, and how it ended
    :param message: describes the runs or tasks for people; after a failure, it names what failed in the target
    :param run: the dag run that decided the outcome, or the last one found; ``None`` if there is none
    :param url: URL of that run in the target's UI
    :param hint: explains why there is no run; empty for most checks
    :param state: the state of the run, or the states of the tasks, as in the message
    """

    outcome: Outcome
    message: str
    run: DagRun | None = None
    url: str | None = None
    hint: str = ""
    state: str | None = None

    @classmethod
    def never_checked(cls, wait: RunWait) -> Verdict:
        """
        Make the verdict of a wait whose checks have all failed.

        :param wait: the wait
        """
        return cls("pending", f"{wait}: never seen")

    @property
    def explained(self) -> str:
        """The message, followed by the hint if there is one."""
        return f"{self.message}. {self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class RunWait:
    """
    A wait for dag runs, or for tasks of dag runs.

    A wait for tasks has ``task_ids`` or ``group_id``; any other wait is for the runs themselves. A trigger stores a
    wait as one value, see :meth:`serialize`; a new field needs no change there.

    :param dag_id: the dag in the target
    :param end_states: the states that end the wait
    :param run_id: the run id to wait for
    :param logical_dates: the logical dates (ISO 8601) of the runs to wait for, instead of ``run_id``
    :param latest: wait for the newest run at each check, instead of ``run_id``
    :param task_ids: ids of tasks of the runs
    :param group_id: id of a task group of the runs, instead of ``task_ids``
    :param check_existence: whether the wait ends with an error if the dag, a task or the group does not exist
    :param must_exist: whether the run is known to exist, so that its absence ends the wait. Transient errors are then
        tolerated from the first check on, because a restarted triggerer begins its waits again
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

    def serialize(self) -> dict[str, Any]:
        """
        Convert the wait into a dict that a trigger can store.

        :return: what :meth:`deserialize` reads: field names and JSON values
        """
        return {name: _as_json(value) for name, value in asdict(self).items()}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> RunWait:
        """
        Make a wait from a dict of :meth:`serialize`.

        :param data: the dict; fields that it lacks have their defaults
        :raise TypeError: the dict has other fields
        """
        return cls(**{**data, "end_states": EndStates(**data["end_states"])})

    @property
    def waits_for_tasks(self) -> bool:
        """Whether the wait is for tasks rather than for the runs themselves."""
        return bool(self.task_ids or self.group_id)

    def __str__(self) -> str:
        if self.run_id:
            run = f"run {self.run_id!r}"
        elif self.latest:
            run = "the newest run"
        else:
            run = f"the run with logical date {_first_dates(self.logical_dates)}"
        if self.group_id:
            return f"task group {self.group_id!r} in {run} of dag {self.dag_id!r}"
        if self.task_ids:
            return f"task {', '.join(map(repr, self.task_ids))} in {run} of dag {self.dag_id!r}"
        return f"{run} of dag {self.dag_id!r}"

    def check(self, client: Client, *, first: bool = True, hints: Hints | None = None) -> Flow[Verdict]:
        """
        Check the wait once.

        :param client: the target
        :param first: whether this is the first check; only the first one applies ``check_existence``
        :param hints: explain why a run does not exist; ``None`` for no explanation
        :return: the verdict
        :raise NotFoundError: ``check_existence`` or ``must_exist`` is set, and what must exist does not
        :raise AstroError: the target did not answer, or refused a request
        """
        if self.check_existence and first:
            yield from self._check_existence(client)
        runs = yield from self._find_runs(client)
        if not runs and self.must_exist:
            raise (yield from self._deleted_error(client))
        if not runs:
            hint = (yield from hints.give(client, self.dag_id, self.logical_dates)) if hints else ""
            return Verdict("pending", f"{self} in {client.deployment}: not there yet", hint=hint)
        if self.waits_for_tasks:
            return (yield from self._judge_tasks(client, runs))
        return (yield from self._judge_runs(client, runs))

    @property
    def _expected_runs(self) -> int:
        return len(self.logical_dates) or 1

    def _check_existence(self, client: Client) -> Flow[None]:
        yield from client.call(calls.get_dag, self.dag_id)
        for task_id in self.task_ids:
            yield from client.call(calls.get_task, self.dag_id, task_id)

    def _find_runs(self, client: Client) -> Flow[list[DagRun]]:
        """List the runs that exist; a dag that does not exist has none."""
        try:
            if self.run_id:
                run = yield from client.find_dag_run(self.dag_id, self.run_id)
                return [run] if run else []
            if self.latest:
                # A run that is scheduled for the future is not the newest one yet.
                now = client.at_target(time.time())
                return (yield from client.list_dag_runs(self.dag_id, order_by="-run_after", run_after_lte=now, limit=1))
            runs = []
            for date in self.logical_dates:
                if run := (yield from client.find_by_logical_date(self.dag_id, date)):
                    runs.append(run)
        except NotFoundError:
            return []
        return runs

    def _deleted_error(self, client: Client) -> Flow[NotFoundError | NotAirflowError]:
        """Make the error for a run that was deleted, or for a gateway that answers 404 to every request."""
        try:
            version = yield from airflow_version(client)
        except NotAirflowError as error:
            return error
        return NotFoundError(
            f"{client.deployment} (Airflow {version}) has no {self} any more: it was deleted.", status=404
        )

    def _judge_runs(self, client: Client, runs: list[DagRun]) -> Flow[Verdict]:
        outcome = self.end_states.outcome((run["state"] for run in runs), self._expected_runs)
        # The state of a finished run does not change any more.
        ended_otherwise = self.must_exist and outcome == "pending" and runs[-1]["state"] in FINISHED_DAG_RUN_STATES
        if ended_otherwise:
            outcome = "failed"
        run = self._decisive_run(runs)
        state = self._describe_states(runs, run)
        if ended_otherwise:
            state += f", which is none of allowed_states ({', '.join(self.end_states.allowed)})"
        return (yield from self._verdict(client, outcome, run, state, None))

    def _decisive_run(self, runs: list[DagRun]) -> DagRun:
        """Choose the run that a verdict is about: a failed one, else a skipped one, else one that is not over."""
        states = self.end_states
        failed = [run for run in runs if run["state"] in states.failed]
        skipped = [run for run in runs if run["state"] in states.skipped]
        unfinished = [run for run in runs if run["state"] not in states.allowed]
        return failed[0] if failed else (skipped or unfinished or runs)[-1]

    def _describe_states(self, runs: list[DagRun], decisive: DagRun) -> str:
        if self._expected_runs == 1:
            return decisive["state"]
        allowed = self.end_states.allowed
        done = sum(run["state"] in allowed for run in runs)
        state = f"{done} of {self._expected_runs} are {' or '.join(allowed)}{self._describe_missing_runs(runs)}"
        if decisive["state"] in allowed:
            return state
        return f"run {decisive['dag_run_id']!r} is {decisive['state']}; {state}"

    def _describe_missing_runs(self, runs: list[DagRun]) -> str:
        """Describe how many of several runs exist, and which do not; empty for a wait for one run."""
        if self._expected_runs == 1:
            return ""
        found = {parse_date(run["logical_date"]) for run in runs if run["logical_date"]}
        missing = [date for date in self.logical_dates if parse_date(date) not in found]
        not_there = f"; not there yet: {_first_dates(missing)}" if missing else ""
        return f" ({len(runs)} of {self._expected_runs} runs are there{not_there})"

    def _judge_tasks(self, client: Client, runs: list[DagRun]) -> Flow[Verdict]:
        instances: list[TaskInstance] = []
        stuck: list[TaskInstance] = []
        is_incomplete = len(runs) < self._expected_runs
        for run in runs:
            of_run = yield from self._list_instances(client, run)
            is_incomplete |= not of_run or not set(self.task_ids) <= {task["task_id"] for task in of_run}
            instances += of_run
            if run["state"] in FINISHED_DAG_RUN_STATES:
                stuck += [task for task in of_run if self.end_states.is_stuck(task["state"])]
        outcome = self.end_states.outcome(task["state"] or "none" for task in instances)
        if outcome == "success" and is_incomplete:
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
        return (yield from self._verdict(client, outcome, run, states + self._describe_missing_runs(runs), failed))

    def _list_instances(self, client: Client, run: DagRun) -> Flow[list[TaskInstance]]:
        if self.group_id:
            return (yield from members(client, run, self.group_id, must_exist=self.check_existence))
        try:
            listed = yield from client.list_instances_of_tasks(self.dag_id, run["dag_run_id"], self.task_ids)
        except NotFoundError:  # the run was deleted after it was found
            return []
        return [task for task in listed if task["task_id"] in self.task_ids]

    def _verdict(
        self, client: Client, outcome: Outcome, run: DagRun, state: str, tasks: list[TaskInstance] | None
    ) -> Flow[Verdict]:
        message = f"{self} in {client.deployment}: {state}"
        if outcome == "failed" and (tasks or (tasks is None and run["state"] == "failed")):
            message += "\n" + (yield from client.describe_failure(run, tasks=tasks))
        elif outcome == "pending" and tasks is not None and run["state"] in FINISHED_DAG_RUN_STATES:
            message += f" (its run is over: {run['state']})"
        return Verdict(outcome, message, run, client.run_url(run["dag_id"], run["dag_run_id"]), state=state)


def _first_dates(dates: Sequence[str]) -> str:
    named = " and ".join(dates[:MAX_NAMED_DATES])
    return named if len(dates) <= MAX_NAMED_DATES else f"{named} and {len(dates) - MAX_NAMED_DATES} more"


def _as_json(value: Any) -> JSON:
    """Convert the tuples and other sequences of a field into lists."""
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value

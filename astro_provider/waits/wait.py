"""What a wait is for, which states end it, and the result of a check: plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from astro_provider.api.message import outcome_message, with_details
from astro_provider.api.states import DAG_RUN_STATES, FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES, TASK_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from astro_provider.api.types import DagRun

Outcome: TypeAlias = Literal["pending", "success", "failed", "skipped"]
"""Whether a wait is over, and how it ended."""

_UNFINISHED = ({*DAG_RUN_STATES, *TASK_STATES} - {*FINISHED_DAG_RUN_STATES, *FINISHED_TASK_STATES}) - {"none"}

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
    :param run_count: number of runs that were found
    :param state: the state of the run, or the states of the tasks, as in the message
    """

    outcome: Outcome
    message: str
    run: DagRun | None = None
    url: str | None = None
    hint: str = ""
    state: str | None = None
    run_count: int = 0

    @classmethod
    def never_answered(cls, wait: RunWait) -> Verdict:
        """
        Make the verdict of a wait whose checks have all failed.

        :param wait: the wait
        """
        return cls("pending", outcome_message("No answer yet", wait.dag_id, wait.facts, run_id=wait.run_id))

    @property
    def explained(self) -> str:
        """The message with the hint, if there is one."""
        return with_details(self.message, self.hint)


@dataclass(frozen=True)
class RunWait:
    """
    A wait for dag runs, or for tasks of dag runs.

    A wait for tasks has ``task_ids`` or ``group_id``; any other wait is for the runs themselves. A trigger stores a
    wait as one value, see :meth:`serialize`, so that a new field needs no change of the triggers. One of ``run_id``,
    ``logical_dates``, ``latest``, ``logical_date_range``, ``partition_key`` and ``idle`` says which runs it is for.

    :param dag_id: the dag in the target
    :param end_states: the states that end the wait
    :param run_id: the run id to wait for
    :param logical_dates: the logical dates (ISO 8601) of the runs to wait for
    :param latest: wait for the newest run at each check
    :param since: with ``latest``, only runs that are due at this date (ISO 8601) or later count
    :param logical_date_range: wait for all runs whose logical date is in this range: its start and its end (ISO 8601),
        which is not part of it
    :param expected_runs: minimum number of runs in ``logical_date_range``
    :param partition_key: wait for the newest run of this partition
    :param idle: wait until nothing of the dag runs, instead of for runs
    :param task_ids: ids of tasks of the runs
    :param group_id: id of a task group of the runs, instead of ``task_ids``
    :param check_existence: whether the wait ends with an error if the dag, a task or the group does not exist
    :param must_exist: whether the run is known to exist. Its absence then ends the wait, and so does a run that
        finishes in a state that is none of ``end_states``. Refusals are tolerated for longer, because the target has
        answered before (``Tolerance``)
    """

    dag_id: str
    end_states: EndStates
    run_id: str | None = None
    logical_dates: Sequence[str] = ()
    latest: bool = False
    since: str | None = None
    logical_date_range: Sequence[str] = ()
    expected_runs: int = 1
    partition_key: str | None = None
    idle: bool = False
    task_ids: Sequence[str] = ()
    group_id: str | None = None
    check_existence: bool = False
    must_exist: bool = False

    def serialize(self) -> dict[str, Any]:
        """
        Convert the wait into a dict that a trigger can store.

        :return: what :meth:`deserialize` reads: field names and JSON values, without fields that have no value
        """
        states = {name: list(each) for name, each in vars(self.end_states).items()}
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        given = {
            name: list(value) if isinstance(value, (list, tuple)) else value
            for name, (value, default) in values.items()
            if value not in (default, [])
        }
        return {**given, "end_states": states}

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

    @property
    def waits_for_one_run(self) -> bool:
        """Whether the wait is for a single run that stays the same once it exists."""
        return bool(self.run_id) or len(self.logical_dates) == 1

    @property
    def facts(self) -> str:
        """What follows the dag in a message about runs that exist."""
        return f"{self._tasks}{f', {self._runs}' if self._runs else ''}"

    @property
    def absence(self) -> str:
        """What follows the dag in a message about runs that do not exist."""
        return f"{self._tasks}: no {self._runs.removeprefix('newest ') or 'such run'}"

    @property
    def _tasks(self) -> str:
        if self.group_id:
            return f", task group {self.group_id!r}"
        if not self.task_ids:
            return ""
        return f", task{'s' if len(self.task_ids) > 1 else ''} {', '.join(map(repr, self.task_ids))}"

    @property
    def _runs(self) -> str:
        """Which runs; empty if their id says it."""
        if self.run_id or self.idle:
            return ""
        if self.latest:
            return "newest run" + (f" since {self.since}" if self.since else "")
        if self.partition_key is not None:
            return f"run for partition {self.partition_key!r}"
        if self.logical_date_range:
            start, end = self.logical_date_range
            return f"runs with logical dates from {start} until before {end}"
        return f"run{'s' if len(self.logical_dates) > 1 else ''} with logical date {first_dates(self.logical_dates)}"


def first_dates(dates: Sequence[str]) -> str:
    """
    Name logical dates in a message, at most ``MAX_NAMED_DATES`` of them.

    :param dates: the dates (ISO 8601)
    """
    named = " and ".join(dates[:MAX_NAMED_DATES])
    return named if len(dates) <= MAX_NAMED_DATES else f"{named} and {len(dates) - MAX_NAMED_DATES} more"


def format_task_states(states: Iterable[str | None]) -> str:
    """
    Name the states of task instances, as in the message and in ``Verdict.state``.

    The watcher compares the result with that of the last check, so the watcher and the check both call this function.

    :param states: the states; ``None`` is named "none"
    :return: each state once, in alphabetical order; empty if there are no task instances
    """
    return ", ".join(sorted({state or "none" for state in states}))


def outcome_words(outcome: Outcome, state: str) -> tuple[str, str]:
    """
    Say in few words how a wait ended or, if it goes on, what it waits for.

    :param outcome: the outcome of the wait
    :param state: the state of the run, or the states of the runs or tasks
    :return: the words, and the states if they are not said by them
    """
    if state == outcome or (outcome == "pending" and state in {*_UNFINISHED, "not there yet"}):
        return state.capitalize().replace("_", " "), ""
    word = "Waiting" if outcome == "pending" else outcome.capitalize()
    return word, f"State: {state}"

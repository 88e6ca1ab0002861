"""One check of a wait: the calls that it takes, and what their results mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import NotAirflowError, NotFoundError
from astro_provider.api.failed_run import describe_failure
from astro_provider.api.message import outcome_message
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.api.task_groups import members
from astro_provider.waits.find_runs import check_partitions, find_runs
from astro_provider.waits.hints import Hints, airflow_version
from astro_provider.waits.idle import check_idle
from astro_provider.waits.wait import Verdict, first_dates, format_task_states, outcome_words

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.waits.wait import Outcome, RunWait


class Check:
    """
    Checks a wait once.

    :param client: the target
    :param wait: the wait
    """

    def __init__(self, client: Client, wait: RunWait) -> None:
        self._client = client
        self._wait = wait
        self._expected_runs = len(wait.logical_dates) or wait.expected_runs
        self._is_for_several_runs = self._expected_runs > 1 or bool(wait.logical_date_range)
        self._run_count = 0

    def run(self, *, first: bool = True, hints: Hints | None = None) -> Flow[Verdict]:
        """
        Find the runs, and their tasks if the wait is for tasks, and decide whether the wait is over.

        :param first: whether this is the first check of the wait. With ``check_existence``, only the first check
            requires the dag and its tasks to exist; every check requires it of a task group
        :param hints: explain why a run does not exist; ``None`` for no explanation
        :return: the verdict
        :raise NotFoundError: ``check_existence`` or ``must_exist`` is set, and what must exist does not
        :raise AstroError: the target did not answer, or refused a request
        """
        client, wait = self._client, self._wait
        if wait.check_existence and first:
            yield from self._check_existence()
        if wait.idle:
            return (yield from check_idle(client, wait.dag_id, hints))
        runs = yield from find_runs(client, wait)
        if first and wait.partition_key is not None and not runs:
            yield from check_partitions(client)
        self._run_count = len(runs)
        if not runs and wait.must_exist:
            raise (yield from self._deleted_error())
        if not runs:
            dates = wait.logical_dates or wait.logical_date_range[:1]
            return self._not_there_yet((yield from hints.give(client, wait.dag_id, dates)) if hints else "")
        if wait.waits_for_tasks:
            return (yield from self._judge_tasks(runs))
        return (yield from self._judge_runs(runs))

    def judge_unfinished(self, run: DagRun) -> Verdict | None:
        """
        Make the verdict that a check would make of a run, without a request, if this run shows that the wait goes on.

        :param run: the run as the target has just described it, which is a run that the wait is for
        :return: the verdict, whose outcome is ``pending``; ``None`` if only a check can decide: the state might end the
            wait, or the wait is for several runs, for the newest run or for tasks
        """
        wait = self._wait
        if wait.waits_for_tasks or not wait.waits_for_one_run:
            return None
        if run["state"] in (*FINISHED_DAG_RUN_STATES, *wait.end_states.all):
            return None
        return self._make_verdict("pending", run, run["state"])

    def judge_listed(self, runs: list[DagRun]) -> Verdict | None:
        """
        Make the verdict that a check would make of the runs in a range, without a request, if they show that the wait
        goes on.

        :param runs: all runs in the range, as the target has just described them
        :return: the verdict, whose outcome is ``pending``; ``None`` if only a check can decide: the wait might be over,
            or is not for the runs in a range
        """
        wait = self._wait
        if wait.waits_for_tasks or not wait.logical_date_range:
            return None
        if wait.end_states.outcome((run["state"] for run in runs), self._expected_runs) != "pending":
            return None
        if not runs:
            return self._not_there_yet()
        self._run_count = len(runs)
        run = self._decisive_run(sorted(runs, key=lambda each: parse_date(each["logical_date"] or "")))
        return self._make_verdict("pending", run, self._describe_states(runs, run))

    def _not_there_yet(self, hint: str = "") -> Verdict:
        wait = self._wait
        where = self._client.deployment
        message = outcome_message("Not there yet", wait.dag_id, wait.absence, where=where, run_id=wait.run_id)
        return Verdict("pending", message, hint=hint)

    def _check_existence(self) -> Flow[None]:
        client, wait = self._client, self._wait
        yield from client.call(calls.get_dag, wait.dag_id)
        for task_id in wait.task_ids:
            yield from client.call(calls.get_task, wait.dag_id, task_id)

    def _deleted_error(self) -> Flow[NotFoundError | NotAirflowError]:
        """Make the error for a run that was deleted, or for a gateway that answers 404 to every request."""
        client, wait = self._client, self._wait
        try:
            version = yield from airflow_version(client)
        except NotAirflowError as error:
            return error
        where = f"{client.deployment} (Airflow {version})"
        message = outcome_message("Deleted", wait.dag_id, ", its run is gone", where=where, run_id=wait.run_id)
        return NotFoundError(message, status=404)

    def _judge_runs(self, runs: list[DagRun]) -> Flow[Verdict]:
        wait = self._wait
        outcome, details = wait.end_states.outcome((run["state"] for run in runs), self._expected_runs), ""
        # A finished run keeps its state unless somebody clears it.
        ended_otherwise = wait.must_exist and outcome == "pending" and runs[-1]["state"] in FINISHED_DAG_RUN_STATES
        if ended_otherwise:
            outcome = "failed"
            details = f"This state is none of allowed_states ({', '.join(wait.end_states.allowed)})"
        run = self._decisive_run(runs)
        return (yield from self._verdict(outcome, run, self._describe_states(runs, run), None, details))

    def _decisive_run(self, runs: list[DagRun]) -> DagRun:
        """Choose the run that a verdict is about: a failed one, else a skipped one, else one in another state."""
        states = self._wait.end_states
        failed = [run for run in runs if run["state"] in states.failed]
        skipped = [run for run in runs if run["state"] in states.skipped]
        not_allowed = [run for run in runs if run["state"] not in states.allowed]
        return failed[0] if failed else (skipped or not_allowed or runs)[-1]

    def _describe_states(self, runs: list[DagRun], decisive: DagRun) -> str:
        if not self._is_for_several_runs:
            return decisive["state"]
        allowed = self._wait.end_states.allowed
        done = sum(run["state"] in allowed for run in runs)
        number = max(self._expected_runs, len(runs))
        state = f"{done} of {number} are {' or '.join(allowed)}{self._describe_missing_runs(runs)}"
        if decisive["state"] in allowed:
            return state
        return f"run {decisive['dag_run_id']!r} is {decisive['state']}; {state}"

    def _describe_missing_runs(self, runs: list[DagRun]) -> str:
        """Describe how many of several runs exist, and which do not; empty for a wait for one run."""
        if not self._is_for_several_runs:
            return ""
        if self._wait.logical_date_range:
            return f" (at least {self._expected_runs} expected, {len(runs)} there)"
        found = {parse_date(run["logical_date"]) for run in runs if run["logical_date"]}
        missing = [date for date in self._wait.logical_dates if parse_date(date) not in found]
        not_there = f"; not there yet: {first_dates(missing)}" if missing else ""
        return f" ({len(runs)} of {self._expected_runs} runs are there{not_there})"

    def _judge_tasks(self, runs: list[DagRun]) -> Flow[Verdict]:
        wait = self._wait
        instances: list[TaskInstance] = []
        stuck: list[TaskInstance] = []
        is_incomplete = len(runs) < self._expected_runs
        instances_by_run = yield from self._list_instances(runs)
        for run in runs:
            of_run = instances_by_run[run["dag_run_id"]]
            is_incomplete |= not of_run or not set(wait.task_ids) <= {task["task_id"] for task in of_run}
            instances += of_run
            if run["state"] in FINISHED_DAG_RUN_STATES:
                stuck += [task for task in of_run if wait.end_states.is_stuck(task["state"])]
        outcome = wait.end_states.outcome(task["state"] or "none" for task in instances)
        if outcome == "success" and is_incomplete:
            outcome = "pending"
        failed = [task for task in instances if task["state"] in wait.end_states.failed]
        states, details = format_task_states(task["state"] for task in instances), ""
        if outcome == "pending" and stuck:
            outcome = "failed"
            details = (
                f"Its run is over, and {stuck[0]['task_id']!r} is {stuck[0]['state']}. "
                f"List {stuck[0]['state']!r} in allowed_states or skipped_states to end the wait otherwise"
            )
        run = runs[-1]
        if outcome == "failed":
            run_id = (failed or stuck)[0]["dag_run_id"]
            run = next(run for run in runs if run["dag_run_id"] == run_id)
        states = (states or "not there yet") + self._describe_missing_runs(runs)
        return (yield from self._verdict(outcome, run, states, failed, details))

    def _list_instances(self, runs: list[DagRun]) -> Flow[dict[str, list[TaskInstance]]]:
        """List the instances of the tasks or the group by run id. A run that was deleted meanwhile has none."""
        client, wait = self._client, self._wait
        found: dict[str, list[TaskInstance]] = {run["dag_run_id"]: [] for run in runs}
        if wait.group_id:
            for run in runs:
                found[run["dag_run_id"]] = yield from members(
                    client, run, wait.group_id, must_exist=wait.check_existence
                )
            return found
        for task in (yield from client.list_instances_of_tasks(wait.dag_id, list(found), wait.task_ids)):
            if task["task_id"] in wait.task_ids and task["dag_run_id"] in found:
                found[task["dag_run_id"]].append(task)
        return found

    def _verdict(
        self, outcome: Outcome, run: DagRun, state: str, tasks: list[TaskInstance] | None, details: str
    ) -> Flow[Verdict]:
        """
        Make the verdict, and describe a failure of the run or of its tasks.

        :param tasks: the failed task instances of a wait for tasks; ``None`` for a wait for runs
        :param details: further lines of the message, unless there is more to describe
        """
        if outcome == "failed" and (tasks or (tasks is None and run["state"] == "failed")):
            details = yield from describe_failure(self._client, run, tasks=tasks)
        elif outcome == "pending" and tasks is not None and run["state"] in FINISHED_DAG_RUN_STATES:
            details = f"Its run is over: {run['state']}"
        return self._make_verdict(outcome, run, state, details)

    def _make_verdict(self, outcome: Outcome, run: DagRun, state: str, details: str = "") -> Verdict:
        client, wait = self._client, self._wait
        said, remark = outcome_words(outcome, state)
        url = client.run_url(run["dag_id"], run["dag_run_id"])
        message = outcome_message(
            said,
            wait.dag_id,
            wait.facts,
            where=client.deployment,
            details="\n".join(each for each in (remark, details) if each),
            run_id=run["dag_run_id"],
            url=url,
        )
        return Verdict(outcome, message, run, url, state=state, run_count=self._run_count)

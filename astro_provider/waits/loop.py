"""The loop of waits of operators and hooks on a worker, and what a wait reports wherever it runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.durations import check_interval, poke_interval_seconds, timeout_seconds
from astro_provider.api.errors import AstroError, WaitTimeoutError
from astro_provider.api.flow import Pause, ReloadConnection
from astro_provider.api.message import dag_subject, error_message, outcome_message, subject_message
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.waits.check import Check
from astro_provider.waits.hints import Hints
from astro_provider.waits.paused import QUEUED_SECONDS, is_queued, paused_warning
from astro_provider.waits.transient import OUTDATED, Tolerance
from astro_provider.waits.wait import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import RunWait

T = TypeVar("T")


class Progress:
    """
    Checks one wait and reports changes.

    The loop on a worker, the watcher in the triggerer, and the sensor's ``poke`` all check through this class.

    :param on_change: called with the verdict of the first check, and with every verdict that differs from the one
        before or has a hint
    :param hints: explain why a run does not exist; ``None`` for no explanation
    """

    def __init__(
        self,
        on_change: Callable[[Verdict], None],
        hints: Hints | None = None,
    ) -> None:
        self._on_change = on_change
        self._hints = hints
        self.last: Verdict | None = None
        """The verdict of the last check; ``None`` before the first one."""

    def check(self, client: Client, wait: RunWait) -> Flow[Verdict]:
        """
        Check a wait once.

        :param client: the target
        :param wait: the wait
        :return: the verdict
        :raise AstroError: the target did not answer, or refused a request; see :meth:`Check.run`
        """
        verdict = yield from Check(client, wait).run(first=self.last is None, hints=self._hints)
        self._report(verdict)
        return verdict

    def note_run(self, client: Client, wait: RunWait, run: DagRun) -> Verdict | None:
        """
        Report the state of a run that is known without a check, if it shows that the wait goes on.

        :param client: the target
        :param wait: the wait
        :param run: the run as the target has just described it, which is a run that the wait is for
        :return: the verdict, whose outcome is ``pending``; ``None`` if only a check can decide
        """
        return self._note(wait, Check(client, wait).judge_unfinished(run))

    def note_listed(self, client: Client, wait: RunWait, runs: list[DagRun]) -> Verdict | None:
        """
        Report the states of the runs in a range that are known without a check, if they show that the wait goes on.

        :param client: the target
        :param wait: the wait
        :param runs: all runs in the range, as the target has just described them
        :return: the verdict, whose outcome is ``pending``; ``None`` if only a check can decide, also if there are no
            runs, and a check would explain why: a list does not show whether the dag exists, or may be read
        """
        if not runs and self._hints is not None and self._hints.is_due:
            return None
        return self._note(wait, Check(client, wait).judge_listed(runs))

    def _note(self, wait: RunWait, verdict: Verdict | None) -> Verdict | None:
        if wait.check_existence and self.last is None:  # only the first check requires what must exist
            return None
        if verdict is not None:
            self._report(verdict)
        return verdict

    def _report(self, verdict: Verdict) -> None:
        if self.last is None or verdict.hint or verdict.message != self.last.message:
            self._on_change(verdict)
        self.last = verdict


def check_until(
    check: Callable[[], Flow[T | None]],
    *,
    clock: Callable[[], float],
    poke_interval: float,
    deadline: float | None,
    on_tolerated_error: Callable[[AstroError], None],
    on_answer: Callable[[], None] = lambda: None,
    has_answered: bool = False,
) -> Flow[T | None]:
    """
    Check until there is a result.

    The interval between two checks follows the time since this flow began, see
    :func:`~astro_provider.api.durations.check_interval`. After an error that a new token or another URL would resolve,
    the connection is read again before the next check.

    :param check: makes the flow of one check, which returns ``None`` as long as there is no result
    :param clock: returns the time in seconds since the epoch
    :param poke_interval: the longest interval between two checks in seconds
    :param deadline: when to give up, in seconds since the epoch; ``None`` for never
    :param on_tolerated_error: called with the first error that is tolerated since the target last answered
    :param on_answer: called when the target answers again after such an error; by default, nothing is called
    :param has_answered: whether the target is known to have answered before
    :return: the result; ``None`` if there was none before the deadline
    :raise AstroError: an error that is not tolerated, see :class:`~astro_provider.waits.transient.Tolerance`
    """
    tolerance = Tolerance(clock, has_answered=has_answered)
    began_at = clock()
    while True:
        outdated = False
        try:
            result = yield from check()
        except AstroError as error:
            if not tolerance.tolerates(error, on_tolerated_error):
                raise
            outdated = isinstance(error, OUTDATED)
        else:
            if tolerance.note_answer():
                on_answer()
            if result is not None:
                return result
        now = clock()
        if deadline is not None and now >= deadline:
            return None
        interval = check_interval(now - began_at, poke_interval)
        yield Pause(interval if deadline is None else min(interval, deadline - now))
        if outdated:
            yield ReloadConnection()


def watch(
    client: Client,
    wait: RunWait,
    *,
    poke_interval: float,
    deadline: float | None,
    on_change: Callable[[Verdict], None],
    warn: Callable[[str], None],
) -> Flow[Verdict]:
    """
    Check a wait until it is over.

    :param client: the target
    :param wait: the wait
    :param poke_interval: the longest interval between two checks in seconds
    :param deadline: when to give up, in seconds since the epoch; ``None`` for never
    :param on_change: see :class:`Progress`; not called with a verdict that fails or skips the task
    :param warn: called with a message when the wait begins to tolerate errors, when the target answers again, and if
        the run stays queued because its dag is paused
    :return: the verdict; its outcome is ``pending`` if the deadline came first
    :raise AstroError: an error that is not tolerated
    """

    def report(verdict: Verdict) -> None:
        if verdict.outcome in ("pending", "success"):  # any other is the message of the task's exception
            on_change(verdict)

    progress = Progress(report, Hints())
    warns_at: float | None = client.clock() + QUEUED_SECONDS

    def check() -> Flow[Verdict | None]:
        nonlocal warns_at
        verdict = yield from progress.check(client, wait)
        if warns_at is not None and client.clock() >= warns_at:
            warns_at = None
            if is_queued(wait, verdict) and (warning := (yield from paused_warning(client, wait.dag_id))):
                warn(warning)
        return None if verdict.outcome == "pending" else verdict

    found: Verdict | None = yield from check_until(
        check,
        clock=client.clock,
        poke_interval=poke_interval,
        deadline=deadline,
        on_tolerated_error=lambda error: warn(still_waiting(dag_subject(wait.dag_id), error)),
        on_answer=lambda: warn(answers_again(dag_subject(wait.dag_id), client.deployment)),
        has_answered=wait.must_exist,
    )
    return found or progress.last or Verdict.never_answered(wait)


def still_waiting(subject: str, error: Exception) -> str:
    """
    Say that a wait continues in spite of an error.

    :param subject: what it is about, see :func:`~astro_provider.api.message.dag_subject`
    :param error: the error
    """
    return error_message("Still waiting", subject, error)


def answers_again(subject: str, where: object) -> str:
    """
    Say that the target answers again after an error that :func:`still_waiting` has reported.

    :param subject: what the wait is about
    :param where: the target
    """
    return subject_message("Target answers again", subject, where=where)


def wait_for_dag_run(
    client: Client,
    dag_id: str,
    run_id: str,
    *,
    poke_interval: float,
    timeout: float | None,
    log: Callable[[str], None],
    warn: Callable[[str], None],
) -> Flow[DagRun]:
    """
    Wait until a dag run has finished, in whatever state.

    :param client: the target
    :param dag_id: the dag
    :param run_id: the run
    :param poke_interval: the longest interval between two checks in seconds
    :param timeout: maximum number of seconds to wait; ``None`` for no limit
    :param log: called with a message at the first check, and whenever the state of the run has changed
    :param warn: called with a message when the wait begins to tolerate errors, and when the target answers again
    :return: the finished run
    :raise WaitTimeoutError: the run did not finish in time
    :raise ValueError: ``poke_interval`` or ``timeout`` is negative, NaN, infinite or not a number
    :raise AstroError: an error that is not tolerated
    """
    interval = poke_interval_seconds(poke_interval)
    timeout = None if timeout is None else timeout_seconds(timeout)
    state = None
    message = partial(
        outcome_message, dag_id=dag_id, where=client.deployment, run_id=run_id, url=client.run_url(dag_id, run_id)
    )

    def check() -> Flow[DagRun | None]:
        nonlocal state
        run = yield from client.get_dag_run(dag_id, run_id)
        if run["state"] != state:
            state = run["state"]
            log(message(state.capitalize()))
        return run if state in FINISHED_DAG_RUN_STATES else None

    deadline = None if timeout is None else client.clock() + timeout
    run = yield from check_until(
        check,
        clock=client.clock,
        poke_interval=interval,
        deadline=deadline,
        on_tolerated_error=lambda error: warn(still_waiting(dag_subject(dag_id), error)),
        on_answer=lambda: warn(answers_again(dag_subject(dag_id), client.deployment)),
    )
    if run is None:
        seen = (state or "no answer").capitalize()
        raise WaitTimeoutError(message(f"Timed out after {timeout:g} s", details=f"Last seen: {seen}"))
    return run

"""The outcomes that end a task in the triggerer. After any other outcome, the task is resumed on a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.airflow_versions import RETRIES_FROM_TRIGGERER, has_post_execute
from astro_provider.triggers.events import EventOutcome

if TYPE_CHECKING:
    from astro_provider.airflow_versions import BaseOperator

_FINAL_FAILURES = (EventOutcome.TIMEOUT, EventOutcome.ERROR)
"""Outcomes that fail a sensor without a retry."""


def endings(task: BaseOperator) -> dict[str, str]:
    """
    Choose the outcomes that end a task in the triggerer.

    Only a worker calls callbacks, sends emails and records asset events. Airflow 3.3.1 and later retries a task that
    fails in the triggerer as long as it has retries left. A final failure therefore ends there only if the task has no
    retries.

    :param task: the task
    :return: the final state of the task (``success``, ``skipped`` or ``failed``) for each such outcome
    """
    ends: dict[EventOutcome, str] = {}
    soft_fail = getattr(task, "soft_fail", False)
    if not _success_needs_worker(task):
        ends[EventOutcome.SUCCESS] = "success"
    if not task.on_skipped_callback:
        ends[EventOutcome.SKIPPED] = "skipped"
        if soft_fail:
            ends |= dict.fromkeys((EventOutcome.FAILED, *_FINAL_FAILURES), "skipped")
    if not _failure_needs_worker(task) and (RETRIES_FROM_TRIGGERER or not task.retries):
        ends[EventOutcome.RETRYABLE_ERROR] = "failed"
        if not soft_fail:
            ends[EventOutcome.FAILED] = "failed"
            if not task.retries:
                ends |= dict.fromkeys(_FINAL_FAILURES, "failed")
    return {outcome.value: state for outcome, state in ends.items()}


def _success_needs_worker(task: BaseOperator) -> bool:
    """Decide whether a success needs a worker: for a callback, asset events, or more than one XCom of the result."""
    return bool(
        task.on_success_callback
        or task.outlets
        or has_post_execute(task)
        or task.multiple_outputs
        or (task.has_dag() and _is_mapped_over(task))
    )


def _is_mapped_over(task: BaseOperator) -> bool:
    """Decide whether a mapped task or task group has the result of the task as an argument of ``expand``."""
    if not any(downstream.get_needs_expansion() for downstream in task.downstream_list):
        return False  # without the next call, which walks through the whole DAG
    return next(task.iter_mapped_dependants(), None) is not None


def _failure_needs_worker(task: BaseOperator) -> bool:
    """Decide whether a failure needs a worker: for a callback, an email, ``fail_fast`` or an option that changes it."""
    return bool(
        task.on_failure_callback
        or task.on_retry_callback
        or (task.email and (task.email_on_failure or task.email_on_retry))
        or getattr(task, "never_fail", False)
        or getattr(task, "silent_fail", False)
        or (task.has_dag() and task.dag.fail_fast)
    )

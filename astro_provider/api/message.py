"""
The form of a message that tells an outcome.

What happened to which dag comes first, because a window or a list of errors shows only the beginning of a line. The run
and its link come last, on lines of their own::

    Failed: dag 'nightly' in Deployment https://clq52.astronomer.run/dz3uu847 (connection 'http_conn')
      Failed tasks:
        load (try 2): ValueError: no rows
    Run: manual__2026-01-01T00:00:00+00:00
    https://clq52.astronomer.run/dz3uu847/dags/nightly/runs/manual__2026-01-01T00:00:00+00:00
"""

from __future__ import annotations

import re

from astro_provider.api.sanitize import plain

HEAD_CHARACTERS = 60
"""Characters at the beginning of a message that hold the outcome and the dag."""

INDENT = "  "
"""Indentation of the lines between the first one and the run."""

_MIN_SUBJECT_CHARACTERS = 20
"""A text is about a subject if it begins with this part of it."""

_SUBJECT_START = "dag '"
_SUBJECT = re.compile(rf"{_SUBJECT_START}[^'\n…]*['…]")
_RUN = "Run: "
_DAG = "Dag: "


def outcome_message(
    outcome: str,
    dag_id: str,
    facts: str = "",
    *,
    where: object = None,
    details: str = "",
    run_id: str | None = None,
    url: str | None = None,
) -> str:
    """
    Write a message about a dag.

    :param outcome: what happened, in few words, such as ``Failed``
    :param dag_id: the dag. If it does not fit into the first ``HEAD_CHARACTERS``, it is cut there, and a line of its
        own at the end has all of it
    :param facts: what follows the dag in the first line, with its punctuation, such as ``, task 'load'``
    :param where: the target
    :param details: further lines
    :param run_id: the run
    :param url: URL of the run, or of what else the message is about, in the target's UI
    :return: the message, of one or several lines
    """
    subject = dag_subject(dag_id)
    shown = _cut(subject, outcome)
    tail = [f"{_DAG}{dag_id}"] if shown != subject else []
    return _compose(outcome, shown + facts, where, details, [*tail, *_run_lines(run_id, url)])


def subject_message(outcome: str, subject: str, facts: str = "", *, where: object = None, details: str = "") -> str:
    """
    Write a message about a dag, or about a request that has the place of the dag; see :func:`outcome_message`.

    :param outcome: what happened
    :param subject: the request, such as ``GET pools/default_pool``, or the result of :func:`dag_subject`
    :param facts: what follows the subject in the first line, with its punctuation
    :param where: the target
    :param details: further lines
    """
    return _compose(outcome, f"{_cut(subject, outcome)}{facts}", where, details, [])


def dag_subject(dag_id: str) -> str:
    """Write what a message about a dag is about."""
    return f"dag {dag_id!r}"


def restated(message: str, outcome: str, remark: str) -> str:
    """
    Write a message of this form again with another outcome.

    :param message: the message, such as ``Running: dag 'nightly' in …``
    :param outcome: the new outcome, such as ``Timed out after 60 s``
    :param remark: the first of the further lines, in which ``{}`` is replaced by the former outcome
    """
    head, details, tail = _parts(message)
    former, _, rest = head.partition(": ")
    if (found := _SUBJECT.match(rest)) and (shown := _cut(subject := found[0], outcome)) != subject:
        rest = shown + rest[len(subject) :]
        if not subject.endswith("…"):
            tail.insert(0, f"{_DAG}{subject[len(_SUBJECT_START) : -1]}")
    return "\n".join([f"{outcome}: {rest}", _indented(remark.format(former)), *details, *tail])


def first_line(message: str) -> str:
    """Return the first line of a message."""
    return message.partition("\n")[0]


def with_details(message: str, *details: str) -> str:
    """
    Add further lines to a message of this form, in front of the run and its link.

    :param message: the message
    :param details: the lines; empty ones are left out
    """
    head, body, tail = _parts(message)
    return "\n".join([head, *body, *(_indented(each) for each in details if each), *tail])


def error_message(outcome: str, subject: str, error: object, *, run_id: str | None = None) -> str:
    """
    Write the message of an error of a request, such as a refused token, which does not tell what it means for the task.

    :param outcome: what the error means, such as ``Failed``
    :param subject: what the task is about, such as ``dag 'nightly'``
    :param error: the error; its first line has the cause
    :param run_id: the run
    :return: the message; that of the error itself if it tells an outcome
    """
    _, _, rest = str(error).partition(": ")
    if rest.startswith((_SUBJECT_START, _cut(subject, outcome)[:_MIN_SUBJECT_CHARACTERS])):
        return str(error)
    first, *others = str(error).split("\n")
    details = (line if line.startswith(INDENT) else _indented(line) for line in others)
    return "\n".join([f"{outcome}: {_cut(subject, outcome)}: {first}", *details, *_run_lines(run_id, None)])


def _compose(outcome: str, subject: str, where: object, details: str, tail: list[str]) -> str:
    place = f" in {where}" if where else ""
    return "\n".join([f"{outcome}: {subject}{place}", *([_indented(details)] if details else []), *tail])


def _run_lines(run_id: str | None, url: str | None) -> list[str]:
    return [*([f"{_RUN}{plain(run_id)}"] if run_id else []), *([url] if url else [])]


def _cut(subject: str, outcome: str) -> str:
    room = HEAD_CHARACTERS - len(outcome) - len(": ")
    return subject if len(subject) <= room else f"{subject[: room - 1]}…"


def _indented(text: str) -> str:
    return "\n".join(f"{INDENT}{line}" for line in text.split("\n"))


def _parts(message: str) -> tuple[str, list[str], list[str]]:
    """Split a message into its first line, the indented lines, and the lines at the end."""
    head, *lines = message.split("\n")
    count = next((number for number, line in enumerate(lines) if not line.startswith(INDENT)), len(lines))
    return head, lines[:count], lines[count:]

"""Every message of the package that tells an outcome: the first 60 characters hold the outcome and the dag."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import astro_provider
from astro_provider.api.message import HEAD_CHARACTERS, dag_subject, outcome_message

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG_ID = "load_sales_of_all_regions"  # of ordinary length
COMPOSING = {"outcome_message", "subject_message", "error_message", "restated", "_message", "message"}
"""Names of functions that write a message of this form, and whose arguments say the outcome."""

OUTCOME_ERRORS = {
    *("NotTriggeredError", "NotClearedError", "DagRunFailedError", "WaitTimeoutError"),
    *("AirflowSkipException", "AirflowTaskTimeout", "AirflowSensorTimeout"),
}
"""Exceptions that tell an outcome, so that nothing but a composed message is raised with them."""

NO_OUTCOME = {
    "[{BASE_URL_SECTION}] base_url of this Deployment is not set. If another Deployment without it has a task ",
    "A list for a batch of %s failed",
    "A list for waits that have joined failed",
    "A list of %s failed",
    "A watcher failed to handle what was due, and continues",
    "The XCom %s could not be read: %s",
    "The XCom %s could not be stored: %s",
    "The connection is used as it was read before. {error}",
    "The request of a dag failed",
    "The result could not be read or stored: %s. A worker tries it again.",
    "The sensor waits on a worker, not in the triggerer: response_check %s.",
    "The task starts on a worker, not in the triggerer: %s.",
    "The token may not list across dags in {deployment}: the dags are listed one by one, ",
    "deferrable has no effect without wait_for_completion before Airflow 3.3",
    "%s The task starts again on a worker.",
    "{deployment}: {deployment.assumption}",
}
"""The messages that are written where they are logged. They tell no outcome; one that does must be composed."""


def _trees() -> Iterator[ast.Module]:
    for path in Path(astro_provider.__file__).parent.rglob("*.py"):
        yield ast.parse(path.read_text(encoding="utf-8"))


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


def _text(node: ast.AST) -> str | None:
    """Return a text of the source as it is written, with the placeholders of an f-string; the first of several."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ast.unparse(node)[2:-1]
    return None


def _outcomes() -> set[str]:
    """Find what the package calls an outcome. A placeholder is a number of seconds, or a state."""
    found = set()
    for name, call in _calls():
        if name.rpartition(".")[2] not in COMPOSING:
            continue
        for argument in call.args:
            text = _text(argument)
            if text and text[0].isupper() and not text.startswith("Limit"):
                found.add(text)
                break
    return found


def test_outcomes_are_found() -> None:
    assert {"Not there yet", "Still waiting", "Not triggered", "Attached", "Cancelled", "Not cleared"} <= _outcomes()
    assert len(_outcomes()) > 30


@pytest.mark.parametrize("outcome", sorted(_outcomes()))
def test_outcome_leaves_room_for_a_dag(outcome: str) -> None:
    written = re.sub(r"{[^}]*}", lambda found: " after 600 s" if "after" in found[0] else "600", outcome)
    message = outcome_message(written, DAG_ID, ", task 'a'", where="D", run_id="r")
    assert dag_subject(DAG_ID) in message[:HEAD_CHARACTERS]


def test_nothing_else_is_logged_that_tells_an_outcome() -> None:
    written = set()
    for name, call in _calls():
        method = name.rpartition(".")[2]
        is_log = name.startswith(("self.log.", "log.")) or method in ("log", "warn", "_warn", "_info")
        if is_log and call.args and (text := _text(call.args[0])) and text != "%s":
            written.add(text)
    assert {text for text in written if not any(text.startswith(each) for each in NO_OUTCOME)} == set()


def test_exceptions_that_tell_an_outcome_have_a_composed_message() -> None:
    written = [
        ast.unparse(call)
        for name, call in _calls()
        if name.rpartition(".")[2] in OUTCOME_ERRORS and call.args and _text(call.args[0]) is not None
    ]
    assert written == []

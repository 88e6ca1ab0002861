"""Start the programs of `clients/`, each in a process of its own that ends with this one."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from dev import environments, settings
from tests.benchmarks.results import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def program(name: str, *arguments: str, connections: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Talk]:
    """
    Have a program of `clients/` run for as long as the `with` block lasts.

    :param connections: Airflow connections that it has, by their ids
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [environments.python("triggering"), "-m", f"tests.benchmarks.clients.{name}", *arguments],
            cwd=environments.ROOT,
            env=environ(connections or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin
    assert process.stdout
    try:
        yield Talk(name, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Talk:
    """What can be asked of a program: a line for a line."""

    def __init__(self, name: str, questions: IO[str], answers: IO[str]) -> None:
        self._name = name
        self._questions = questions
        self._answers = answers

    def ask(self) -> Any:
        self._questions.write("\n")
        self._questions.flush()
        return self.hear()

    def hear(self) -> Any:
        if line := self._answers.readline():
            return json.loads(line)
        raise RuntimeError(f"{self._name} has ended: see {KEPT / self._name}.log")


def environ(connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The environment of a process with these Airflow connections, and nothing of the caller's Airflow."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(settings.DROPPED_PREFIXES)}
    conns = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(conn) for conn_id, conn in connections.items()}
    return {**own, **conns, "AIRFLOW_HOME": str(KEPT / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

"""Runs the programs of `clients/`, each in a process that ends with this one."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from dev import environments, settings
from tests.benchmarks.results import RESULTS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def program(
    name: str, *arguments: str, connections: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[ProgramClient]:
    """
    Run a program of `clients/` for the duration of the `with` block.

    :param connections: its Airflow connections, by id
    """
    RESULTS_FOLDER.mkdir(parents=True, exist_ok=True)
    with (RESULTS_FOLDER / f"{name}.log").open("w") as log:
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
        yield ProgramClient(name, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class ProgramClient:
    """Reads the JSON lines that a program prints; `request` makes it print one."""

    def __init__(self, name: str, stdin: IO[str], stdout: IO[str]) -> None:
        self._name = name
        self._stdin = stdin
        self._stdout = stdout

    def request(self) -> Any:
        self._stdin.write("\n")
        self._stdin.flush()
        return self.read()

    def read(self) -> Any:
        if line := self._stdout.readline():
            return json.loads(line)
        raise RuntimeError(f"{self._name} has ended: see {RESULTS_FOLDER / self._name}.log")


def environ(connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return environment variables with these Airflow connections and without the caller's Airflow settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(settings.DROPPED_PREFIXES)}
    conns = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(conn) for conn_id, conn in connections.items()}
    return {**own, **conns, "AIRFLOW_HOME": str(RESULTS_FOLDER / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

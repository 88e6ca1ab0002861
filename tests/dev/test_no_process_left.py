"""No process of a deployment is left after the program that runs it has ended, by a signal or an exception."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from dev.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@contextmanager
def caller(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.dev.caller", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_airflow_home(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    assert process.stderr
    return process.stdout.readline().strip() or pytest.fail(process.stderr.read())


def processes_of(airflow_home: str) -> list[psutil.Process]:
    """Return all processes of the deployment with this AIRFLOW_HOME, whatever their parents are."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("AIRFLOW_HOME") == airflow_home or any(
                airflow_home in word for word in process.cmdline()
            ):
                found.append(process)
    return found


@pytest.mark.parametrize(
    ("how", "stage", "components"),
    [
        pytest.param(signal.SIGKILL, "healthy", {"postgres", "api-server", "scheduler", "triggerer"}, id="kill -9"),
        pytest.param(signal.SIGKILL, "migration", {"postgres", "migrate"}, id="kill -9 while it starts"),
        pytest.param(signal.SIGINT, "migration", {"postgres", "migrate"}, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, "migration", {"postgres", "migrate"}, id="SIGTERM"),
    ],
)
def test_no_process_is_left_after_a_signal(how: signal.Signals, stage: str, components: set[str]) -> None:
    with caller(stage) as process:
        airflow_home = read_airflow_home(process)
        left = processes_of(airflow_home)
        command_lines = "\n".join(" ".join(one.cmdline()) for one in left)
        assert {name for name in components if name in command_lines} == components
        process.send_signal(how)
        process.wait(30)
        _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive
    assert not processes_of(airflow_home)


def test_no_process_is_left_after_an_exception() -> None:
    with caller("migration", "raise") as process:
        airflow_home = read_airflow_home(process)
        _, errors = process.communicate(timeout=30)
    assert "raised on request" in errors
    assert not processes_of(airflow_home)

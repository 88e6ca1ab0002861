"""A supervised command ends with its caller, whatever it started and however it resists."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

LEASH = Path(__file__).parents[2] / "dev" / "supervise.py"
GRACE = "0.5"

# Starts a process in a session of its own, as Airflow does, whose parent then ends; prints its process id.
SLIPS_AWAY = """
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    sleeper = subprocess.Popen(["sleep", "600"])
    print(sleeper.pid, flush=True)
    os._exit(0)
os.wait()
"""
LINGERS = "import time; time.sleep(600)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True);"


def supervised(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, LEASH, GRACE, sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def process_that_it_names(supervisor: subprocess.Popen[str]) -> psutil.Process:
    assert supervisor.stdout
    return psutil.Process(int(supervisor.stdout.readline()))


def has_ended(process: psutil.Process) -> bool:
    _, alive = psutil.wait_procs([process], timeout=10)
    return not alive


def test_what_slipped_away_ends_when_the_caller_closes_the_pipe() -> None:
    supervisor = supervised(SLIPS_AWAY + LINGERS)
    sleeper = process_that_it_names(supervisor)
    supervisor.communicate()
    assert has_ended(sleeper)


def test_what_slipped_away_ends_with_the_command() -> None:
    supervisor = supervised(SLIPS_AWAY)
    sleeper = process_that_it_names(supervisor)
    supervisor.wait(10)
    assert has_ended(sleeper)


@pytest.mark.parametrize("how", [signal.SIGTERM, None], ids=["SIGTERM", "end of input"])
def test_a_command_that_ignores_sigterm_is_killed(how: signal.Signals | None) -> None:
    supervisor = supervised("import os;" + IGNORES_SIGTERM + LINGERS)
    command = process_that_it_names(supervisor)
    if how:
        supervisor.send_signal(how)
        supervisor.wait(10)
    else:
        supervisor.communicate()
    assert has_ended(command)


def test_a_command_may_tidy_up_first() -> None:
    tidy = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('tidied')); print(0, flush=True);"
    supervisor = supervised(tidy + LINGERS)
    assert supervisor.stdout
    supervisor.stdout.readline()
    supervisor.communicate()
    assert supervisor.returncode == 1


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_commands(code: int) -> None:
    supervisor = supervised(f"raise SystemExit({code})")
    assert supervisor.wait(10) == code


def test_a_command_that_is_killed_does_not_count_as_success() -> None:
    supervisor = supervised("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert supervisor.wait(10) != 0

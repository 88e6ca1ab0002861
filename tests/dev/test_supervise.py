"""A supervised command and all its descendants end when its caller ends, even if they ignore SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SUPERVISE = Path(__file__).parents[2] / "dev" / "supervise.py"
GRACE_SECONDS = "0.5"

# Starts a process in its own session, as Airflow does, whose parent then ends; prints its process id.
DETACHED = """
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    sleeper = subprocess.Popen(["sleep", "600"])
    print(sleeper.pid, flush=True)
    os._exit(0)
os.wait()
"""
SLEEPING = "import time; time.sleep(600)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True);"


def supervised(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SUPERVISE, GRACE_SECONDS, sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def printed_process(supervisor: subprocess.Popen[str]) -> psutil.Process:
    assert supervisor.stdout
    return psutil.Process(int(supervisor.stdout.readline()))


def has_ended(process: psutil.Process) -> bool:
    _, alive = psutil.wait_procs([process], timeout=10)
    return not alive


def test_detached_process_ends_when_the_caller_closes_the_pipe() -> None:
    supervisor = supervised(DETACHED + SLEEPING)
    sleeper = printed_process(supervisor)
    supervisor.communicate()
    assert has_ended(sleeper)


def test_detached_process_ends_when_the_command_ends() -> None:
    supervisor = supervised(DETACHED)
    sleeper = printed_process(supervisor)
    supervisor.wait(10)
    assert has_ended(sleeper)


@pytest.mark.parametrize("how", [signal.SIGTERM, None], ids=["SIGTERM", "end of input"])
def test_command_that_ignores_sigterm_is_killed(how: signal.Signals | None) -> None:
    supervisor = supervised("import os;" + IGNORES_SIGTERM + SLEEPING)
    command = printed_process(supervisor)
    if how:
        supervisor.send_signal(how)
        supervisor.wait(10)
    else:
        supervisor.communicate()
    assert has_ended(command)


def test_command_can_clean_up_before_it_is_killed() -> None:
    cleanup = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('cleaned up')); print(0, flush=True);"
    )
    supervisor = supervised(cleanup + SLEEPING)
    assert supervisor.stdout
    supervisor.stdout.readline()
    supervisor.communicate()
    assert supervisor.returncode == 1


@pytest.mark.parametrize("code", [0, 3])
def test_exit_code_of_the_command_is_passed_on(code: int) -> None:
    supervisor = supervised(f"raise SystemExit({code})")
    assert supervisor.wait(10) == code


def test_exit_code_is_not_zero_when_the_command_is_killed() -> None:
    supervisor = supervised("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert supervisor.wait(10) != 0

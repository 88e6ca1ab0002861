"""
Run a command that ends when its caller ends.

    python supervise.py GRACE COMMAND [ARGUMENT ...]

Standard input ends at the latest when the caller ends, for whatever reason. Then, or on SIGTERM, the command receives
SIGTERM, and after GRACE seconds the command and all its descendants receive SIGKILL. If the command ends by itself, its
remaining descendants are killed, and this program ends with the exit code of the command.

Airflow's processes start their own sessions and process groups, so ending one process group would not end all of them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    grace, *command = sys.argv[1:]
    adopt_orphans()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    caller_gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: caller_gone.set())
    threading.Thread(target=wait_for_end_of_input, args=(caller_gone,), daemon=True).start()
    threading.Thread(target=end_command, args=(child.pid, float(grace), caller_gone), daemon=True).start()

    # One loop waits for all processes, because orphans become children of this process and must be reaped.
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child.pid:
            break
    kill_descendants()
    return os.waitstatus_to_exitcode(status) % 256


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none escapes supervision."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_end_of_input(caller_gone: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    caller_gone.set()


def end_command(pid: int, grace: float, caller_gone: threading.Event) -> None:
    """End the command when the caller is gone, with SIGTERM first, so that it can clean up."""
    caller_gone.wait()
    os.kill(pid, signal.SIGTERM)
    time.sleep(grace)  # this program ends earlier if the command does
    kill(psutil.Process().children(recursive=True))


def kill_descendants() -> None:
    """Kill descendants until none is left: one can start another while its parent is being killed."""
    while descendants := psutil.Process().children(recursive=True):
        kill(descendants)
        psutil.wait_procs(descendants, timeout=1)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    sys.exit(main())

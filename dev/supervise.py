"""
Run a command that cannot outlive its caller.

    python supervise.py GRACE COMMAND [ARGUMENT ...]

When standard input ends, which happens at the latest when the caller dies, however it dies, the command gets
SIGTERM, and after GRACE seconds it and everything that it ever started get SIGKILL. SIGTERM does the same.
When the command ends by itself, what it left behind is killed, and its exit code is this one's.

Airflow's processes start sessions and process groups of their own, so ending a group would not end them all.
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

    # All waiting is done here, since orphans arrive here too and somebody has to collect them.
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child.pid:
            break
    kill_descendants()
    return os.waitstatus_to_exitcode(status) % 256


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_end_of_input(caller_gone: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    caller_gone.set()


def end_command(pid: int, grace: float, caller_gone: threading.Event) -> None:
    """Once the caller is gone, end the command: politely first, so that it can tidy up."""
    caller_gone.wait()
    os.kill(pid, signal.SIGTERM)
    time.sleep(grace)  # unless the command ends, and this program with it
    kill(psutil.Process().children(recursive=True))


def kill_descendants() -> None:
    """Kill until nobody is left: a process may start another one while its parent is being killed."""
    while descendants := psutil.Process().children(recursive=True):
        kill(descendants)
        psutil.wait_procs(descendants, timeout=1)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    sys.exit(main())

"""Processes that end with this one, and TCP ports that only one deployment uses at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

from dev import environments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUPERVISE = Path(__file__).resolve().parent / "supervise.py"
GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL


class SupervisedProcess:
    """
    A command that ends, with all its descendants, when this program ends for any reason.

    :param log: the file to which its output is appended
    :param reservation: a lock that is held while the command or one of its descendants runs
    """

    def __init__(self, command: Iterable[str | Path], env: Mapping[str, str], log: Path, reservation: IO[str]) -> None:
        self.log = log
        self.started = datetime.now(timezone.utc)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [environments.python("triggering"), SUPERVISE, str(GRACE_SECONDS), *command],
                env=env,
                cwd=log.parent,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(reservation.fileno(),),
                # Ctrl-C in a terminal must reach the caller only, which then stops the processes in the right order.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code of the command; None while it runs."""
        return self._process.poll()

    def request_stop(self) -> None:
        """Request the command to end, without waiting for it."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Kill the command and all its descendants with SIGKILL."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait until the command and all its descendants have ended."""
        self._process.wait(GRACE_SECONDS + 10)

    def pids(self) -> list[int]:
        """Return the process ids of the command and its descendants, the command first."""
        return [process.pid for process in psutil.Process(self._process.pid).children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor time used by the command and its running and ended descendants."""
        supervisor = psutil.Process(self._process.pid)
        total = 0.0
        for process in [supervisor, *supervisor.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
        return total

    def last_lines(self, count: int = 25) -> str:
        with self.log.open(errors="replace") as file:
            return "".join(file.readlines()[-count:])


def reserve_port(wanted: int, folder: Path) -> tuple[int, IO[str]]:
    """
    Return the port `wanted`, or the next free one, and the lock that reserves it.

    A deployment starts to listen seconds after its port was chosen. Until then, the lock, a file in `folder`, keeps
    other deployments from choosing the same port.

    :raises OSError: no port is free
    """
    folder.mkdir(parents=True, exist_ok=True)
    for port in range(wanted, wanted + 100):
        lock = (folder / f"{port}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if _is_free(port):
            return port, lock
        lock.close()
    raise OSError(f"No free port from {wanted} to {wanted + 99}")


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in sockets]


def _is_free(port: int) -> bool:
    """Return whether no process listens on this port of any address of `localhost`."""
    found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    return not any(_is_taken(family, address[:2]) for family, _, _, _, address in found)


def _is_taken(family: socket.AddressFamily, address: tuple[Any, ...]) -> bool:
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # other errors: this machine has no such address
    return False

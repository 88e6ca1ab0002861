"""Processes that cannot outlive this one, and ports that only one of us uses at a time."""

from __future__ import annotations

import errno
import fcntl
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
GRACE = 5.0  # seconds that a process gets to end by itself


class SupervisedProcess:
    """
    A command that ends, with everything that it has started, when this program ends for any reason.

    :param log: where its output goes, after what is there
    :param reservation: a lock that is held for as long as the command or anything that it started is alive
    """

    def __init__(self, command: Iterable[str | Path], env: Mapping[str, str], log: Path, reservation: IO[str]) -> None:
        self.log = log
        self.started = datetime.now(timezone.utc)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [environments.python("triggering"), SUPERVISE, str(GRACE), *command],
                env=env,
                cwd=log.parent,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(reservation.fileno(),),
                # Ctrl-C in a terminal is for the caller, who then decides what ends and in which order.
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def let_go(self) -> None:
        """Tell it to end, without waiting for that."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it and everything that it started have ended."""
        self._process.wait(GRACE + 10)

    def pids(self) -> list[int]:
        """It and what it started, the first of them at the front."""
        return [process.pid for process in psutil.Process(self._process.pid).children(recursive=True)]

    def cpu_seconds(self) -> float:
        """The processor time used so far, by everything that it started, also by what has ended."""
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


def reserve_port(end_states: int, folder: Path) -> tuple[int, IO[str]]:
    """
    The port `wanted` or the next one that is free, and the lock which keeps it ours.

    A deployment listens only seconds after it has been given its port. The lock, a file in `folder`, keeps
    another one from choosing the same port meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for port in range(end_states, end_states + 100):
        lock = (folder / f"{port}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if _is_free(port):
            return port, lock
        lock.close()
    raise OSError(f"No free port from {end_states} to {end_states + 99}")


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on now, for servers whose port is nobody's business."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in sockets]


def _is_free(port: int) -> bool:
    """Whether nobody listens on any of the addresses that `localhost` means."""
    found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    return not any(_is_taken(family, address[:2]) for family, _, _, _, address in found)


def _is_taken(family: socket.AddressFamily, address: tuple[Any, ...]) -> bool:
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # not: this machine has no such address
    return False

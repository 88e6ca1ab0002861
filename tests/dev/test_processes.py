"""Ports are reserved for as long as their process runs, and supervised processes can be stopped and measured."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from dev.processes import SupervisedProcess, free_ports, reserve_port

if TYPE_CHECKING:
    from pathlib import Path


def test_port_in_use_is_not_reserved(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as listener:
        wanted = listener.getsockname()[1]
        port, lock = reserve_port(wanted, tmp_path)
        lock.close()
    assert port > wanted


def test_reserved_port_is_not_reserved_again_until_it_is_released(tmp_path: Path) -> None:
    [wanted] = free_ports(1)
    first, lock = reserve_port(wanted, tmp_path)
    second, other_lock = reserve_port(wanted, tmp_path)
    assert (first, second > wanted) == (wanted, True)
    lock.close()
    third, lock = reserve_port(wanted, tmp_path)
    assert third == wanted
    lock.close()
    other_lock.close()


def test_reservation_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    [wanted] = free_ports(1)
    _, lock = reserve_port(wanted, tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = SupervisedProcess(command, os.environ, tmp_path / "log", lock)
    lock.close()
    taken, other_lock = reserve_port(wanted, tmp_path)
    other_lock.close()
    process.request_stop()
    process.wait()
    free, lock = reserve_port(wanted, tmp_path)
    lock.close()
    assert (taken > wanted, free) == (True, wanted)


def test_process_reports_its_output_and_processor_time(tmp_path: Path) -> None:
    _, lock = reserve_port(free_ports(1)[0], tmp_path)
    program = "sum(range(10_000_000)); print('done'); import time; time.sleep(600)"
    process = SupervisedProcess([sys.executable, "-uc", program], os.environ, tmp_path / "log", lock)
    while "done" not in process.last_lines():
        assert process.exit_code is None
    assert process.cpu_seconds() > 0
    assert len(process.pids()) == 1
    process.request_stop()
    process.wait()
    lock.close()
    assert process.exit_code != 0


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(5))) == 5


def test_reserving_fails_when_no_port_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.processes._is_free", lambda port: False)
    with pytest.raises(OSError, match="No free port from 8080 to 8179"):
        reserve_port(8080, tmp_path)

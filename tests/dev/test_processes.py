from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from dev.processes import SupervisedProcess, free_ports, reserve_port

if TYPE_CHECKING:
    from pathlib import Path


def test_a_port_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as somebody:
        end_states = somebody.getsockname()[1]
        port, lock = reserve_port(end_states, tmp_path)
        lock.close()
    assert port > end_states


def test_a_reserved_port_is_not_given_away_again_until_it_is_free(tmp_path: Path) -> None:
    [end_states] = free_ports(1)
    first, lock = reserve_port(end_states, tmp_path)
    second, other_lock = reserve_port(end_states, tmp_path)
    assert (first, second > end_states) == (end_states, True)
    lock.close()
    third, lock = reserve_port(end_states, tmp_path)
    assert third == end_states
    lock.close()
    other_lock.close()


def test_a_reservation_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    [end_states] = free_ports(1)
    _, lock = reserve_port(end_states, tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = SupervisedProcess(command, os.environ, tmp_path / "log", lock)
    lock.close()
    taken, other_lock = reserve_port(end_states, tmp_path)
    other_lock.close()
    process.let_go()
    process.wait()
    free, lock = reserve_port(end_states, tmp_path)
    lock.close()
    assert (taken > end_states, free) == (True, end_states)


def test_what_a_process_says_and_costs(tmp_path: Path) -> None:
    _, lock = reserve_port(free_ports(1)[0], tmp_path)
    program = "sum(range(10_000_000)); print('done'); import time; time.sleep(600)"
    process = SupervisedProcess([sys.executable, "-uc", program], os.environ, tmp_path / "log", lock)
    while "done" not in process.last_lines():
        assert process.exit_code is None
    assert process.cpu_seconds() > 0
    assert len(process.pids()) == 1
    process.let_go()
    process.wait()
    lock.close()
    assert process.exit_code != 0


def test_ports_are_different() -> None:
    assert len(set(free_ports(5))) == 5


def test_no_port_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.processes._is_free", lambda port: False)
    with pytest.raises(OSError, match="No free port from 8080 to 8179"):
        reserve_port(8080, tmp_path)

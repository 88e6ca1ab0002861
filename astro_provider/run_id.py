"""The run id that a triggering task gives to the run it creates: derived from the task, never random."""

from __future__ import annotations

import hashlib
import re

MAX_LENGTH = 200
"""
Airflow's database holds 250 characters, but every task of a run with more than 245 fails on a target that logs into
files: a folder named ``run_id=<run id>`` would exceed 255 bytes. The rest is for what a log store puts around it.
"""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.~:+-]")
"""What the default ``[scheduler] allowed_run_id_pattern`` of Airflow 3 forbids."""

_DIGEST_LENGTH = 12


def first_try_number(max_tries: int, retries: int) -> int:
    """
    Derive the number of the first try since the task was last cleared.

    Airflow leaves ``max_tries`` alone over automatic retries and raises it when a task is cleared.

    :param max_tries: of the task instance
    :param retries: of the task
    """
    # A DAG may have got more retries since; its tasks' max_tries stay behind for a while.
    return max(max_tries - retries, 0) + 1


def remote_run_id(*, deployment: str, dag_id: str, run_id: str, task_id: str, map_index: int, first_try: int) -> str:
    """
    Derive the run id: the same on every retry and after a crash, another after a clear.

    ``<deployment>~<dag_id>~<run_id>~<task_id>[+<map_index>]~<first_try>``, with slashes of the Deployment's URL
    written as ``+``. In an id that would be too long, the run id is cut, because it is that of a run which another
    Deployment has triggered, and names that one's dag and task; then the other parts. A digest of all parts is
    appended if a character was replaced or the id was cut, so that different tasks never get the same id.

    :param deployment: URL of the triggering Deployment
    :param dag_id: the triggering dag
    :param run_id: its run
    :param task_id: the triggering task
    :param map_index: which one of a mapped task, -1 for a task that is not mapped
    :param first_try: number of its first try since it was last cleared, see :func:`first_try_number`
    :return: 1 to 200 characters of those that Airflow 3 allows by default
    """
    identity = re.sub(r"^https?://", "", deployment).strip("/")
    mapped = f"+{map_index}" if map_index >= 0 else ""
    parts = [identity.replace("/", "+"), dag_id, run_id, f"{task_id}{mapped}", str(first_try)]
    readable = _FORBIDDEN.sub("_", "~".join(parts))
    # The ids of dags and tasks hold neither ~ nor +, so that an id with all of its characters is unambiguous.
    whole = (
        "~".join(parts) == readable
        and "+" not in identity
        and not any("~" in part for part in (identity, dag_id, task_id))
    )
    if whole and len(readable) <= MAX_LENGTH:
        return readable
    text = "\x00".join([deployment, dag_id, run_id, task_id, str(map_index), str(first_try)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    room = MAX_LENGTH - _DIGEST_LENGTH - 1
    excess = max(len(readable) - room, 0)
    parts[2] = parts[2][: max(len(run_id) - excess, 0)]
    return f"{_FORBIDDEN.sub('_', '~'.join(parts))[:room]}~{digest}"

"""The run id of the run that a task creates: derived from the task, never random."""

from __future__ import annotations

import hashlib
import re

MAX_RUN_ID_CHARACTERS = 200
"""
Airflow's database has room for 250 characters. With more than 245, every task of the run fails on a target that logs to
files, because the name of the log folder ``run_id=<run id>`` exceeds 255 bytes. 200 leaves room for the prefixes of
other log stores.
"""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.~:+-]")
"""The characters that the default ``[scheduler] allowed_run_id_pattern`` of Airflow 3 does not allow."""

_DIGEST_CHARACTERS = 12


def first_try_number(max_tries: int, retries: int) -> int:
    """
    Derive the number of the first try since the task was last cleared.

    Airflow raises ``max_tries`` when a task is cleared, and leaves it unchanged over automatic retries.

    :param max_tries: ``max_tries`` of the task instance
    :param retries: the number of retries of the task
    """
    # If the DAG file has raised retries since, max_tries can be lower.
    return max(max_tries - retries, 0) + 1


def remote_run_id(*, deployment: str, dag_id: str, run_id: str, task_id: str, map_index: int, first_try: int) -> str:
    """
    Derive the run id, which is the same on every retry and after a crash, and another after a clear.

    The form is ``<deployment>~<dag_id>~<run_id>~<task_id>[+<map_index>]~<first_try>``, where ``+`` replaces the slashes
    in the Deployment's URL. If this is too long, the part ``<run_id>`` is cut first, because in a chain of Deployments
    it only repeats the dag and task of an earlier Deployment. If that is not enough, the end is cut. An id that was
    cut, in which a character was replaced, or whose parts could not be told apart otherwise, ends in a digest of all
    parts, so that different tasks never get the same id.

    :param deployment: URL of the triggering Deployment
    :param dag_id: the triggering dag
    :param run_id: the run of the triggering dag
    :param task_id: the triggering task
    :param map_index: map index of the task, -1 for a task that is not mapped
    :param first_try: number of its first try since it was last cleared, see :func:`first_try_number`
    :return: 1 to 200 characters that Airflow 3 allows by default
    """
    host_and_path = re.sub(r"^https?://", "", deployment).strip("/")
    mapped = f"+{map_index}" if map_index >= 0 else ""
    parts = [host_and_path.replace("/", "+"), dag_id, run_id, f"{task_id}{mapped}", str(first_try)]
    plain = _FORBIDDEN.sub("_", "~".join(parts))
    # Ids of dags and tasks usually contain neither ~ nor +, so that the parts of such an id can be distinguished.
    is_unambiguous = (
        "~".join(parts) == plain
        and "+" not in host_and_path
        and not any("~" in part for part in (host_and_path, dag_id, task_id))
    )
    if is_unambiguous and len(plain) <= MAX_RUN_ID_CHARACTERS:
        return plain
    text = "\x00".join([deployment, dag_id, run_id, task_id, str(map_index), str(first_try)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    room = MAX_RUN_ID_CHARACTERS - _DIGEST_CHARACTERS - 1
    excess = max(len(plain) - room, 0)
    parts[2] = parts[2][: max(len(run_id) - excess, 0)]
    return f"{_FORBIDDEN.sub('_', '~'.join(parts))[:room]}~{digest}"

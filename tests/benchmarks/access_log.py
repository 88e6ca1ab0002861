"""Counts requests with the access log of an API server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dev.deployments import Deployment

LINE = re.compile(r"^(?P<at>\S+) .*\[http\.access\].* method=(?P<method>\S+) path=(?P<path>\S+).* status_code=(\d+)")


@dataclass(frozen=True)
class LoggedRequest:
    """A request that was answered."""

    at: datetime
    method: str
    path: str
    status: int


class AccessLog:
    """
    The requests that an API server has answered since this object was created.

    :param deployment: a deployment of Airflow 3
    """

    def __init__(self, deployment: Deployment) -> None:
        self._file = deployment.log("api-server")
        self._offset = self._file.stat().st_size

    def requests(self) -> Iterator[LoggedRequest]:
        with self._file.open(errors="replace") as lines:
            lines.seek(self._offset)
            for line in lines:
                if found := LINE.match(line):
                    at = datetime.fromisoformat(found["at"].replace("Z", "+00:00"))
                    yield LoggedRequest(at, found["method"], found["path"], int(found[4]))

    def count(self, prefix: str = "/api/v2/") -> int:
        return sum(request.path.startswith(prefix) for request in self.requests())


def task_processes(log: AccessLog) -> Iterator[tuple[str, str, datetime]]:
    """
    Find the starts and ends of task processes.

    :param log: the access log of the deployment where the tasks run
    :return: for each, the id of the task instance, `run` for a start or `state` for an end, and the time
    """
    for request in log.requests():
        path, _, resource = request.path.rpartition("/")
        if request.method == "PATCH" and "/task-instances/" in path and request.status < 300:
            yield path.rpartition("/")[2], resource, request.at


def started_task_processes(log: AccessLog) -> list[str]:
    """Return the id of the task instance of each task process that has started."""
    return [task for task, resource, _ in task_processes(log) if resource == "run"]

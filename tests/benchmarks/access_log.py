"""Requests counted where they arrive: in what an API server writes about each that it has answered."""

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
class Request:
    """One that was answered."""

    at: datetime
    method: str
    path: str
    status: int


class AccessLog:
    """
    The requests that an API server has answered since this was made.

    :param deployment: of Airflow 3
    """

    def __init__(self, deployment: Deployment) -> None:
        self._file = deployment.log("api-server")
        self._begin = self._file.stat().st_size

    def requests(self) -> Iterator[Request]:
        with self._file.open(errors="replace") as lines:
            lines.seek(self._begin)
            for line in lines:
                if found := LINE.match(line):
                    at = datetime.fromisoformat(found["at"].replace("Z", "+00:00"))
                    yield Request(at, found["method"], found["path"], int(found[4]))

    def count(self, prefix: str = "/api/v2/") -> int:
        return sum(request.path.startswith(prefix) for request in self.requests())

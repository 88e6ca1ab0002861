"""What a process has learned about the Deployment of each connection: its API version, a token, its clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astro_provider.api.tokens import Fetches

if TYPE_CHECKING:
    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.deployment import Deployment


@dataclass
class Memory:
    """
    What a process has learned about the Deployment of a connection. All clients in the process that were made from the
    same connection share it. Times are seconds since the epoch.

    :ivar api_version: version of the REST API; ``None`` before the first response
    :ivar token: the latest token that was fetched
    :ivar token_expires: when the token is no longer used
    :ivar fetches: lets one flow at a time fetch a token
    :ivar clock_lead: seconds by which the target's clock is ahead of the local one, from the ``Date`` of its latest
        response
    :ivar filters_groups: whether the target filters task instances by task group; ``None`` if unknown
    :ivar filters_groups_until: when ``filters_groups`` has to be found out again, because the target might be upgraded
    :ivar log_began: when a flow began to read the log of a failed task; ``None`` if no flow reads one
    :ivar no_logs_until: when logs of failed tasks are requested again
    """

    api_version: RestApi | None = None
    token: str | None = field(default=None, repr=False)
    token_expires: float = float("inf")
    fetches: Fetches = field(default_factory=Fetches, repr=False)
    clock_lead: float = 0.0
    filters_groups: bool | None = None
    filters_groups_until: float = 0.0
    log_began: float | None = None
    no_logs_until: float = 0.0


_memories: dict[str, Memory] = {}


def memory_of(deployment: Deployment) -> Memory:
    """
    Return what this process has learned about a Deployment.

    :param deployment: the target
    """
    return _memories.setdefault(deployment.fingerprint, Memory())

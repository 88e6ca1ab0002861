"""What a process has learned of each Deployment: its API version, a token, its clock."""

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
    What was learned of a Deployment; shared by all clients of it in a process.

    :ivar api_version: the version of its REST API, ``None`` until it has answered
    :ivar token: the token that was fetched last
    :ivar token_expires: when to stop using it, in seconds since the epoch
    :ivar fetches: which flow fetches a token now
    :ivar clock_lead: seconds by which the target's clock is ahead of ours, according to the Date of its last answer
    :ivar filters_groups: whether it can list the task instances of one task group only, ``None`` until it is known
    :ivar filters_groups_until: until when that is believed, in seconds since the epoch: the target may be upgraded
    :ivar log_began: since when a flow has been reading the log of a failed task, in seconds since the epoch
    :ivar no_logs_until: until when no such log is requested, in seconds since the epoch
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
    Return what this process has learned of a Deployment.

    :param deployment: the target
    """
    return _memories.setdefault(deployment.fingerprint, Memory())

"""Makes JSON Web Tokens as Airflow does."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

from tests.unit.task_runner import NOW

EXPIRING = "The token of connection 'http_conn' expires on 2026-02-04 at 12:00:00 UTC: "
"""The begin of the warning of :func:`expiring_token`."""


def jwt(payload: Any) -> str:
    """Make a token with this payload; its signature is invalid."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS512"}, payload)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"])


def expiring_token() -> str:
    """Make a token that expires three days after the time of the tests with a fake clock."""
    return jwt({"exp": (NOW + timedelta(days=3)).timestamp()})

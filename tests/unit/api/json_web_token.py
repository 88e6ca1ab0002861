"""Makes JSON Web Tokens as Airflow does."""

from __future__ import annotations

import base64
import json
from typing import Any


def jwt(payload: Any) -> str:
    """Make a token with this payload; its signature is invalid."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS512"}, payload)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"])

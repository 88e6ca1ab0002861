"""Airflow connections, made from their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astro_provider.connection import read_connection

if TYPE_CHECKING:
    from astro_provider.api.deployment import Deployment

ASTRO_URL = "https://clq52.astronomer.run/dz3uu847"


@dataclass
class Fields:
    """The fields of an Airflow connection."""

    host: str | None = ASTRO_URL
    schema: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    extra: str | None = None
    conn_id: str = "http_conn"
    conn_type: str = "astro"


def read(extra: Any = None, **fields: Any) -> Deployment:
    """Read a connection with these fields."""
    return read_connection(Fields(**fields), {} if extra is None else extra)

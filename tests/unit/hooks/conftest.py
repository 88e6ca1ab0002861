from __future__ import annotations

from tests.unit.tls import certificate, tls_server

__all__ = ["certificate", "tls_server"]

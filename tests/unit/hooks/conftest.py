from __future__ import annotations

from tests.unit.task_runner import clock, lines
from tests.unit.tls import certificate, tls_server

__all__ = ["certificate", "clock", "lines", "tls_server"]

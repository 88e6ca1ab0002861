from __future__ import annotations

from tests.unit.tasks import clock, lines

__all__ = ["clock", "lines"]

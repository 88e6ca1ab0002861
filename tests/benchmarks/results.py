"""What the measurements have found, kept as JSON, so that the report can be made of parts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Generic, TypeVar

from dev.environments import BUILD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

KEPT = BUILD / "bench"

Row = TypeVar("Row")


@dataclass(frozen=True)
class Result(Generic[Row]):
    """
    What one measurement has found.

    :param when: the day it was taken
    :param seconds: how long that took
    :param full: whether at full size
    """

    when: str
    seconds: float
    full: bool
    rows: list[Row]


def save(name: str, rows: Sequence[DataclassInstance], *, seconds: float, full: bool) -> None:
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    found = {"when": when, "seconds": seconds, "full": full, "rows": [asdict(row) for row in rows]}
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(found, indent=1))


def load(name: str, kind: type[Row]) -> Result[Row] | None:
    """What was saved last, if anything."""
    file = KEPT / f"{name}.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    return Result(found["when"], found["seconds"], found["full"], [kind(**row) for row in found["rows"]])

"""Saves the rows of each measurement as JSON, so that measurements can be repeated one by one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Generic, TypeVar

from dev.environments import BUILD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

RESULTS_FOLDER = BUILD / "bench"

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Result(Generic[RowT]):
    """
    The saved rows of a measurement.

    :param when: the date of the measurement
    :param seconds: its duration
    :param full: whether it was made with full sizes
    """

    when: str
    seconds: float
    full: bool
    rows: list[RowT]


def save(name: str, rows: Sequence[DataclassInstance], *, seconds: float, full: bool) -> None:
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    found = {"when": when, "seconds": seconds, "full": full, "rows": [asdict(row) for row in rows]}
    RESULTS_FOLDER.mkdir(parents=True, exist_ok=True)
    (RESULTS_FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1))


def load(name: str, kind: type[RowT]) -> Result[RowT] | None:
    """Return the result that was saved last; None if there is none."""
    file = RESULTS_FOLDER / f"{name}.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    return Result(found["when"], found["seconds"], found["full"], [kind(**row) for row in found["rows"]])

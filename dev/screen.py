"""Show how several things come along: a table that keeps itself up to date, or lines where there is no terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"success": "green", "healthy": "green", "failed": "red", "upstream_failed": "red"}
STILL = {*COLOURS, "not there yet", ""}

Row = tuple[str, str]  # where, what


class Screen:
    """
    A title, and rows that each are in some state; to be used in a `with` block, and updated often.

    :param title: what is going on
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._began = time.monotonic()
        self._states: dict[Row, str] = {}
        self._changed: dict[Row, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8)

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(f"{self._title} ...")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, where: str, what: str, state: str) -> None:
        """Set the state of one row; rows of the same place stand together."""
        if self._states.get((where, what)) == state:
            return
        self._states[where, what] = state
        self._changed[where, what] = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{self._elapsed(time.monotonic())}  {where:<12} {what:<22} {state}", highlight=False)

    def _elapsed(self, moment: float) -> str:
        return f"{moment - self._began:6.1f} s"

    def _table(self) -> Table:
        now = time.monotonic()
        table = Table(title=f"{self._title}  {self._elapsed(now)}", title_justify="left", min_width=78)
        for heading in ("deployment", "", "state", "since"):
            table.add_column(heading)
        places = list(dict.fromkeys(where for where, _ in self._states))
        for where, what in sorted(self._states, key=lambda row: places.index(row[0])):
            state = self._states[where, what]
            text = Text(state, style=COLOURS.get(state, ""))
            shown = text if state in STILL else Spinner("dots", text=text)
            table.add_row(where, what, shown, f"{now - self._changed[where, what]:5.1f} s")
        return table

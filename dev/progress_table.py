"""Show the states of deployments, dags and tasks: a live table in a terminal, otherwise one line per change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"success": "green", "healthy": "green", "ready": "green", "failed": "red", "upstream_failed": "red"}
STATES_WITHOUT_SPINNER = {*COLOURS, "not created yet", ""}

Row = tuple[str, str]  # deployment, and dag, task or address


class ProgressTable:
    """
    A table of rows, each with a state; it is shown for the duration of a `with` block.

    :param title: shown above the table, with the time since the table was created
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._began = time.monotonic()
        self._states: dict[Row, str] = {}
        self._changed: dict[Row, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8)

    def __enter__(self) -> ProgressTable:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(f"{self._title} ...")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, deployment: str, item: str, state: str) -> None:
        """Set the state of one row. Rows of the same deployment are grouped."""
        if self._states.get((deployment, item)) == state:
            return
        self._states[deployment, item] = state
        self._changed[deployment, item] = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(
                f"{self._elapsed(time.monotonic())}  {deployment:<12} {item:<22} {state}", highlight=False
            )

    def _elapsed(self, moment: float) -> str:
        return f"{moment - self._began:6.1f} s"

    def _table(self) -> Table:
        now = time.monotonic()
        table = Table(title=f"{self._title}  {self._elapsed(now)}", title_justify="left", min_width=78)
        for heading in ("deployment", "", "state", "since"):
            table.add_column(heading)
        deployments = list(dict.fromkeys(deployment for deployment, _ in self._states))
        for deployment, item in sorted(self._states, key=lambda row: deployments.index(row[0])):
            state = self._states[deployment, item]
            text = Text(state, style=COLOURS.get(state, ""))
            shown = text if state in STATES_WITHOUT_SPINNER else Spinner("dots", text=text)
            table.add_row(deployment, item, shown, f"{now - self._changed[deployment, item]:5.1f} s")
        return table

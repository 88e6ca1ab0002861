"""`docs/benchmarks.md`, its plots, and the table in the terminal: all of it from what was measured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.table import Table as TerminalTable

from dev.environments import ROOT
from tests.benchmarks import machine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from tests.benchmarks.figures import Figure, Plot, Table
    from tests.benchmarks.measurements import Found

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
HEADINGS = ("what", "unit", "this package", "peers", "ratio", "to reach", "")

BEGINNING = """
# Benchmarks

What waiting for and triggering dag runs in another Deployment costs: this package and its peers, in one run, on the
same work, on real Airflow deployments.

```
make bench   # measures everything and writes this file; {minutes:.0f} minutes here
.build/env/triggering/bin/python -m tests.benchmarks waits latency   # only these, the rest as it was measured last
```
"""

LEGEND = """
"ratio" is this package's figure by that of the first peer. All figures are of one machine that runs everything: client,
Airflow, PostgreSQL. They compare; they do not tell how fast it is elsewhere.
"""


def write(found: Sequence[Found]) -> None:
    """Write the document and its plots."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    minutes = sum(each.seconds for each in found) / 60
    parts = [BEGINNING.format(minutes=max(minutes, 1))]
    if not all(each.full for each in found):
        parts.append("**Of small sizes (`--quick`): these figures only show that everything works.**")
    parts.append(_markdown(("", ""), list(machine.described().items())))
    parts.append("## The figures")
    parts.append(_markdown(HEADINGS, [_line(figure) for each in found for figure in each.figures]))
    parts.append(LEGEND)
    parts += [_section(each) for each in found]
    DOCUMENT.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def show(found: Sequence[Found], console: Console) -> None:
    """Print the table."""
    table = TerminalTable(title="Benchmarks", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for each in found:
        for figure in each.figures:
            table.add_row(*_line(figure), style={"missed": "red", "reached": "green"}.get(figure.verdict))
        table.add_section()
    console.print(table)


def _line(figure: Figure) -> list[str]:
    number = f"{{:,.{figure.digits}f}}".format
    peers = ", ".join(f"{peer} {number(value)}" for peer, value in figure.peers.items())
    goal = str(figure.goal or "")
    return [figure.what, figure.unit, number(figure.ours), peers, figure.ratio, goal, figure.verdict]


def _section(found: Found) -> str:
    parts = [f"## {found.title}", f"Measured {found.when}, in {found.seconds:.0f} s.", found.how.strip()]
    parts += [f"![{plot.title}]({_draw(plot).relative_to(DOCUMENT.parent)})" for plot in found.plots]
    if found.table:
        parts.append(_of_table(found.table))
    parts.append(f"What this does not show: {found.not_shown.strip()}")
    return "\n\n".join(parts)


def _draw(plot: Plot) -> Path:
    file = PLOTS / f"{plot.name}.svg"
    drawing = plot.chart.render()
    # Its comments hold the day and addresses, which would differ or lead elsewhere.
    file.write_text(re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL))
    return file


def _of_table(table: Table) -> str:
    return _markdown(table.headings, table.lines)


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

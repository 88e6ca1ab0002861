"""Writes `docs/benchmarks.md` and its plots, and prints the table of figures, from the saved measurements."""

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
    from tests.benchmarks.measurements import Section

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
HEADINGS = ("figure", "unit", "this package", "peers", "ratio", "goal", "")

INTRODUCTION = """
# Benchmarks

The cost of waiting for and triggering dag runs in another Deployment. This package and its peers do the same work in
one run, on real Airflow deployments.

```
make bench   # measures everything and writes this file; takes {minutes:.0f} minutes here
.build/env/triggering/bin/python -m tests.benchmarks waits latency   # measures these two, and keeps the other results
```
"""

LEGEND = """
"ratio" is the figure of this package divided by that of the first peer. One machine ran client, Airflow and PostgreSQL,
so the figures are good for comparisons, but do not predict those of another machine.
"""


def write(found: Sequence[Section]) -> None:
    """Write the document and its plots."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    minutes = sum(each.seconds for each in found) / 60
    parts = [INTRODUCTION.format(minutes=max(minutes, 1))]
    if not all(each.full for each in found):
        parts.append("**Measured with small sizes (`--quick`): these figures only show that everything works.**")
    parts.append(_markdown(("", ""), list(machine.describe().items())))
    parts.append("## The figures")
    parts.append(_markdown(HEADINGS, [_line(figure) for each in found for figure in each.figures]))
    parts.append(LEGEND)
    parts += [_section(each) for each in found]
    DOCUMENT.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def show(found: Sequence[Section], console: Console) -> None:
    """Print the table of figures."""
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


def _section(found: Section) -> str:
    parts = [f"## {found.title}", f"Measured {found.when}, in {found.seconds:.0f} s.", found.method.strip()]
    parts += [f"![{plot.title}]({_draw(plot).relative_to(DOCUMENT.parent)})" for plot in found.plots]
    if found.table:
        parts.append(_table(found.table))
    parts.append(f"What this does not show: {found.limitations.strip()}")
    return "\n\n".join(parts)


def _draw(plot: Plot) -> Path:
    file = PLOTS / f"{plot.name}.svg"
    drawing = plot.chart.render()
    # The comments contain the date, which changes in each run, and addresses of other hosts.
    file.write_text(re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL))
    return file


def _table(table: Table) -> str:
    return _markdown(table.headings, table.lines)


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

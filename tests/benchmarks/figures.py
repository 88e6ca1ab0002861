"""The parts of the report: figures with those of peers and a goal, tables, and plots."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pygal  # type: ignore[import-untyped]  # it has no types
from pygal.style import CleanStyle  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Goal:
    """
    The goal of a figure.

    :param at_most: the limit
    :param share_of: a peer; the limit is then `at_most` times the figure of this peer
    :param below: whether the figure must be below the limit. Otherwise it can be equal
    :param at_least: whether more is better: the figure must then be at least as large as the limit
    """

    at_most: float
    share_of: str = ""
    below: bool = False
    at_least: bool = False

    def __str__(self) -> str:
        how = "below" if self.below else "at least" if self.at_least else "at most"
        if not self.share_of:
            return f"{how} {self.at_most:g}"
        share = f"1/{1 / self.at_most:.0f} of" if self.at_most < 1 else f"{self.at_most:g} times"
        return f"{how} {share} {self.share_of}"

    def is_reached(self, figure: Figure) -> bool:
        limit = self.at_most * figure.peers[self.share_of] if self.share_of else self.at_most
        if self.at_least:
            return figure.ours >= limit
        return figure.ours < limit if self.below else figure.ours <= limit


@dataclass(frozen=True)
class Figure:
    """One row of the table of figures."""

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    goal: Goal | None = None
    digits: int = 2

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "reached" if self.goal.is_reached(self) else "missed"

    @property
    def ratio(self) -> str:
        """The figure of this package divided by that of the first peer."""
        peer = next(iter(self.peers.values()), 0.0)
        if peer <= 0 or self.ours <= 0:
            return ""
        share = self.ours / peer
        return f"1/{1 / share:.0f}" if share < 0.1 else f"{share:.2f}"


@dataclass(frozen=True)
class Table:
    """The raw figures of a measurement."""

    headings: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    """A chart, and the name of its file without suffix."""

    name: str
    title: str
    chart: pygal.graph.graph.Graph


def bars(name: str, title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], *, log: bool) -> Plot:
    """Return a bar chart with a group for each label and a colour for each series."""
    chart = pygal.Bar(**_options(title), x_labels=labels, print_values=True, print_values_position="top")
    if log:
        chart.config(logarithmic=True, **_decades([value for values in series.values() for value in values]))
    for each, values in series.items():
        chart.add(each, [float(f"{value:.3g}") if value > 0 or not log else None for value in values])
    return _with_id(name, title, chart)


def curves(name: str, title: str, x_title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Plot:
    """Return a chart with a line through the points of each series."""
    farthest = max(x for points in series.values() for x, _ in points)
    chart = pygal.XY(**_options(title), x_title=x_title, show_dots=False, xrange=(0, farthest), range=(0, 100))
    for each, points in series.items():
        chart.add(each, points)
    return _with_id(name, title, chart)


def cumulative(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a line that shows how many percent of the values are at most x."""
    in_order = sorted(values)
    return [(in_order[0], 0), *((each, 100 * number / len(in_order)) for number, each in enumerate(in_order, start=1))]


def percentile_99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _decades(values: Sequence[float]) -> dict[str, object]:
    """Return an axis of powers of ten. Without it, the smallest bar has no height and the axis has too many lines."""
    shown = [value for value in values if value > 0]
    first, last = math.floor(math.log10(min(shown) / 2)), math.ceil(math.log10(max(shown)))
    # By default, pygal starts the axis at the smallest value, so that its bar has no height.
    return {
        "zero": 10.0**first,
        "range": (10.0**first, 10.0**last),
        "y_labels": [10.0**power for power in range(first, last + 1)],
    }


def _options(title: str) -> dict[str, object]:
    # No JavaScript, because pygal loads it from another host.
    return {
        "title": title,
        "js": [],
        "style": CleanStyle(value_font_size=11, value_colors=()),
        "width": 800,
        "height": 400,
        "legend_at_bottom": True,
        "disable_xml_declaration": True,
    }


def _with_id(name: str, title: str, chart: pygal.graph.graph.Graph) -> Plot:
    chart.uuid = name  # pygal's random id would change every line of the file in each run
    return Plot(name, title, chart)

"""What a measurement tells the report: figures, each beside those of its peers and the one to reach, and plots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pygal  # type: ignore[import-untyped]  # it has no types
from pygal.style import CleanStyle  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Goal:
    """
    The figure to reach.

    :param at_most: the greatest that is good
    :param share_of: the peer of whose figure `at_most` is a share
    :param below: whether `at_most` itself is too much
    """

    at_most: float
    share_of: str = ""
    below: bool = False

    def __str__(self) -> str:
        how = "below" if self.below else "at most"
        return f"{how} 1/{1 / self.at_most:.0f} of {self.share_of}" if self.share_of else f"{how} {self.at_most:g}"

    def is_reached(self, figure: Figure) -> bool:
        limit = self.at_most * figure.peers[self.share_of] if self.share_of else self.at_most
        return figure.ours < limit if self.below else figure.ours <= limit


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

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
        """This package's figure by that of the first peer."""
        peer = next(iter(self.peers.values()), 0.0)
        if peer <= 0 or self.ours <= 0:
            return ""
        share = self.ours / peer
        return f"1/{1 / share:.0f}" if share < 0.1 else f"{share:.2f}"


@dataclass(frozen=True)
class Table:
    """Further figures of a measurement, raw."""

    headings: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    """A drawing, and the name of its file without ending."""

    name: str
    title: str
    chart: pygal.graph.graph.Graph


def bars(name: str, title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], *, log: bool) -> Plot:
    """Draw bars: a group for each label, a colour for each of the series."""
    chart = pygal.Bar(**_options(title), x_labels=labels, print_values=True, print_values_position="top")
    if log:
        chart.config(logarithmic=True, **_decades([value for values in series.values() for value in values]))
    for each, values in series.items():
        chart.add(each, [float(f"{value:.3g}") if value > 0 or not log else None for value in values])
    return _with_id(name, title, chart)


def curves(name: str, title: str, x_title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Plot:
    """Draw a line through the points of each of the series."""
    farthest = max(x for points in series.values() for x, _ in points)
    chart = pygal.XY(**_options(title), x_title=x_title, show_dots=False, xrange=(0, farthest), range=(0, 100))
    for each, points in series.items():
        chart.add(each, points)
    return _with_id(name, title, chart)


def _decades(values: Sequence[float]) -> dict[str, object]:
    """Powers of ten around what is shown: else the least bar has no height, and each step between has a line."""
    shown = [value for value in values if value > 0]
    first, last = math.floor(math.log10(min(shown) / 2)), math.ceil(math.log10(max(shown)))
    # The bars stand on the lowest of them; pygal's own choice is the least value, which has no bar then.
    return {
        "zero": 10.0**first,
        "range": (10.0**first, 10.0**last),
        "y_labels": [10.0**power for power in range(first, last + 1)],
    }


def _options(title: str) -> dict[str, object]:
    # No JavaScript: it would be fetched from a foreign host.
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
    chart.uuid = name  # else a new one in each run, and a difference in each line
    return Plot(name, title, chart)

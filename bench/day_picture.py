"""The picture of a day: drawn as SVG here, made a PNG by the browser that the tests use."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS

_WIDTH: Final = 1120
_HEIGHT: Final = 420
_LEFT: Final = 70
_PLOT_WIDTH: Final = 440
_TOP: Final = 50
_PLOT_HEIGHT: Final = 310
_GAP: Final = 110
_STYLE: Final = (
    "svg{background:#fff}text{font:13px sans-serif;fill:#333}.title{font-size:15px;fill:#111}"
    "path{fill:none;stroke-width:2}.axis{stroke:#999;stroke-width:1}"
    ".grid{stroke:#e5e5e5;stroke-width:1}"
)
_BLUE, _ORANGE, _GREEN = "#2563eb", "#ea580c", "#16a34a"
_DOTS_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a room stood at in some second."""

    at_s: int
    waiting: int
    inside: int
    admitted: int


class _Plot:
    """Axes at one place of the picture."""

    def __init__(self, index: int, title: str, x_max: float, y_max: float) -> None:
        self._x: Final = _LEFT + index * (_PLOT_WIDTH + _GAP)
        self._x_max: Final = x_max
        self._y_max: Final = y_max
        self.parts: Final[list[str]] = [f'<text class="title" x="{self._x}" y="28">{title}</text>']
        for step in range(5):
            self._label(step / 4)

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Join points."""
        text = "L".join(f"{self._across(x):.1f},{self._up(y):.1f}" for x, y in points)
        self.parts.append(f'<path d="M{text}" stroke="{colour}"/>')

    def dots(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        """Put a dot at each point, of so many that they can be told apart."""
        for x, y in points[:: max(len(points) // _DOTS_MAX, 1)]:
            if y <= self._y_max:
                at = f'cx="{self._across(x):.1f}" cy="{self._up(y):.1f}"'
                self.parts.append(f'<circle {at} r="1.5" fill="{colour}" fill-opacity="0.35"/>')

    def name(self, row: int, text: str, colour: str) -> None:
        """Say what a colour is, in a corner."""
        x, y = self._x + 14, _TOP + 14 + row * 18
        self.parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        self.parts.append(f'<text x="{x + 16}" y="{y}">{text}</text>')

    def axis(self, across: str) -> None:
        """Say what lies across."""
        x, y = self._x + _PLOT_WIDTH / 2, _TOP + _PLOT_HEIGHT + 42
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="middle">{across}</text>')

    def _label(self, share: float) -> None:
        x, y = self._across(share * self._x_max), self._up(share * self._y_max)
        bottom, end = _TOP + _PLOT_HEIGHT, self._x + _PLOT_WIDTH
        beside, below = f"{share * self._y_max:,.0f}", f"{share * self._x_max:,.0f}"
        self.parts += [
            f'<path class="grid" d="M{self._x},{y}L{end},{y}"/>',
            f'<text x="{self._x - 8}" y="{y + 4}" text-anchor="end">{beside}</text>',
            f'<path class="axis" d="M{x},{bottom}L{x},{bottom + 5}"/>',
            f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{below}</text>',
        ]

    def _across(self, x: float) -> float:
        return self._x + x / self._x_max * _PLOT_WIDTH

    def _up(self, y: float) -> float:
        return _TOP + _PLOT_HEIGHT - y / self._y_max * _PLOT_HEIGHT


def draw_day(
    readings: Sequence[Reading], waits: Sequence[tuple[float, float, float]], path: Path
) -> None:
    """Draw the line and who came in; and `waits`, in minutes: waited, told, by rate."""
    picture = _svg([_draw_line(readings), _draw_waits(waits)])
    program = next(each for each in CHROMIUM if shutil.which(each))
    path.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.set_content(f"<style>*{{margin:0}}{_STYLE}</style>{picture}")
        page.locator("svg").screenshot(path=path)
        browser.close()


def _draw_line(readings: Sequence[Reading]) -> _Plot:
    hours = max(each.at_s for each in readings) / 60
    top = _round_up(max(*(each.waiting for each in readings), readings[-1].admitted))
    plot = _Plot(0, "The line, and who was let in", hours, top)
    plot.line([(each.at_s / 60, each.waiting) for each in readings], _BLUE)
    plot.line([(each.at_s / 60, each.admitted) for each in readings], _GREEN)
    plot.line([(each.at_s / 60, each.inside) for each in readings], _ORANGE)
    for row, (text, colour) in enumerate(
        [("waiting", _BLUE), ("let in so far", _GREEN), ("inside", _ORANGE)]
    ):
        plot.name(row, text, colour)
    plot.axis("minutes since the sale began")
    return plot


def _draw_waits(waits: Sequence[tuple[float, float, float]]) -> _Plot:
    longest = _round_up(max(waited for waited, _, _ in waits))
    plot = _Plot(1, "What visitors were told, against what came", longest, 2 * longest)
    plot.dots([(waited, by_rate) for waited, _, by_rate in waits], _ORANGE)
    plot.dots([(waited, told) for waited, told, _ in waits], _BLUE)
    plot.line([(0, 0), (longest, longest)], "#111")
    for row, (text, colour) in enumerate(
        [("told", _BLUE), ("position / rate", _ORANGE), ("the truth", "#111")]
    ):
        plot.name(row, text, colour)
    plot.axis("minutes that it still took")
    return plot


def _svg(plots: Sequence[_Plot]) -> str:
    parts = "".join(part for plot in plots for part in plot.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">{parts}</svg>'
    )


def _round_up(value: float) -> float:
    digit = 10 ** (len(str(int(value))) - 1)
    return (int(value / digit) + 1) * digit

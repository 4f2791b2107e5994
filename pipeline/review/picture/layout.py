"""Where things stand in the picture: panels below each other, and labels above them that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER = 0.0092
"""The width of a label's character, as a share of a panel's width."""

_TITLE, _ROW, _PANEL, _GAP, _FOOT = 0.62, 0.2, 1.5, 0.38, 0.5
"""Inches from the top down: the title, a row of labels, a panel, what is between two, and what is below the last."""

_LEFT, _RIGHT = 0.8, 0.15
"""Inches beside the panels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The picture's measures, in inches; the places of its parts are shares of it, from the left and from below."""

    panels: int
    levels: int
    width: float = 9.6

    @property
    def height(self) -> float:
        return _TITLE + self.levels * _ROW + self.panels * (_PANEL + _GAP) + _FOOT

    @property
    def title(self) -> tuple[float, float, float, float]:
        return self._place(0, _TITLE - 0.1)

    @property
    def labels(self) -> tuple[float, float, float, float]:
        return self._place(_TITLE, self.levels * _ROW)

    @property
    def gap_rows(self) -> float:
        """From the lowest label down to the first panel, in rows of labels."""
        return _GAP / _ROW

    def panel(self, place: int) -> tuple[float, float, float, float]:
        return self._place(_TITLE + self.levels * _ROW + _GAP + place * (_PANEL + _GAP), _PANEL)

    def _place(self, top: float, height: float) -> tuple[float, float, float, float]:
        across = (self.width - _LEFT - _RIGHT) / self.width
        return _LEFT / self.width, 1 - (top + height) / self.height, across, height / self.height


def levels(labels: Sequence[tuple[float, str]]) -> list[int]:
    """The row of each label, 0 the lowest, so that none lies on another or on the line of another.

    Parameters
    ----------
    labels
        Where each begins, 0 to 1 across a panel, and its text; in order of place.

    >>> levels([(0.1, "prompt v41 -> v42"), (0.11, "began"), (0.9, "resolved")])
    [1, 0, 0]
    """
    rows: list[int] = [0] * len(labels)
    # From the right: a label stands above all that begin within it, so their lines end below it.
    for place in range(len(labels) - 1, -1, -1):
        begins, text = labels[place]
        ends = begins + (len(text) + 1) * CHARACTER
        within = [rows[other] for other in range(place + 1, len(labels)) if labels[other][0] < ends]
        rows[place] = 1 + max(within, default=-1)
    return rows

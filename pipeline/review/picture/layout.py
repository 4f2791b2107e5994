"""The layout of the chart: panels one below another, and labels above them that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER_WIDTH = 0.0092
"""Width of a label character, as a share of the panel width."""

_TITLE, _ROW, _PANEL, _GAP, _FOOT = 0.62, 0.2, 1.5, 0.38, 0.5
"""Heights in inches: the title, a row of labels, a panel, the gap above a panel, the margin at the bottom."""

_LEFT, _RIGHT = 0.8, 0.15
"""Margins beside the panels, in inches."""

Box = tuple[float, float, float, float]
"""Left, bottom, width and height, as shares of the chart."""


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """Sizes in inches, and the boxes of the title, the labels and the panels."""

    panels: int
    label_rows: int
    width: float = 9.6

    @property
    def height(self) -> float:
        return _TITLE + self.label_rows * _ROW + self.panels * (_PANEL + _GAP) + _FOOT

    @property
    def title(self) -> Box:
        return self._box(0, _TITLE - 0.1)

    @property
    def labels(self) -> Box:
        return self._box(_TITLE, self.label_rows * _ROW)

    @property
    def gap_rows(self) -> float:
        """Distance from the lowest label to the first panel, in rows of labels."""
        return _GAP / _ROW

    def panel(self, index: int) -> Box:
        """Return the box of a panel. Panel 0 is at the top."""
        return self._box(_TITLE + self.label_rows * _ROW + _GAP + index * (_PANEL + _GAP), _PANEL)

    def _box(self, top: float, height: float) -> Box:
        width = (self.width - _LEFT - _RIGHT) / self.width
        return _LEFT / self.width, 1 - (top + height) / self.height, width, height / self.height


def assign_rows(labels: Sequence[tuple[float, str]]) -> list[int]:
    """Return the row of each label. Row 0 is at the bottom. No label covers another label or its line.

    Parameters
    ----------
    labels
        Left end (0 to 1 across a panel) and text of each label, from left to right.

    >>> assign_rows([(0.1, "prompt v41 -> v42"), (0.11, "started"), (0.9, "resolved")])
    [1, 0, 0]
    """
    rows: list[int] = [0] * len(labels)
    # Work from right to left: a label is placed above all labels that begin within it, so their lines end below it.
    for index in range(len(labels) - 1, -1, -1):
        left, text = labels[index]
        right = left + (len(text) + 1) * CHARACTER_WIDTH
        within = [rows[other] for other in range(index + 1, len(labels)) if labels[other][0] < right]
        rows[index] = 1 + max(within, default=-1)
    return rows

"""Series of the Numenta Anomaly Benchmark with their labelled windows, read from the shared data."""

import csv
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from load.score.nab.sigmoid_score import LabelledWindow

WINDOWS_FILE = "windows.json"


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series.

    Attributes
    ----------
    name
        Folder and file, such as ``realAWSCloudwatch/grok_asg_anomaly.csv``.
    times_ms
        Time of each row, Unix ms. Rows are in order of their times.
    values
        Value of each row, shape ``(N,)``.
    windows
        Labelled windows as rows, in order.
    """

    name: str
    times_ms: list[int]
    values: NDArray[np.float64]
    windows: tuple[LabelledWindow, ...]

    def find_row(self, time_ms: int) -> int:
        """Return the row of a time in Unix ms: the first one that is not earlier."""
        return bisect_left(self.times_ms, time_ms)

    def record_lines(self) -> Iterator[bytes]:
        """Yield a record per row, whose only signal is ``custom.value``: neither direction of it is known to be good."""
        subject = Path(self.name).stem
        for time_ms, value in zip(self.times_ms, self.values.tolist(), strict=True):
            yield orjson.dumps({"subject": subject, "timestamp": time_ms, "custom": {"value": value}})


def list_series(folder: Path) -> list[str]:
    """Return the names of all series of a folder that has labels. Empty if the folder does not exist."""
    path = folder / WINDOWS_FILE
    return sorted(json.loads(path.read_text())) if path.exists() else []


def read_series(folder: Path, name: str) -> LabelledSeries:
    """Read a series and its windows."""
    with (folder / name).open() as file:
        rows = [(_parse_time(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    times_ms = [time_ms for time_ms, _ in rows]
    labels = json.loads((folder / WINDOWS_FILE).read_text())[name]
    windows = tuple(
        LabelledWindow(bisect_left(times_ms, _parse_time(start)), bisect_right(times_ms, _parse_time(end)) - 1)
        for start, end in labels
    )
    return LabelledSeries(name, times_ms, np.array([value for _, value in rows]), windows)


def _parse_time(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

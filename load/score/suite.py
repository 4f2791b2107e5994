"""Classes that all suites share: the plan, the tasks, their results, and the report of a suite."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.console import Console

from load.score.simulation import BaselineSource
from pipeline.detect.settings import DetectSettings

SuiteName = Literal["null", "failures", "harmless", "real", "severity", "causes", "field", "nab", "renewal"]

TaskKey = tuple[str, str, int]
"""Kind, name and seed of a task."""

NO_VALUE = "-"
"""Content of a table cell that has no value."""


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Suites to run.

    Attributes
    ----------
    suites
        Names of the suites.
    seed
        First seed.
    data
        Folder of the recorded streams.
    settings
        Settings of detect.
    size
        Share of the seeds and records that are played. 1 is the full score; tests use less.
    """

    suites: tuple[SuiteName, ...]
    seed: int
    data: Path
    settings: DetectSettings
    size: float = 1.0

    def seeds(self, count: int) -> range:
        """Return the seeds of a scenario for the size of the plan: ``count`` seeds at size 1."""
        return range(self.seed, self.seed + max(1, round(count * self.size)))


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Task of a suite. Tasks of the same ``group`` share a baseline and run in one process."""

    key: TaskKey
    group: BaselineSource | str
    run: Callable[[], Any]


@dataclass(slots=True)
class ScoreResults:
    """Results of all tasks of a plan in order, processor time by kind, and wall-clock time, in seconds."""

    plan: ScorePlan
    by_key: dict[TaskKey, Any]
    processor_s: dict[str, float]
    wall_s: float

    def select(self, kind: str, name: str | None = None) -> list[Any]:
        """Return the results of all tasks of ``kind``. If ``name`` is not None, also filter by name."""
        return [result for key, result in self.by_key.items() if key[0] == kind and name in (None, key[1])]


@dataclass(slots=True)
class SuiteReport:
    """Report of a suite: figures, problems, and a row per scenario."""

    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


class Suite(Protocol):
    """Protocol that the module of each suite implements."""

    def tasks(self, plan: ScorePlan, /) -> Iterator[ScoreTask]:
        """Yield the tasks of the suite."""
        ...

    def report(self, results: ScoreResults, /) -> SuiteReport:
        """Build the report of the suite from its results."""
        ...

    def show(self, report: dict[str, Any], console: Console, /) -> None:
        """Print the suite's part of the full report."""
        ...


def mean_share(flags: list[bool]) -> float:
    """Return the share of flags that are true, or 0 if there are no flags."""
    return sum(flags) / max(1, len(flags))


def format_number(value: float | None, decimals: int = 0) -> str:
    """Format a number for a table."""
    return NO_VALUE if value is None else f"{value:,.{decimals}f}"

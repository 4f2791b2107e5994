"""The result of a backtest: incidents, subjects with their signals, and the data that could not be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.backtest.incident_history import BacktestIncident
from pipeline.backtest.learning_period import LearningPeriod
from pipeline.backtest.signal_result import SignalResult
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.incident import Severity


@dataclass(frozen=True, slots=True)
class UnusableCount:
    """Number of messages or values that could not be used, with the reason and the detail of the first."""

    what: str
    reason: str
    count: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """One subject.

    Attributes
    ----------
    first_ms, last_ms
        Times of its first and last record, in Unix ms.
    learned_records
        Number of its records that were used while the baseline was learned.
    baseline
        The baseline that its records were compared with at the end, or None.
    problem
        Why none of its signals were judged. Empty if something was judged.
    """

    subject: str
    first_ms: int
    last_ms: int
    records: int
    learned_records: int
    duplicates: int
    late: int
    baseline: Baseline | None
    signals: list[SignalResult]
    bad_fields: list[UnusableCount]
    converted_fields: dict[str, int]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What driftwire would have done with the records.

    Attributes
    ----------
    learning
        The period from which baselines were learned.
    first_ms, last_ms
        Times of the first and last used record, in Unix ms.
    now_from_ms
        Start of the part that counts as now, in Unix ms.
    judged_share
        Share of all finite signal values after the learning period that were compared with a baseline.
    records_used, records_unusable
        Number of records. Duplicates are in neither number.
    deployments
        All deployments, in order of time.
    unusable, dropped_values
        Counts of records by reason, and of values that the mapping of a file could not use.
    dropped_incidents, dropped_drifts
        Number of incidents and drift messages beyond the limits.
    """

    learning: LearningPeriod
    first_ms: int
    last_ms: int
    now_from_ms: int
    judged_share: float
    records_used: int
    records_unusable: int
    duplicates: int
    incidents: list[BacktestIncident]
    subjects: list[SubjectResult]
    deployments: list[Deployment] = field(default_factory=list)
    unusable: list[UnusableCount] = field(default_factory=list)
    dropped_values: list[UnusableCount] = field(default_factory=list)
    dropped_incidents: int = 0
    dropped_drifts: int = 0

    @property
    def pages(self) -> list[BacktestIncident]:
        """The incidents that would have paged somebody."""
        return [incident for incident in self.incidents if incident.is_page]

    @property
    def tickets(self) -> list[BacktestIncident]:
        """The incidents that would have become tickets."""
        return [incident for incident in self.incidents if not incident.is_page]

    @property
    def is_judged(self) -> bool:
        """Whether anything was compared with a baseline."""
        return self.judged_share > 0

    def add_unusable_rows(self, rows: Mapping[str, int], values: Mapping[tuple[str, str], int]) -> "BacktestResult":
        """Return the result with rows of files that gave no record, by problem, and values that were dropped."""
        counted = [UnusableCount("rows", problem, count) for problem, count in rows.items()]
        dropped = [UnusableCount(name, reason, count) for (name, reason), count in values.items()]
        return replace(
            self,
            unusable=sorted([*self.unusable, *counted], key=lambda one: -one.count),
            dropped_values=dropped,
            records_unusable=self.records_unusable + sum(rows.values()),
        )

    def at_least(self, severity: Severity) -> list[BacktestIncident]:
        """Return the incidents with a severity or a worse one."""
        return [incident for incident in self.incidents if incident.severity <= severity]

"""Backtest: past records, run through the real steps without Kafka, and what would have been paged and ticketed.

This package may import the steps and the review. No step imports it.
"""

from pipeline.backtest.incident_history import BacktestIncident
from pipeline.backtest.learning_period import LearningPeriod, RecordTimes
from pipeline.backtest.playback import BacktestSettings, Playback
from pipeline.backtest.result import BacktestResult, SubjectResult
from pipeline.backtest.signal_result import SignalResult

__all__ = [
    "BacktestIncident",
    "BacktestResult",
    "BacktestSettings",
    "LearningPeriod",
    "Playback",
    "RecordTimes",
    "SignalResult",
    "SubjectResult",
]

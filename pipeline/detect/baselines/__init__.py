"""What is normal for a subject: learning, slices, quantiles, hours of the day, and the store of published baselines.

Knows no detector and no finding. May import signals.
"""

from pipeline.detect.baselines.baseline import baseline_version
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.profile import hour_of_day, hourly_factors, remove_profile, restore_hour
from pipeline.detect.baselines.rank import RankTable
from pipeline.detect.baselines.rank_tables import RankTables
from pipeline.detect.baselines.stationarity import NONSTATIONARY, nonstationary_signals
from pipeline.detect.baselines.store import BaselineStore, PublishedBaseline

__all__ = [
    "NONSTATIONARY",
    "BaselineStore",
    "Learner",
    "PublishedBaseline",
    "RankTable",
    "RankTables",
    "baseline_version",
    "hour_of_day",
    "hourly_factors",
    "nonstationary_signals",
    "remove_profile",
    "restore_hour",
]

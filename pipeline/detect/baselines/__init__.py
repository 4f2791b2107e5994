"""What is normal for a subject: learning, slices, quantiles, hours of the day, and the store of published baselines.

Knows no detector and no finding. May import signals.
"""

from pipeline.detect.baselines.baseline import baseline_version
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.profile import restore_hour, remove_profile, hour_of_day, hourly_factors
from pipeline.detect.baselines.rank import RankTable
from pipeline.detect.baselines.rank_tables import RankTables
from pipeline.detect.baselines.stationarity import NONSTATIONARY, nonstationary_signals
from pipeline.detect.baselines.store import PublishedBaseline, BaselineStore

__all__ = [
    "NONSTATIONARY",
    "PublishedBaseline",
    "BaselineStore",
    "Learner",
    "RankTable",
    "RankTables",
    "restore_hour",
    "remove_profile",
    "hour_of_day",
    "nonstationary_signals",
    "hourly_factors",
    "baseline_version",
]

"""Learn and store the baselines of subjects, with ranks and hourly profiles.

This package does not depend on detectors or findings. It may import signals.
"""

from pipeline.detect.baselines import hourly_profile
from pipeline.detect.baselines.baseline import baseline_version
from pipeline.detect.baselines.hourly_history import HourlyHistory
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.packed_baseline import PackedBaseline
from pipeline.detect.baselines.ranks import RankTables
from pipeline.detect.baselines.stationarity import nonstationary_signals
from pipeline.detect.baselines.store import BaselineStore

__all__ = [
    "BaselineStore",
    "HourlyHistory",
    "Learner",
    "PackedBaseline",
    "RankTables",
    "baseline_version",
    "hourly_profile",
    "nonstationary_signals",
]

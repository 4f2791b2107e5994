"""What is normal for a subject: learning, slices, quantiles, hours of the day, and the store of published baselines.

Knows no detector and no finding. May import signals.
"""

from pipeline.detect.baselines.baseline import version_of
from pipeline.detect.baselines.learner import Learner
from pipeline.detect.baselines.profile import at_hour, freed_of, hours_of, steps
from pipeline.detect.baselines.rank import RankTable
from pipeline.detect.baselines.rank_tables import RankTables
from pipeline.detect.baselines.stationarity import STILL_MOVING, moving_signals
from pipeline.detect.baselines.store import Kept, KeptBaselines

__all__ = [
    "STILL_MOVING",
    "Kept",
    "KeptBaselines",
    "Learner",
    "RankTable",
    "RankTables",
    "at_hour",
    "freed_of",
    "hours_of",
    "moving_signals",
    "steps",
    "version_of",
]

"""The suites of the score.

May import simulation and world.
"""

from load.score.suites import causes, failures, harmless, severity
from load.score.suites.false_alarms import SIGNAL_RECORDS, Silence, listen, null_report, quiet_services
from load.score.suites.recorded import ROWS, run_real

__all__ = [
    "ROWS",
    "SIGNAL_RECORDS",
    "Silence",
    "causes",
    "failures",
    "harmless",
    "listen",
    "null_report",
    "quiet_services",
    "run_real",
    "severity",
]

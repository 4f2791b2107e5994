"""Why an incident happened: suspects, version split, workload shifts, diagnosis.

Reads incidents and changes none. May import deployments, incidents and playbook.
"""

from pipeline.correlate.causes.canary import Split
from pipeline.correlate.causes.diagnosis import Diagnosis, Known, diagnose
from pipeline.correlate.causes.suspects import NOT_OURS, clear_suspect
from pipeline.correlate.causes.version_split import MINUTES_MIN, together
from pipeline.correlate.causes.workload_shifts import Shifts, explains

__all__ = [
    "MINUTES_MIN",
    "NOT_OURS",
    "Diagnosis",
    "Known",
    "Shifts",
    "Split",
    "clear_suspect",
    "diagnose",
    "explains",
    "together",
]

"""Why an incident happened: suspects, version split, workload shifts, diagnosis.

Reads incidents and changes none. May import deployments, incidents and playbook.
"""

from pipeline.correlate.causes.canary import TrafficSplit
from pipeline.correlate.causes.diagnosis import Diagnosis, DiagnosisContext, diagnose
from pipeline.correlate.causes.suspects import EXTERNAL_KINDS, clear_suspect
from pipeline.correlate.causes.version_split import MINUTES_MIN, shared_minutes
from pipeline.correlate.causes.workload_shifts import WorkloadShifts, can_explain

__all__ = [
    "MINUTES_MIN",
    "EXTERNAL_KINDS",
    "Diagnosis",
    "DiagnosisContext",
    "WorkloadShifts",
    "TrafficSplit",
    "clear_suspect",
    "diagnose",
    "can_explain",
    "shared_minutes",
]

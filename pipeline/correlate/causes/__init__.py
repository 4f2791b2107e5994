"""Why an incident happened: suspects, version split, workload shifts, diagnosis.

Reads incidents and changes none. May import deployments, incidents and playbook.
"""

from pipeline.correlate.causes.canary import TrafficSplit
from pipeline.correlate.causes.diagnosis import Diagnosis, DiagnosisContext, diagnose
from pipeline.correlate.causes.suspects import EXTERNAL_KINDS, clear_suspect
from pipeline.correlate.causes.version_split import MINUTES_MIN, shared_minutes
from pipeline.correlate.causes.workload_shifts import WorkloadShifts, can_explain

__all__ = [
    "EXTERNAL_KINDS",
    "MINUTES_MIN",
    "Diagnosis",
    "DiagnosisContext",
    "TrafficSplit",
    "WorkloadShifts",
    "can_explain",
    "clear_suspect",
    "diagnose",
    "shared_minutes",
]

"""Causes of an incident: suspects, version split, workload shifts, diagnosis.

This package reads incidents but does not change them. It may import deployments, incidents and playbook.
"""

from pipeline.correlate.causes.canary import TrafficSplit
from pipeline.correlate.causes.diagnosis import Diagnosis, DiagnosisContext, diagnose
from pipeline.correlate.causes.suspects import EXTERNAL_KINDS, clear_suspect
from pipeline.correlate.causes.version_split import serve_together
from pipeline.correlate.causes.workload_shifts import WorkloadShifts

__all__ = [
    "EXTERNAL_KINDS",
    "Diagnosis",
    "DiagnosisContext",
    "TrafficSplit",
    "WorkloadShifts",
    "clear_suspect",
    "diagnose",
    "serve_together",
]

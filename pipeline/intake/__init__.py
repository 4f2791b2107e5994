"""Intake: the step that maps messages of other topics to records, and the mapping that files of records share.

This package imports no other step.
"""

from pipeline.intake.mapping import FieldMapping, MappedRecord
from pipeline.intake.preview import Preview, preview_messages
from pipeline.intake.settings import IntakeSettings, MappingSettings, TopicSettings
from pipeline.intake.step import IntakeStep
from pipeline.intake.telemetry import TelemetryMapping, TelemetryRecord

__all__ = [
    "FieldMapping",
    "IntakeSettings",
    "IntakeStep",
    "MappedRecord",
    "MappingSettings",
    "Preview",
    "TelemetryMapping",
    "TelemetryRecord",
    "TopicSettings",
    "preview_messages",
]

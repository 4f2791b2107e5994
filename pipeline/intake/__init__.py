"""Intake: the step that maps messages of other topics to records, and the mapping that files of records share.

This package may import nothing of the other steps.
"""

from pipeline.intake.mapping import DroppedValue, FieldMapping, MappedRecord
from pipeline.intake.settings import IntakeSettings, MappingSettings, TopicSettings
from pipeline.intake.step import IntakeStep, TopicMapping

__all__ = [
    "DroppedValue",
    "FieldMapping",
    "IntakeSettings",
    "IntakeStep",
    "MappedRecord",
    "MappingSettings",
    "TopicMapping",
    "TopicSettings",
]

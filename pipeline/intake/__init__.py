"""Intake: the step that maps messages of other topics to records, and the mapping that files of records share.

This package may import nothing of the other steps.
"""

from pipeline.intake.mapping import DroppedValue, FieldMapping, MappedRecord
from pipeline.intake.settings import MappingSettings
from pipeline.intake.source_path import SourcePath

__all__ = ["DroppedValue", "FieldMapping", "MappedRecord", "MappingSettings", "SourcePath"]

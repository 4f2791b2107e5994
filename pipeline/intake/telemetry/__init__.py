"""Spans and log records of OpenTelemetry: decoding, the conventions for their attributes, and the mapping to records.

It knows the mapping and the settings of intake, and no step.
"""

from pipeline.intake.telemetry.conventions import (
    DERIVED_SOURCES,
    KIND_RULES,
    REFUSAL_REASONS,
    SYNONYMS,
    is_read,
)
from pipeline.intake.telemetry.inference import find_sources
from pipeline.intake.telemetry.telemetry_mapping import TelemetryMapping, TelemetryRecord

__all__ = [
    "DERIVED_SOURCES",
    "KIND_RULES",
    "REFUSAL_REASONS",
    "SYNONYMS",
    "TelemetryMapping",
    "TelemetryRecord",
    "find_sources",
    "is_read",
]

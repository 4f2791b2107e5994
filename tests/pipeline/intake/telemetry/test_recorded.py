"""Readings of what real SDKs posted and what a real Collector wrote to Kafka, in each dialect and encoding."""

import re
from pathlib import Path

import pytest

from pipeline.intake import TelemetryMapping, TopicSettings
from pipeline.lenient_json import dump_json
from pipeline.step import InputMessage

RECORDED = Path(__file__).with_name("recorded")
DIALECTS = ("genai", "genai_2025", "openinference", "openllmetry", "openllmetry_2024", "vllm")
MARK = b"MARKED"
BYTES_MAX = 1_000_000

TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def read(name, **settings):
    """Read a recorded file. The result is the readings in the order of the spans or log records."""
    form = "otlp_logs" if "logs" in name else "otlp_spans"
    mapping = TelemetryMapping(TopicSettings(format=form, **settings))
    value = (RECORDED / name).read_bytes()
    return sorted(mapping.read(value, bytes_max=BYTES_MAX), key=lambda reading: reading.index)

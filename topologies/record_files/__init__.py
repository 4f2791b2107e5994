"""Files of records in common formats: NDJSON, JSON, CSV and Parquet, and exports of other tools.

This package may import the mapping of intake and the room console, but no Kafka client.
"""

from topologies.record_files.deployment_files import read_deployments
from topologies.record_files.guesses import FileGuess, render_guesses
from topologies.record_files.record_file import RecordFile, RecordLine, merge_by_event_time, open_records
from topologies.record_files.record_mapping import ReadOptions

__all__ = [
    "FileGuess",
    "ReadOptions",
    "RecordFile",
    "RecordLine",
    "merge_by_event_time",
    "open_records",
    "read_deployments",
    "render_guesses",
]

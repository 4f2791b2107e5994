"""Files of records and deployments: NDJSON, and CSV with a mapping of its columns.

This package may not import any other package of load.
"""

from load.inputs.csv_mapping import CSV_START_MS, CsvMapping, parse_mapping
from load.inputs.message_files import OutgoingMessage, merge_by_event_time, read_deployments, read_records

__all__ = [
    "CSV_START_MS",
    "CsvMapping",
    "OutgoingMessage",
    "merge_by_event_time",
    "parse_mapping",
    "read_deployments",
    "read_records",
]

"""Files of records and deployments: NDJSON, CSV and their mapping.

May import no other room of load.
"""

from load.inputs.columns import START_MS, CsvMapping, parse_mapping
from load.inputs.files import Line, in_event_time_order, read_deployments, read_records, shifted

__all__ = [
    "START_MS",
    "CsvMapping",
    "Line",
    "in_event_time_order",
    "parse_mapping",
    "read_deployments",
    "read_records",
    "shifted",
]

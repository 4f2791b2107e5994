"""NDJSON files of deployments."""

from pathlib import Path

from pipeline.decoding import Unreadable, decode_contract
from schemas.deployment import Deployment
from topologies.errors import DriftwireError
from topologies.record_files.json_rows import read_json_lines
from topologies.record_files.source_rows import ROW_BYTES_MAX


def read_deployments(path: Path) -> list[Deployment]:
    """Read the deployments of an NDJSON file.

    Raises
    ------
    DriftwireError
        If the file cannot be read, or if a line is not a deployment. The message contains file, line and field.
    """
    deployments: list[Deployment] = []
    for row in read_json_lines(path):
        if row.value is None:
            raise DriftwireError(f"{path} line {row.line}: {row.problem}")
        decoded = decode_contract(row.value, Deployment.read, "deployment", bytes_max=ROW_BYTES_MAX)
        if isinstance(decoded, Unreadable):
            raise DriftwireError(f"{path} line {row.line}: {decoded.detail}")
        deployments += decoded
    return deployments

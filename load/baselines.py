"""Publishing a baseline, as one does before a go-live: detect judges by it from the first record on."""

from pathlib import Path

from pydantic import ValidationError

from load.errors import LoadError
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from topologies.client import write


def read_baseline(path: Path) -> Baseline:
    """The baseline of a file.

    Raises
    ------
    LoadError
        If it cannot be read, or is none.
    """
    try:
        return Baseline.from_json(path.read_bytes())
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LoadError(f"{path}: is no baseline: {where}: {first['msg']}") from error


async def publish(bootstrap: str, baseline: Baseline) -> None:
    """Write a baseline to its topic."""
    key = f"{baseline.subject}/{baseline.baseline_version}"
    await write(bootstrap, BASELINES, key.encode(), baseline.to_json())

"""Baselines as files and on their topic: read, published, and the newest of a subject found again."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from schemas.baseline import Baseline
from schemas.relearn import Relearn
from schemas.topics import BASELINES
from topologies.client import read_all, write
from topologies.failure import Failure


def read_lines(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """The lines of NDJSON files that are not blank, gzipped ones (``.gz``) unpacked, one file after the other.

    Raises
    ------
    Failure
        If a file cannot be read, or not to its end.
    """
    for path in paths:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                for line in file:
                    if line.strip():
                        yield line.rstrip(b"\r\n")
        except (OSError, EOFError, zlib.error) as error:
            raise Failure(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_baseline(path: Path) -> Baseline:
    """The baseline of a file.

    Raises
    ------
    Failure
        If it cannot be read, or is none.
    """
    try:
        return Baseline.from_json(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise Failure(f"{path} is no baseline: {where}: {first['msg']}") from error


async def publish(bootstrap: str, baseline: Baseline) -> None:
    """Write a baseline to its topic: detect judges the subject by it from the next record on."""
    key = f"{baseline.subject}/{baseline.baseline_version}"
    await write(bootstrap, BASELINES, key.encode(), baseline.to_json())


async def accept(bootstrap: str, relearn: Relearn) -> None:
    """Have detect learn the new normal of a subject that has a baseline.

    Raises
    ------
    Failure
        If it has none, or the baseline knows no signal of a name.
    """
    baseline = await newest_baseline(bootstrap, relearn.subject)
    unknown = sorted(set(relearn.signals) - set(baseline.signals))
    if unknown:
        raise Failure(
            f"the baseline of {relearn.subject} knows no {', '.join(unknown)}: it has {', '.join(baseline.signals)}"
        )
    await write(bootstrap, BASELINES, f"{relearn.subject}/{relearn.relearn_id}".encode(), relearn.to_json())


async def newest_baseline(bootstrap: str, subject: str) -> Baseline:
    """The baseline of a subject that was written last.

    Raises
    ------
    Failure
        If there is none, naming the subjects that have one.
    """
    newest: dict[str, Baseline] = {}
    async for message in read_all(bootstrap, BASELINES):
        if message.value is not None:
            try:
                baseline = Baseline.from_json(message.value)
            except ValidationError:
                continue
            newest[baseline.subject] = baseline
    if subject not in newest:
        known = ", ".join(sorted(newest)) or "none yet"
        raise Failure(f"there is no baseline of {subject} at {bootstrap}; subjects with one: {known}")
    return newest[subject]

"""Baselines as files and on their topic: read, published, and the newest of a subject found again."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
from pydantic import ValidationError

from pipeline.wording import one_line
from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES, DRIFTS
from topologies.errors import Failure
from topologies.kafka import read_all, write


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
        raise Failure(f"{path} is not a baseline: {one_line(error)}") from error


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
    return (await known_of(bootstrap, subject))[0]


async def known_of(bootstrap: str, subject: str) -> tuple[Baseline, list[Relearn]]:
    """The baseline of a subject that was written last, and what was asked to be learned anew since.

    Raises
    ------
    Failure
        If there is no baseline, naming the subjects that have one.
    """
    newest: dict[str, Baseline] = {}
    asked: list[Relearn] = []
    async for message in read_all(bootstrap, BASELINES):
        if message.value is None:
            continue
        with suppress(ValidationError):
            relearn = Relearn.from_json(message.value)
            if relearn.subject == subject:
                asked.append(relearn)
            continue
        with suppress(ValidationError):
            baseline = Baseline.from_json(message.value)
            newest[baseline.subject] = baseline
    if subject not in newest:
        known = ", ".join(sorted(newest)) or "none yet"
        raise Failure(f"there is no baseline of {subject} at {bootstrap}; subjects with one: {known}")
    return newest[subject], [relearn for relearn in asked if relearn.at > newest[subject].learned_to]


async def frozen_of(bootstrap: str, subject: str) -> list[Drift]:
    """What has fired of a subject and not recovered, page tier first: these channels are frozen until they do."""
    newest: dict[str, Drift] = {}
    name = orjson.dumps(subject)
    async for message in read_all(bootstrap, DRIFTS):
        # Ticks, and what is said of others, are most of a busy topic.
        if message.value is None or name not in message.value:
            continue
        with suppress(ValidationError):
            drift = Drift.from_json(message.value)
            if drift.subject == subject and drift.detector in ("page_hinkley", "adwin"):
                newest[drift.drift_id] = drift
    frozen = [drift for drift in newest.values() if drift.state != "recovered"]
    return sorted(frozen, key=lambda drift: (drift.tier != "page", drift.started_at))

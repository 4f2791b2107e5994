"""Read, publish and relearn baselines, in files and on their topic."""

from contextlib import suppress
from pathlib import Path

import orjson
from pydantic import ValidationError

from schemas.baseline import Baseline
from schemas.drift import Drift
from schemas.relearn import Relearn
from schemas.topics import BASELINES, DRIFTS
from topologies.errors import DriftwireError
from topologies.kafka import Cluster, read_topic, write_message


def read_baseline_file(path: Path) -> Baseline:
    """Read a baseline from a file.

    Raises
    ------
    DriftwireError
        If the file cannot be read or does not contain a baseline.
    """
    try:
        return Baseline.from_json(path.read_bytes())
    except OSError as error:
        raise DriftwireError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"])) or "the file"
        raise DriftwireError(f"{path} is not a baseline: {field}: {detail['msg']}") from error


FIELDS_SIGNAL = "unusable_field"
"""The signal whose relearning also relearns the fields that a baseline expects."""


async def publish_baseline(cluster: Cluster, baseline: Baseline) -> None:
    """Write a baseline to its topic. Detect applies it to all later records."""
    key = f"{baseline.subject}/{baseline.baseline_version}"
    await write_message(cluster, BASELINES, key.encode(), baseline.to_json())


async def request_relearn(cluster: Cluster, relearn: Relearn) -> None:
    """Ask detect to relearn the baseline of a subject.

    Raises
    ------
    DriftwireError
        If the subject has no baseline, or the baseline lacks a signal of the request.
    """
    baseline, _ = await read_baseline_status(cluster, relearn.subject)
    unknown = sorted(set(relearn.signals) - set(baseline.signals) - {FIELDS_SIGNAL})
    if unknown:
        raise DriftwireError(
            f"the baseline of {relearn.subject} has no signal {', '.join(unknown)}: "
            f"its signals are {', '.join(baseline.signals)}"
        )
    await write_message(cluster, BASELINES, f"{relearn.subject}/{relearn.relearn_id}".encode(), relearn.to_json())


async def read_baseline_status(cluster: Cluster, subject: str) -> tuple[Baseline, list[Relearn]]:
    """Read the latest baseline of a subject and all later relearn requests.

    Raises
    ------
    DriftwireError
        If there is no baseline. The message lists the subjects that have a baseline.
    """
    baselines: dict[str, Baseline] = {}
    requests: list[Relearn] = []
    async for message in read_topic(cluster, BASELINES):
        if message.value is None:
            continue
        with suppress(ValidationError):
            relearn = Relearn.from_json(message.value)
            if relearn.subject == subject:
                requests.append(relearn)
            continue
        with suppress(ValidationError):
            baseline = Baseline.from_json(message.value)
            baselines[baseline.subject] = baseline
    if subject not in baselines:
        known = ", ".join(sorted(baselines)) or "none yet"
        raise DriftwireError(f"there is no baseline of {subject} at {cluster}; subjects with a baseline: {known}")
    latest = baselines[subject]
    return latest, [relearn for relearn in requests if relearn.at > latest.learned_to]


async def read_frozen_drifts(cluster: Cluster, subject: str) -> list[Drift]:
    """Read the open drifts of a subject, page tier first. The channel of an open drift is frozen."""
    latest: dict[str, Drift] = {}
    needle = orjson.dumps(subject)
    async for message in read_topic(cluster, DRIFTS):
        # Most messages on a busy topic are ticks and drifts of other subjects, so they are not parsed.
        if message.value is None or needle not in message.value:
            continue
        with suppress(ValidationError):
            drift = Drift.from_json(message.value)
            if drift.subject == subject and drift.detector in ("page_hinkley", "adwin"):
                latest[drift.drift_id] = drift
    frozen = [drift for drift in latest.values() if drift.state != "recovered"]
    return sorted(frozen, key=lambda drift: (drift.tier != "page", drift.started_at))

"""Reader of the messages about an incident in all topics, for its review (see ``pipeline/review``)."""

from collections.abc import AsyncIterable, AsyncIterator, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import orjson
from pydantic import ValidationError

from pipeline.decoding import Unreadable, decode_contract
from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message as Contract
from schemas.topics import BASELINES, DEPLOYMENTS, DRIFTS, MEBIBYTE
from topologies.kafka import Cluster, read_topic
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.review import Material

Parsed = TypeVar("Parsed", bound=Contract)


async def read_review_material(cluster: Cluster, revisions: Collection[Incident]) -> "Material":
    """Read all messages about one incident from the topics.

    Parameters
    ----------
    cluster
        The Kafka cluster.
    revisions
        The revisions of the incident in ``driftwire.alerts``, at least one.

    Raises
    ------
    BrokerUnreachable, TopicMissing
        As :func:`read_topic`.
    """
    from pipeline.review import Material  # noqa: PLC0415  slow to import, and most commands do not need it

    subjects = {revision.subject for revision in revisions}
    drift_keys = {line.drift_id.encode() for revision in revisions for line in revision.evidence}
    return Material.select(
        revisions,
        [drift async for drift in _read_contracts(cluster, DRIFTS, Drift, keys=drift_keys, texts=subjects)],
        await _read_deployments(cluster),
        [baseline async for baseline in _read_contracts(cluster, BASELINES, Baseline, texts=subjects)],
    )


async def _read_deployments(cluster: Cluster) -> list[Deployment]:
    deployments: list[Deployment] = []
    async for message in read_topic(cluster, DEPLOYMENTS):
        decoded = decode_contract(message.value, Deployment.read, "deployment", bytes_max=MEBIBYTE)
        if not isinstance(decoded, Unreadable):
            deployments += decoded
    return deployments


async def _read_contracts(
    cluster: Cluster,
    topic: str,
    contract: type[Parsed],
    *,
    keys: Collection[bytes] = (),
    texts: Collection[str],
) -> AsyncIterator[Parsed]:
    """Yield the messages of a topic that follow one contract and match a key or contain a string."""
    needles = [orjson.dumps(text) for text in texts]
    async for message in read_topic(cluster, topic):
        value = message.value
        # Most messages of a busy topic are about other subjects, so they are not parsed.
        if value is None or (message.key not in keys and not any(needle in value for needle in needles)):
            continue
        with suppress(ValidationError):
            yield contract.from_json(value)


async def parse_incidents(messages: AsyncIterable[RawMessage]) -> AsyncIterator[Incident]:
    """Yield the incidents in messages. Skip other messages and report them on standard error."""
    async for message in messages:
        try:
            yield Incident.from_json(message.value or b"")
        except ValidationError:
            echo(f"skipped the alert at offset {message.offset}: it is not an incident", err=True)

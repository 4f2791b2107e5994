"""The material of a review, read from the topics: see ``pipeline/review``."""

from collections.abc import AsyncIterable, AsyncIterator, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import click
import orjson
from pydantic import ValidationError

from pipeline.step import RawMessage
from schemas.baseline import Baseline
from schemas.deployment import Deployment
from schemas.drift import Drift
from schemas.incident import Incident
from schemas.message import Message as Contract
from schemas.topics import BASELINES, DEPLOYMENTS, DRIFTS
from topologies.kafka.client import read_all

if TYPE_CHECKING:
    from pipeline.review import Material

Kind = TypeVar("Kind", bound=Contract)


async def material_of(bootstrap: str, revisions: Collection[Incident]) -> "Material":
    """What the topics hold of one incident.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of a broker, or several with commas.
    revisions
        Those of the incident that ``driftwire.alerts`` holds; at least one.

    Raises
    ------
    BrokerUnreachable, TopicMissing
        As their names say.
    """
    from pipeline.review import Material  # noqa: PLC0415  slow to import, and most commands need none of it

    subjects = {each.subject for each in revisions}
    keys = {line.drift_id.encode() for each in revisions for line in each.evidence}
    return Material.select(
        revisions,
        [drift async for drift in _read(bootstrap, DRIFTS, Drift, keys=keys, holding=subjects)],
        [deployment async for deployment in _read(bootstrap, DEPLOYMENTS, Deployment)],
        [baseline async for baseline in _read(bootstrap, BASELINES, Baseline, holding=subjects)],
    )


async def _read(
    bootstrap: str,
    topic: str,
    kind: type[Kind],
    *,
    keys: Collection[bytes] = (),
    holding: Collection[str] = (),
) -> AsyncIterator[Kind]:
    """The messages of one kind on a topic; only those with one of some keys or that hold one of some texts, if named."""
    texts = [orjson.dumps(each) for each in holding]
    async for message in read_all(bootstrap, topic):
        value = message.value
        # What is said of others is most of a busy topic, and is not worth to be read.
        if value is None or (texts and message.key not in keys and not any(text in value for text in texts)):
            continue
        with suppress(ValidationError):
            yield kind.from_json(value)


async def incidents_in(messages: AsyncIterable[RawMessage]) -> AsyncIterator[Incident]:
    """Yield the incidents in messages. Report messages that are not incidents on standard error and skip them."""
    async for message in messages:
        try:
            yield Incident.from_json(message.value or b"")
        except ValidationError:
            click.echo(f"skipped the alert at offset {message.offset}: it is not an incident", err=True)

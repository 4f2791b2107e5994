"""The story that the demo plays: half an hour of a support bot, three deployments, two of which break something."""

from dataclasses import dataclass

from load.demo.verdict import Planted
from load.world import SUBJECT, Change, Plan
from schemas.deployment import Deployment
from schemas.timestamp import parse_timestamp

START_MS = parse_timestamp("2026-11-24T03:00:00Z")
RECORDS_PER_SECOND = 50.0
DURATION_S = 34 * 60

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Story:
    """What is played, until when (Unix ms), and what should be found."""

    plan: Plan
    end_ms: int
    planted: tuple[Planted, ...]


def story() -> Story:
    """What happens minute by minute.

    At 5 a harmless deployment; at 10 a prompt that makes the bot refuse, taken back at 17; at 25 a new index that
    nobody refreshes, felt from 26 on.
    """
    harmless = _deployment("dependency-7", 5, "dependency", "1.4.2", "1.4.3", name="tokenizer")
    prompt = _deployment("prompt-42", 10, "prompt", "v41", "v42")
    rollback = _deployment("prompt-41-again", 17, "prompt", "v42", "v41", rollback_of="prompt-42")
    index = _deployment("index-10", 25, "index", "idx-9", "idx-10")
    refusals = Change("refusal_spike", prompt.timestamp, until_ms=rollback.timestamp)
    staleness = Change("stale_index", index.timestamp + MINUTE_MS)
    return Story(
        Plan(changes=(refusals, staleness), deployments=(harmless, prompt, rollback, index)),
        START_MS + DURATION_S * 1000,
        (
            Planted("refusal_spike", "refusal_spike", refusals.at_ms, "P3", prompt.deployment_id),
            Planted("stale_index", "stale_index", staleness.at_ms, "P3", index.deployment_id),
        ),
    )


def _deployment(
    deployment_id: str,
    minute: int,
    kind: str,
    from_version: str,
    to_version: str,
    *,
    name: str | None = None,
    rollback_of: str | None = None,
) -> Deployment:
    return Deployment(
        deployment_id=deployment_id,
        timestamp=START_MS + minute * MINUTE_MS,
        kind=kind,  # type: ignore[arg-type]  # a word of the contract, checked when it is made
        subject=SUBJECT,
        environment="production",
        name=name,
        from_version=from_version,
        to_version=to_version,
        rollback_of=rollback_of,
        author="demo",
    )

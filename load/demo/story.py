"""Scenario of the demo: half an hour of support-bot traffic with three deployments, two of which cause a failure."""

from dataclasses import dataclass

from load.demo.verdict import PlantedFailure
from load.world import SUBJECT, SimulatedFailure
from schemas.deployment import Deployment, DeploymentKind
from schemas.timestamp import parse_timestamp

START_MS = parse_timestamp("2026-11-24T03:00:00Z")
"""Start of the scenario in Unix ms."""

RECORDS_PER_SECOND = 50.0
MINUTE_MS = 60_000
DURATION_MINUTES = 34


@dataclass(frozen=True, slots=True)
class Story:
    """Failures and deployments up to ``end_ms`` (Unix ms), and the incidents that driftwire should find."""

    failures: tuple[SimulatedFailure, ...]
    deployments: tuple[Deployment, ...]
    end_ms: int
    planted: tuple[PlantedFailure, ...]


def build_story() -> Story:
    """Build the scenario.

    Minute 5: a harmless deployment. Minute 10: a prompt that makes the bot refuse, rolled back in minute 17. Minute 25:
    a new index that is no longer refreshed, with effects from minute 26.
    """
    harmless = _deployment("dependency-7", 5, "dependency", "1.4.2", "1.4.3", name="tokenizer")
    prompt = _deployment("prompt-42", 10, "prompt", "v41", "v42")
    rollback = _deployment("prompt-41-again", 17, "prompt", "v42", "v41", rollback_of="prompt-42")
    index = _deployment("index-10", 25, "index", "idx-9", "idx-10")
    refusals = SimulatedFailure("refusal_spike", prompt.timestamp, until_ms=rollback.timestamp)
    staleness = SimulatedFailure("stale_index", index.timestamp + MINUTE_MS)
    return Story(
        failures=(refusals, staleness),
        deployments=(harmless, prompt, rollback, index),
        end_ms=START_MS + DURATION_MINUTES * MINUTE_MS,
        planted=(
            PlantedFailure("refusal_spike", "refusal_spike", refusals.at_ms, "P3", prompt.deployment_id),
            PlantedFailure("stale_index", "stale_index", staleness.at_ms, "P3", index.deployment_id),
        ),
    )


def _deployment(
    deployment_id: str,
    minute: int,
    kind: DeploymentKind,
    from_version: str,
    to_version: str,
    *,
    name: str | None = None,
    rollback_of: str | None = None,
) -> Deployment:
    return Deployment(
        deployment_id=deployment_id,
        timestamp=START_MS + minute * MINUTE_MS,
        kind=kind,
        subject=SUBJECT,
        environment="production",
        name=name,
        from_version=from_version,
        to_version=to_version,
        rollback_of=rollback_of,
        author="demo",
    )

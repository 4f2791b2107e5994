"""The causes: whether the incident that a failure opens names what caused it first, among decoys, and never guesses."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field

from load.score.simulation import Normal, Scenario, Touch, Where, baseline_of, begins_ms, stream
from load.score.suites.cases import read_cases
from load.score.suites.decoys import DECOYS, Deployed, Planted, deployments, lag_s
from load.world import SUBJECT
from pipeline.correlate.causes import clear_suspect
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import RawMessage
from schemas.deployment import Deployment, DeploymentKind
from schemas.incident import Incident
from schemas.topics import ALERTS, BASELINES, DEPLOYMENTS, DRIFTS, RECORDS

FILE = Path(__file__).parents[2] / "cases" / "causes.toml"
SEEDS = 6
SUSPECT_FIRST, CAUSE_FIRST, CANARY_SPLIT, CLEAR = 0.95, 0.85, 0.95, 0.7
HEALTHY_S = 100.0
LATE_SHARE = 0.2
"""Of the deployments: told only after the incident was opened."""

NO_INCIDENT = "no incident"

CauseKind = Literal[
    "deployment", "input_shift", "undeclared_change", "retrieval", "upstream_data", "provider", "inconclusive"
]


class Case(BaseModel):
    """One row of the table, as the file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    says: str
    cause: CauseKind
    kind: DeploymentKind | None = None
    deployed: str | None = Field(default=None, description="the name of the planted deployment")
    canary: float | None = Field(default=None, gt=0, lt=1)
    others: dict[DeploymentKind, float] = Field(default_factory=dict, alias="with")
    subjects: int = Field(default=1, ge=1, le=10, description="services to which it happens, the bot among them")
    after_s: float = Field(default=200.0, gt=0)
    touch: tuple[Touch, ...]

    def scenario(self, lag_s: float = 0.0) -> Scenario:
        """What happens; a canary has served for ``lag_s`` seconds by then."""
        share = {"canary": {self.kind or "": "canary"}, "share": self.canary, "early_s": lag_s} if self.canary else {}
        return Scenario(
            name=f"cause_{self.name}", title=self.says, why=self.says, kind="failure", tier="page",
            signals=tuple(touch.signal for touch in self.touch), after_s=self.after_s, touch=self.touch,
            healthy_s=HEALTHY_S + (lag_s if self.canary else 0.0), where=Where.model_validate(share),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """What an incident said of one case with one seed.

    ``guessed`` is what it called the most likely cause, ``without_split`` its first suspect if no drift told of versions
    side by side; ``last`` and ``nearest`` are what simple rules name: the last deployment before the detection, and the
    one nearest to the start as the incident has it.
    """

    scenario: str
    seed: int
    cause: CauseKind
    is_canary: bool
    is_late: bool
    decoys: int
    expected: str
    first: str
    first_score: float | None
    guessed: str
    without_split: str
    last: str
    nearest: str
    split: str | None

    @property
    def is_right(self) -> bool:
        """Whether the cause is the first suspect; where nobody can know it, whether an incident guessed nothing."""
        if self.cause == "inconclusive":
            return self.first != NO_INCIDENT and not self.guessed
        return self.first == self.expected


def cases(file: Path = FILE) -> list[Case]:
    """The cases of a file; :class:`load.errors.LoadError` if it holds none."""
    return read_cases(file, Case, "cases of causes")


def normal_of(seed: int) -> Normal:
    """By what the cases of a seed are judged."""
    return Normal(seed)


def run_cause(case: Case, seed: int, settings: DetectSettings) -> Judged:
    """Play one case through detect and correlate."""
    random = np.random.default_rng((seed, 5, *case.name.encode()))
    lag = lag_s(case.canary, random) if case.kind is not None else 0.0
    scenario = case.scenario(lag)
    plan = Planted(case.kind, case.deployed, case.canary, case.others, lag, case.cause == "inconclusive")
    planted = deployments(plan, scenario, begins_ms(scenario, seed), random)
    moved = [value for twin in range(case.subjects) for value in _moved(scenario, seed, twin, planted, settings)]
    is_late = bool(random.random() < LATE_SHARE)
    incident = _incident(moved, planted.every, is_late=is_late)
    plain = _incident([_without_series(value) for value in moved], planted.every, is_late=is_late)
    guess = None if incident is None else clear_suspect(incident.suspects)
    first = incident.suspects[0] if incident is not None and incident.suspects else None
    return Judged(
        scenario=case.name,
        seed=seed,
        cause=case.cause,
        is_canary=case.canary is not None,
        is_late=is_late,
        decoys=len(planted.every) - (planted.cause is not None),
        expected=planted.cause or case.cause,
        first=_first(incident),
        first_score=None if first is None else first.score,
        guessed="" if guess is None else guess.deployment_id or guess.kind,
        without_split=_first(plain),
        last=_last(planted.every, incident),
        nearest=_nearest(planted.every, incident),
        split=None if first is None else first.split,
    )


def _first(incident: Incident | None) -> str:
    if incident is None:
        return NO_INCIDENT
    first = incident.suspects[0] if incident.suspects else None
    return "nothing" if first is None else first.deployment_id or first.kind


def _without_series(value: bytes) -> bytes:
    content = orjson.loads(value)
    content.pop("series", None)
    return orjson.dumps(content)


def _moved(scenario: Scenario, seed: int, twin: int, planted: Deployed, settings: DetectSettings) -> list[bytes]:
    """What detect says of the bot, or of a twin of it, which has a partition and a name of its own."""
    baseline = baseline_of(normal_of(seed), settings)
    subject = f"{SUBJECT}-{twin}" if twin else SUBJECT
    step = DetectStep(twin, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.model_copy(update={"subject": subject}).to_json()))
    own, named = (b'{"subject":"%s"' % name.encode() for name in (SUBJECT, subject))
    moved: list[bytes] = []
    offset = 0
    for part in stream(scenario, seed, planted.rolled_out, twin):
        lines = [line.replace(own, named, 1) for line in part.lines]
        messages = [RawMessage(RECORDS, twin, offset + row, 0, None, line) for row, line in enumerate(lines)]
        offset += len(messages)
        moved += [output.value for output in step.step(messages) if output.topic == DRIFTS and output.value]
    return moved


def _incident(moved: Sequence[bytes], deployed: Sequence[Deployment], *, is_late: bool) -> Incident | None:
    """The incident as it is in the end; of several the one with the most evidence."""
    step = CorrelateStep(CorrelateSettings())
    early = [RawMessage(DEPLOYMENTS, 0, place, 0, None, each.to_json()) for place, each in enumerate(deployed)]
    drifts = [RawMessage(DRIFTS, 0, place, 0, None, value) for place, value in enumerate(moved)]
    newest: dict[str, Incident] = {}
    for output in step.step([*drifts, *early] if is_late else [*early, *drifts]):
        if output.topic == ALERTS and output.value is not None:
            incident = Incident.from_json(output.value)
            newest[incident.incident_id] = incident
    alone = [each for each in newest.values() if each.status != "merged"]
    own = [each for each in alone if any(line.tier == "page" for line in each.evidence)]
    return max(own, key=lambda each: (len(each.evidence), each.incident_id), default=None)


def _last(deployed: Sequence[Deployment], incident: Incident | None) -> str:
    """What a simple rule would name: the last deployment to the subject before the detection."""
    if incident is None:
        return ""
    before = [each for each in _touching(deployed) if each.timestamp <= incident.detected_at]
    return max(before, key=lambda each: each.timestamp).deployment_id if before else ""


def _nearest(deployed: Sequence[Deployment], incident: Incident | None) -> str:
    """What another would: the deployment to the subject that is nearest to the start, on either side."""
    touching = _touching(deployed)
    if incident is None or not touching:
        return ""
    start = incident.started_at
    return min(touching, key=lambda each: abs(each.timestamp - start)).deployment_id


def _touching(deployed: Sequence[Deployment]) -> list[Deployment]:
    return [each for each in deployed if each.subject in (SUBJECT, None)]


def causes_report(judged: Sequence[Judged]) -> dict[str, Any]:
    """The figures of the suite. Beside them what simple rules give, and what is left without versions side by side."""
    by_deployment = [each for each in judged if each.cause == "deployment"]
    canaries = [each for each in by_deployment if each.is_canary]
    by_other = [each for each in judged if each.cause not in ("deployment", "inconclusive")]
    inconclusive = [each for each in judged if each.cause == "inconclusive"]
    return {
        "cause_cases": len(judged),
        "suspect_first_share": _share([each.is_right for each in by_deployment]),
        "suspect_clear_share": _share([each.guessed == each.expected for each in by_deployment]),
        "cause_first_share": _share([each.is_right for each in by_other]),
        "cause_clear_share": _share([each.guessed == each.expected for each in by_other]),
        "canary_first_share": _share([each.is_right for each in canaries]),
        "canary_split_share": _share([each.is_right and each.split == "bad" for each in canaries]),
        "canary_first_share_without_split": _share([each.without_split == each.expected for each in canaries]),
        "inconclusive_guessed": sum(not each.is_right for each in inconclusive),
        "decoys_least": min((each.decoys for each in by_deployment), default=0),
        "last_deployment": _simple([each.last == each.expected for each in by_deployment], canaries, "last"),
        "nearest_deployment": _simple([each.nearest == each.expected for each in by_deployment], canaries, "nearest"),
    }


def _simple(right: Sequence[bool], canaries: Sequence[Judged], rule: str) -> dict[str, float]:
    own = [getattr(each, rule) == each.expected for each in canaries]
    return {"suspect_first_share": _share(right), "canary_first_share": _share(own)}


def rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """A row a case and seed."""
    return [asdict(each) | {"suite": "causes", "right": each.is_right} for each in judged]


def problems(found: dict[str, Any]) -> list[str]:
    """What misses its floor."""
    missed = []
    if found["suspect_first_share"] < SUSPECT_FIRST:
        missed.append(f"the deployment that did it is the first suspect in {found['suspect_first_share']:.1%} only")
    if found["cause_first_share"] < CAUSE_FIRST:
        missed.append(f"a cause that is no deployment is the first in {found['cause_first_share']:.1%} only")
    if found["canary_split_share"] < CANARY_SPLIT:
        missed.append(f"versions side by side decide {found['canary_split_share']:.1%} of canaries only")
    if min(found["suspect_clear_share"], found["cause_clear_share"]) < CLEAR:
        missed.append("the cause is called the most likely one too rarely")
    if found["inconclusive_guessed"]:
        missed.append(f"{found['inconclusive_guessed']} causes were guessed that nobody can know")
    if found["decoys_least"] < DECOYS:
        missed.append(f"only {found['decoys_least']} decoys, and {DECOYS} are needed")
    return missed


def _share(right: Sequence[bool]) -> float:
    return sum(right) / max(1, len(right))

"""Suite ``causes``: the planted cause must be the first suspect among decoys. Unknown causes must not be guessed."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import Field
from rich.console import Console
from rich.table import Table

from load.score.simulation import BaselineSource, Scenario, Touch, generate_stream
from load.score.suite import ScorePlan, ScoreResults, ScoreTask, SuiteReport, mean_share
from load.score.suites.cases import CaseModel, read_cases
from load.score.suites.decoys import DECOYS_MIN, CaseDeployments, PlantedCause, draw_lag_s, make_deployments
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
SUSPECT_FIRST_MIN, CAUSE_FIRST_MIN, CANARY_SPLIT_MIN, CLEAR_MIN = 0.95, 0.85, 0.95, 0.7
HEALTHY_S = 100.0
LATE_SHARE = 0.2
"""Share of the runs whose deployments are reported only after the incident has opened."""

NO_INCIDENT = "no incident"
NO_SUSPECT = "nothing"
WRONG_SHOWN_MAX = 4
"""Maximum number of wrong answers printed per case."""

CauseKind = Literal[
    "deployment", "input_shift", "undeclared_change", "retrieval", "upstream_data", "provider", "inconclusive"
]


class CauseCase(CaseModel):
    """One case of the file."""

    name: str
    says: str
    cause: CauseKind
    kind: DeploymentKind | None = None
    deployed: str | None = Field(default=None, description="Name of the planted deployment.")
    canary: float | None = Field(default=None, gt=0, lt=1)
    others: dict[DeploymentKind, float] = Field(default_factory=dict, alias="with")
    subjects: int = Field(default=1, ge=1, le=10, description="Number of affected services, including the bot.")
    after_s: float = Field(default=200.0, gt=0)
    touch: tuple[Touch, ...]

    def build_scenario(self, lag_s: float = 0.0) -> Scenario:
        """Build the scenario of the case. A canary goes live ``lag_s`` seconds before the change."""
        canary = {"canary": {self.kind or "": "canary"}, "share": self.canary, "early_s": lag_s}
        return Scenario.model_validate(
            {
                "name": f"cause_{self.name}",
                "title": self.says,
                "why": self.says,
                "kind": "failure",
                "tier": "page",
                "signals": tuple(touch.signal for touch in self.touch),
                "after_s": self.after_s,
                "touch": self.touch,
                "healthy_s": HEALTHY_S + (lag_s if self.canary else 0.0),
                "where": canary if self.canary else {},
            }
        )


@dataclass(frozen=True, slots=True)
class CauseResult:
    """Causes that the incident of a case lists for one seed. The fields are keys of the report.

    Attributes
    ----------
    expected, first
        Planted cause, and first suspect.
    guessed
        Most likely cause of the incident, or an empty string.
    without_split
        First suspect when concurrent versions are not compared.
    last, nearest
        Causes found by simpler methods: the last deployment before the detection, and the deployment closest to the
        start.
    split
        Result of the comparison of versions for the first suspect.
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
        """True if the first suspect is the cause, or if no cause is named where it cannot be known."""
        if self.cause == "inconclusive":
            return self.first != NO_INCIDENT and not self.guessed
        return self.first == self.expected


def read_cause_cases(path: Path = FILE) -> list[CauseCase]:
    """Read the cases of a file. Raises :class:`load.errors.LoadError` if it is invalid."""
    return read_cases(path, CauseCase)


def tasks(plan: ScorePlan, /) -> Iterator[ScoreTask]:
    """Yield a task per seed and case."""
    for seed in plan.seeds(SEEDS):
        for case in read_cause_cases():
            run = partial(run_case, case, seed, plan.settings)
            yield ScoreTask(("causes", case.name, seed), BaselineSource(seed), run)


def run_case(case: CauseCase, seed: int, settings: DetectSettings) -> CauseResult:
    """Run a case through detect and correlate."""
    random = np.random.default_rng((seed, 5, *case.name.encode()))
    lag_s = draw_lag_s(case.canary, random) if case.kind is not None else 0.0
    scenario = case.build_scenario(lag_s)
    planted = PlantedCause(case.kind, case.deployed, case.canary, case.others, lag_s, case.cause == "inconclusive")
    deployments = make_deployments(planted, scenario, scenario.change_ms(seed), random)
    drifts = [
        drift for twin in range(case.subjects) for drift in _detect_drifts(scenario, seed, twin, deployments, settings)
    ]
    is_late = bool(random.random() < LATE_SHARE)
    incident = _find_incident(drifts, deployments.every, is_late=is_late)
    plain = _find_incident([_without_series(drift) for drift in drifts], deployments.every, is_late=is_late)
    guess = None if incident is None else clear_suspect(incident.suspects)
    first = incident.suspects[0] if incident is not None and incident.suspects else None
    return CauseResult(
        scenario=case.name,
        seed=seed,
        cause=case.cause,
        is_canary=case.canary is not None,
        is_late=is_late,
        decoys=len(deployments.every) - (deployments.cause is not None),
        expected=deployments.cause or case.cause,
        first=_name_first_suspect(incident),
        first_score=None if first is None else first.score,
        guessed="" if guess is None else guess.deployment_id or guess.kind,
        without_split=_name_first_suspect(plain),
        last=_name_last_deployment(deployments.every, incident),
        nearest=_name_nearest_deployment(deployments.every, incident),
        split=None if first is None else first.split,
    )


def _name_first_suspect(incident: Incident | None) -> str:
    if incident is None:
        return NO_INCIDENT
    first = incident.suspects[0] if incident.suspects else None
    return NO_SUSPECT if first is None else first.deployment_id or first.kind


def _without_series(drift: bytes) -> bytes:
    content = orjson.loads(drift)
    content.pop("series", None)
    return orjson.dumps(content)


def _detect_drifts(
    scenario: Scenario, seed: int, twin: int, deployments: CaseDeployments, settings: DetectSettings
) -> list[bytes]:
    """Return the drifts of the bot, or of a similar service that has a separate partition and name."""
    baseline = BaselineSource(seed).learn(settings)
    subject = f"{SUBJECT}-{twin}" if twin else SUBJECT
    step = DetectStep(twin, settings, replay=True)
    step.control(RawMessage(BASELINES, 0, 0, 0, None, baseline.model_copy(update={"subject": subject}).to_json()))
    bot_field, twin_field = (b'{"subject":"%s"' % name.encode() for name in (SUBJECT, subject))
    drifts: list[bytes] = []
    offset = 0
    for part in generate_stream(scenario, seed, deployments.rolled_out, twin):
        lines = [line.replace(bot_field, twin_field, 1) for line in part.lines]
        messages = [RawMessage(RECORDS, twin, offset + row, 0, None, line) for row, line in enumerate(lines)]
        offset += len(messages)
        drifts += [output.value for output in step.step(messages) if output.topic == DRIFTS and output.value]
    return drifts


def _find_incident(drifts: Sequence[bytes], deployments: Sequence[Deployment], *, is_late: bool) -> Incident | None:
    """Return the last revision of the incident that has the most evidence."""
    step = CorrelateStep(CorrelateSettings())
    deployment_messages = [
        RawMessage(DEPLOYMENTS, 0, offset, 0, None, deployment.to_json())
        for offset, deployment in enumerate(deployments)
    ]
    drift_messages = [RawMessage(DRIFTS, 0, offset, 0, None, drift) for offset, drift in enumerate(drifts)]
    messages = [*drift_messages, *deployment_messages] if is_late else [*deployment_messages, *drift_messages]
    newest: dict[str, Incident] = {}
    for output in step.step(messages):
        if output.topic == ALERTS and output.value is not None:
            incident = Incident.from_json(output.value)
            newest[incident.incident_id] = incident
    paged = [
        incident
        for incident in newest.values()
        if incident.status != "merged" and any(line.tier == "page" for line in incident.evidence)
    ]
    return max(paged, key=lambda incident: (len(incident.evidence), incident.incident_id), default=None)


def _name_last_deployment(deployments: Sequence[Deployment], incident: Incident | None) -> str:
    """Return the last deployment to the subject before the detection, as a simpler method would."""
    if incident is None:
        return ""
    before = [deployment for deployment in _with_subject(deployments) if deployment.timestamp <= incident.detected_at]
    return max(before, key=lambda deployment: deployment.timestamp).deployment_id if before else ""


def _name_nearest_deployment(deployments: Sequence[Deployment], incident: Incident | None) -> str:
    """Return the deployment to the subject that is closest to the start, before or after, as a simpler method would."""
    candidates = _with_subject(deployments)
    if incident is None or not candidates:
        return ""
    start_ms = incident.started_at
    return min(candidates, key=lambda deployment: abs(deployment.timestamp - start_ms)).deployment_id


def _with_subject(deployments: Sequence[Deployment]) -> list[Deployment]:
    return [deployment for deployment in deployments if deployment.subject in (SUBJECT, None)]


def report(results: ScoreResults, /) -> SuiteReport:
    """Build the report: figures, problems, and a row per case and seed."""
    case_results: list[CauseResult] = results.select("causes")
    suite_figures = figures(case_results)
    rows = [asdict(result) | {"suite": "causes", "right": result.is_right} for result in case_results]
    return SuiteReport(suite_figures, find_problems(suite_figures), rows)


def figures(results: Sequence[CauseResult]) -> dict[str, Any]:
    """Return the figures of the suite, of the simpler methods, and of diagnosis without the comparison of versions."""
    by_deployment = [result for result in results if result.cause == "deployment"]
    canaries = [result for result in by_deployment if result.is_canary]
    by_other = [result for result in results if result.cause not in ("deployment", "inconclusive")]
    inconclusive = [result for result in results if result.cause == "inconclusive"]
    return {
        "cause_cases": len(results),
        "suspect_first_share": mean_share([result.is_right for result in by_deployment]),
        "suspect_clear_share": mean_share([result.guessed == result.expected for result in by_deployment]),
        "cause_first_share": mean_share([result.is_right for result in by_other]),
        "cause_clear_share": mean_share([result.guessed == result.expected for result in by_other]),
        "canary_first_share": mean_share([result.is_right for result in canaries]),
        "canary_split_share": mean_share([result.is_right and result.split == "bad" for result in canaries]),
        "canary_first_share_without_split": mean_share(
            [result.without_split == result.expected for result in canaries]
        ),
        "inconclusive_guessed": sum(not result.is_right for result in inconclusive),
        "decoys_least": min((result.decoys for result in by_deployment), default=0),
        "last_deployment": {
            "suspect_first_share": mean_share([result.last == result.expected for result in by_deployment]),
            "canary_first_share": mean_share([result.last == result.expected for result in canaries]),
        },
        "nearest_deployment": {
            "suspect_first_share": mean_share([result.nearest == result.expected for result in by_deployment]),
            "canary_first_share": mean_share([result.nearest == result.expected for result in canaries]),
        },
    }


def find_problems(suite_figures: dict[str, Any]) -> list[str]:
    """List the figures that miss their target."""
    problems = []
    if suite_figures["suspect_first_share"] < SUSPECT_FIRST_MIN:
        problems.append(
            f"the planted deployment is the first suspect in only {suite_figures['suspect_first_share']:.1%}"
        )
    if suite_figures["cause_first_share"] < CAUSE_FIRST_MIN:
        problems.append(f"a cause other than a deployment comes first in only {suite_figures['cause_first_share']:.1%}")
    if suite_figures["canary_split_share"] < CANARY_SPLIT_MIN:
        problems.append(
            f"the comparison of versions identifies only {suite_figures['canary_split_share']:.1%} of canaries"
        )
    if min(suite_figures["suspect_clear_share"], suite_figures["cause_clear_share"]) < CLEAR_MIN:
        problems.append("the planted cause is too rarely named as the most likely cause")
    if suite_figures["inconclusive_guessed"]:
        problems.append(f"{suite_figures['inconclusive_guessed']} causes were guessed although they cannot be known")
    if suite_figures["decoys_least"] < DECOYS_MIN:
        problems.append(f"only {suite_figures['decoys_least']} decoys, but {DECOYS_MIN} are needed")
    return problems


def show(report: dict[str, Any], console: Console, /) -> None:
    """Print a row per case, and the figures."""
    table = Table(title="Causes", box=None)
    for name in ("case", "cause", "named first", "wrong, with seed"):
        table.add_column(name)
    rows = [row for row in report["rows"] if row["suite"] == "causes"]
    for name in dict.fromkeys(row["scenario"] for row in rows):
        case_rows = [row for row in rows if row["scenario"] == name]
        wrong = [f"{row['guessed'] or row['first']} ({row['seed']})" for row in case_rows if not row["right"]]
        right = f"{sum(row['right'] for row in case_rows)} of {len(case_rows)}"
        table.add_row(name, case_rows[0]["cause"], right, ", ".join(wrong[:WRONG_SHOWN_MAX]))
    console.print(table)
    last, nearest = report["last_deployment"], report["nearest_deployment"]
    console.print(
        f"deployments first in {report['suspect_first_share']:.1%}, named as the most likely cause in "
        f"{report['suspect_clear_share']:.1%} (last deployment before the detection: "
        f"{last['suspect_first_share']:.1%}; closest to the start: {nearest['suspect_first_share']:.1%})"
    )
    console.print(
        f"canaries first in {report['canary_first_share']:.1%}, by their version in "
        f"{report['canary_split_share']:.1%} (without the comparison of versions: "
        f"{report['canary_first_share_without_split']:.1%}; last deployment: {last['canary_first_share']:.1%}; "
        f"nearest: {nearest['canary_first_share']:.1%})"
    )
    console.print(
        f"other causes first in {report['cause_first_share']:.1%}, named as the most likely cause in "
        f"{report['cause_clear_share']:.1%}; {report['inconclusive_guessed']} guesses of causes that cannot be known"
    )

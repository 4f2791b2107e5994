"""Scenarios: each file defines one event in the simulated service and the expected detection."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from load.errors import LoadError
from pipeline.wording import did_you_mean
from schemas.timestamp import parse_timestamp
from schemas.topics import DAY_MS, HOUR_MS

FOLDER = Path(__file__).parents[2] / "scenarios"

MONDAY_MS = parse_timestamp("2026-11-02T00:00:00Z")
"""Start of the day of the baseline, in Unix milliseconds."""

MEAN_HOUR = 9.0
"""Hour of the day at which levels equal their daily mean."""

ScenarioKind = Literal["failure", "harmless"]


class _ScenarioModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Touch(_ScenarioModel):
    """Change of one signal or label in the affected records.

    ``probability`` is the new probability of a rate. ``factor`` multiplies a value. ``offset`` is added to a
    value. ``growth`` is added per second. ``constant`` replaces a value. ``label`` replaces a label. ``absent`` removes
    the value.
    """

    signal: str
    how: Literal["probability", "factor", "offset", "growth", "constant", "label", "absent"]
    amount: float = 0.0
    label: str | None = None
    ramp_s: float = Field(default=0.0, ge=0, description="Seconds until the change reaches its full size.")
    for_s: float | None = Field(default=None, gt=0, description="Seconds after which the change ends.")
    share: float = Field(
        default=1.0, gt=0, le=1, description="Share of the affected records that change, selected at random."
    )


class RecordSelection(_ScenarioModel):
    """Records that a scenario changes: records with the given labels, or a random share that a canary serves."""

    labels: dict[str, str] = Field(default_factory=dict, description="Required labels, such as tenant = 'acme'.")
    canary: dict[str, str] = Field(default_factory=dict, description="Versions in these records.")
    share: float = Field(default=1.0, gt=0, le=1, description="Share of the records that the canary serves.")
    early_s: float = Field(
        default=0.0, ge=0, description="Seconds before the change at which the canary starts to serve."
    )


class TrafficChange(_ScenarioModel):
    """Factor applied to the request rate for ``for_s`` seconds, starting ``after_s`` seconds after the change."""

    after_s: float = Field(default=0.0, ge=0)
    for_s: float = Field(gt=0)
    factor: float = Field(ge=0, le=10)


class Disturbance(_ScenarioModel):
    """Disturbance of messages in transit, starting at the change."""

    late_s: float = Field(
        default=0.0, ge=0, description="Maximum lateness of a record in seconds. Each lateness is random."
    )
    twice: float = Field(default=0.0, ge=0, le=1, description="Share of the records that is sent twice.")
    skew_s: float = Field(default=0.0, description="Seconds by which the clock of every tenth server is wrong.")
    storm: int = Field(
        default=0, ge=0, description="Number of failed retries of one client within a second, at the change."
    )
    evaluations: int = Field(
        default=0, ge=0, description="Number of healthy evaluations within a second, at the change."
    )
    absurd: dict[str, float] = Field(
        default_factory=dict, description="Values of one implausible record that is sent at the change."
    )
    year_2200: bool = Field(
        default=False, description="Whether one record dated in the year 2200 is sent at the change."
    )


class ProbeSchedule(_ScenarioModel):
    """Probes at regular intervals. ``blocked`` states whether the probes are blocked after the change."""

    every_s: float = Field(gt=0)
    blocked: bool


class Scenario(_ScenarioModel):
    """Scenario defined in one file. ``name`` is the name of the file. Times are in seconds from the change."""

    name: str
    title: str
    why: str = Field(description="Origin of the scenario, and reason for the expected detection.")
    kind: ScenarioKind
    world: Literal["bot", "design"] = "bot"
    tier: Literal["page", "ticket"] | None = Field(default=None, description="Expected tier of a failure.")
    signals: tuple[str, ...] = Field(
        default=(), description="Signals that show the failure. A drift of any of them is sufficient."
    )
    also: tuple[str, ...] = Field(default=(), description="Other affected signals, whose drifts are not false alarms.")
    clear: bool = Field(default=False, description="Whether the failure is a large step whose delay has a floor.")
    slow: bool = Field(
        default=False, description="Whether the failure is a slow drift that the ticket tier must find first."
    )
    design_delay: int | None = Field(
        default=None, description="Delay in records, as listed in the design's table for evidence of 25."
    )
    hour: float = Field(default=10.0, ge=0, lt=24, description="Hour of the day of the change.")
    day: int = Field(default=1, ge=1, le=7, description="Days from the baseline's Monday to the change.")
    embeddings: bool = Field(default=False, description="Whether records have an embedding of sixteen numbers.")
    agent: bool = Field(default=False, description="Whether records have the signals of an agent and of its budget.")
    rebuilds: Literal["nightly", "missed"] | None = Field(
        default=None,
        description="Whether the index is rebuilt every night, and whether the rebuild at the change and all later ones "
        "are missed.",
    )
    baseline_days: int = Field(
        default=1, ge=1, le=14, description="Number of days in the baseline, ending with the Monday."
    )
    whole_day: bool = Field(default=False, description="Whether the baseline is learned from every record of its day.")
    records_per_second: float = Field(default=50.0, gt=0, le=1000)
    healthy_s: float = Field(default=100.0, gt=0)
    after_s: float = Field(default=200.0, gt=0)
    touch: tuple[Touch, ...] = ()
    where: RecordSelection = RecordSelection()
    traffic: tuple[TrafficChange, ...] = ()
    messages: Disturbance = Disturbance()
    probes: ProbeSchedule | None = None

    @model_validator(mode="after")
    def _has_expectation(self) -> "Scenario":
        if (self.kind == "failure") != (self.tier is not None and bool(self.signals)):
            raise ValueError("a failure needs a tier and signals, but a harmless scenario must have neither")
        return self

    @property
    def affected_signals(self) -> frozenset[str]:
        """Signals whose drifts are not false alarms."""
        return frozenset((*self.signals, *self.also, *(touch.signal for touch in self.touch)))

    @property
    def nominal_change_ms(self) -> int:
        """Time of the change in Unix milliseconds, before the phase of a seed is added."""
        return MONDAY_MS + self.day * DAY_MS + round(self.hour * HOUR_MS)

    def create_generator(self, seed: int) -> np.random.Generator:
        """Create the random number generator of a stream. The first number drawn is the phase of the change."""
        return np.random.default_rng((seed, *self.name.encode()))

    def draw_change_ms(self, random: np.random.Generator) -> int:
        """Draw the time of the change in Unix milliseconds, with a random phase within the second."""
        return self.nominal_change_ms + int(random.integers(1000))

    def change_ms(self, seed: int) -> int:
        """Return the time of the change in the stream of a seed, in Unix milliseconds."""
        return self.draw_change_ms(self.create_generator(seed))

    def without_event(self) -> "Scenario":
        """Return the scenario without its event. If the event is a time of day, an average hour replaces it."""
        is_hour = not self.touch and not self.traffic and self.messages == Disturbance() and self.rebuilds != "missed"
        average = {"hour": MEAN_HOUR, "day": 1} if is_hour else {}
        nothing = {"touch": (), "traffic": (), "messages": Disturbance(), "where": RecordSelection()}
        if self.rebuilds is not None:
            nothing["rebuilds"] = "nightly"
        return self.model_copy(update=nothing | average)


def read_scenarios(kind: ScenarioKind | None = None, folder: Path = FOLDER) -> list[Scenario]:
    """Read all scenarios, or all scenarios of one kind, ordered by name.

    Raises
    ------
    LoadError
        If a file is not a scenario.
    """
    scenarios = [read_scenario(path) for path in sorted(folder.glob("*.toml"))]
    return [scenario for scenario in scenarios if kind in (None, scenario.kind)]


def read_scenario(path: Path) -> Scenario:
    """Read the scenario of one file.

    Raises
    ------
    LoadError
        If the file is not a scenario. The message contains the file and its problems.
    """
    try:
        return Scenario(name=path.stem, **tomllib.loads(path.read_text("utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, TypeError, UnicodeDecodeError) as error:
        raise LoadError(f"{path} is not a scenario: {'; '.join(_describe_problems(error))}") from error


def _describe_problems(error: Exception) -> Iterator[str]:
    if not isinstance(error, ValidationError):
        yield str(error)
        return
    models = (Scenario, Touch, RecordSelection, TrafficChange, Disturbance, ProbeSchedule)
    known = {name for model in models for name in model.model_fields}
    for problem in error.errors(include_url=False):
        path = ".".join(map(str, problem["loc"])) or "the file"
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {path}; {did_you_mean(str(problem['loc'][-1]), known)}"
        else:
            yield f"{path}: {problem['msg']}"

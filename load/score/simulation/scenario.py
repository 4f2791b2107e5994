"""The scenario: one thing that happens to the simulated service, as a file that says beforehand what should be found."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from load.errors import LoadError
from pipeline.wording import did_you_mean, one_line

FOLDER = Path(__file__).parents[2] / "scenarios"

Kind = Literal["failure", "harmless"]
How = Literal["probability", "factor", "offset", "growth", "constant", "label", "absent"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Touch(_Strict):
    """What is done to one signal of some records.

    ``probability`` is the new chance of a rate; ``factor`` multiplies a value; ``offset`` is added to it; ``growth``
    is added for each second; ``constant`` replaces it; ``label`` gives a label; ``absent`` takes it away.
    """

    signal: str
    how: How
    amount: float = 0.0
    label: str | None = None
    ramp_s: float = Field(default=0.0, ge=0, description="seconds until it is whole")
    for_s: float | None = Field(default=None, gt=0, description="seconds after which it is over")
    share: float = Field(default=1.0, gt=0, le=1, description="of the records, by chance")


class Where(_Strict):
    """Which records the touches are about: of one label of each name, or a share that carries other versions."""

    labels: dict[str, str] = Field(default_factory=dict, description="such as tenant = 'acme'")
    canary: dict[str, str] = Field(default_factory=dict, description="the versions that these records carry")
    share: float = Field(default=1.0, gt=0, le=1, description="of the records that carry the canary's versions")
    early_s: float = Field(default=0.0, ge=0, description="seconds before the change from which the canary serves")


class Traffic(_Strict):
    """From ``after_s`` on, for ``for_s`` seconds, there are ``factor`` times as many requests."""

    after_s: float = Field(default=0.0, ge=0)
    for_s: float = Field(gt=0)
    factor: float = Field(ge=0, le=10)


class Disturbance(_Strict):
    """What happens to the messages on their way, from the change on."""

    late_s: float = Field(default=0.0, ge=0, description="seconds a record may be late, by chance")
    twice: float = Field(default=0.0, ge=0, le=1, description="share of records that come twice")
    skew_s: float = Field(default=0.0, description="seconds by which the clock of every tenth server is wrong")
    storm: int = Field(default=0, ge=0, description="failed retries of one client within a second, at the change")
    evaluations: int = Field(default=0, ge=0, description="healthy ones that arrive within a second, at the change")
    absurd: dict[str, float] = Field(default_factory=dict, description="values of one record, at the change")
    year_2200: bool = Field(default=False, description="one record from the year 2200, at the change")


class Probes(_Strict):
    """A known-bad prompt every so often; from the change on it is blocked or not."""

    every_s: float = Field(gt=0)
    blocked: bool


class Scenario(_Strict):
    """One file. ``name`` is the file's; times are seconds from the change."""

    name: str
    title: str
    why: str = Field(description="where it comes from, and why what is expected is right")
    kind: Kind
    world: Literal["bot", "design"] = "bot"
    tier: Literal["page", "ticket"] | None = Field(default=None, description="of a failure: what should be found")
    signals: tuple[str, ...] = Field(default=(), description="of a failure: any of them found is found")
    also: tuple[str, ...] = Field(default=(), description="other signals that move with it")
    clear: bool = Field(default=False, description="a step whose size stands out: its delay is held against the floor")
    slow: bool = Field(default=False, description="a slow drift, which the ticket tier should find first")
    design_delay: int | None = Field(default=None, description="records, at evidence 25, of the design's table")
    hour: float = Field(default=10.0, ge=0, lt=24, description="of the day, at the change")
    day: int = Field(default=1, ge=1, le=7, description="days after the baseline's")
    embeddings: bool = Field(default=False, description="whether records carry one: sixteen numbers")
    baseline_days: int = Field(default=1, ge=1, le=14, description="how long the baseline was learned, to that Monday")
    whole_day: bool = Field(default=False, description="whether the baseline saw every record of its day")
    records_per_second: float = Field(default=50.0, gt=0, le=1000)
    healthy_s: float = Field(default=100.0, gt=0)
    after_s: float = Field(default=200.0, gt=0)
    touch: tuple[Touch, ...] = ()
    where: Where = Where()
    traffic: tuple[Traffic, ...] = ()
    messages: Disturbance = Disturbance()
    probes: Probes | None = None

    @model_validator(mode="after")
    def _says_what_is_expected(self) -> "Scenario":
        if (self.kind == "failure") != (self.tier is not None and bool(self.signals)):
            raise ValueError("a failure says its tier and signals, and a harmless scenario has neither")
        return self

    @property
    def moved(self) -> frozenset[str]:
        """The signals that may be found without a false alarm."""
        return frozenset((*self.signals, *self.also, *(touch.signal for touch in self.touch)))


def scenarios(kind: Kind | None = None, folder: Path = FOLDER) -> list[Scenario]:
    """All scenarios, or those of a kind, by name.

    Raises
    ------
    LoadError
        If a file cannot be read as one.
    """
    found = [read(path) for path in sorted(folder.glob("*.toml"))]
    return [scenario for scenario in found if kind in (None, scenario.kind)]


def read(path: Path) -> Scenario:
    """The scenario of one file.

    Raises
    ------
    LoadError
        Naming the file and what is wrong in it.
    """
    try:
        return Scenario(name=path.stem, **tomllib.loads(path.read_text("utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, TypeError, UnicodeDecodeError) as error:
        raise LoadError(f"{path} is no scenario: {'; '.join(_problems(error))}") from error


_KEYS = {name for model in (Scenario, Touch, Where, Traffic, Disturbance, Probes) for name in model.model_fields}


def _problems(error: Exception) -> Iterator[str]:
    if not isinstance(error, ValidationError):
        yield one_line(error)
        return
    for problem in error.errors(include_url=False):
        place = ".".join(map(str, problem["loc"])) or "the whole"
        if problem["type"] == "extra_forbidden":
            yield f"{place} is not a key: {did_you_mean(str(problem['loc'][-1]), _KEYS)}"
        else:
            yield f"{place}: {problem['msg']}"

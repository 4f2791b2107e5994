"""The failures: whether each was found in the right tier, how late beside the least possible, and since when."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from load.score.simulation import Scenario, baseline_of, begins_ms, normal_of
from load.score.suites.floor import floor_of
from load.score.suites.play import Played, play_scenario
from load.score.suites.river_detectors import alarms
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DetectSettings
from schemas.drift import Drift

SEEDS, FEWER_SEEDS = 7, 3
"""Runs of a failure; the fewer for slow drifts, which take long."""

CLEAR_WORST, CLEAR_MEDIAN = 1.6, 1.3
FOUND_SHARE = 0.95
START_ERROR = 100
DESIGN_EVIDENCE = 25.0


@dataclass(frozen=True, slots=True)
class Run:
    """One failure with one seed.

    ``found``: a drift of an expected signal at the expected tier began after the change; where a ticket is expected,
    no page of an expected signal came before it. ``delay_records`` counts the service's records, from the first after
    the change to the one that fired. ``false_pages`` and ``false_tickets`` began before the change, or are of signals
    that nothing moved. ``rivers`` holds for each detector the alarms before the change, and the delay or None.
    """

    scenario: str
    seed: int
    found: bool
    tier: str | None
    delay_records: int | None
    delay_s: float | None
    start_error_records: int | None
    floor_records: float | None
    threshold: float | None
    ticket_first: bool
    false_pages: int
    false_tickets: int
    signal: str
    rivers: dict[str, tuple[int, int | None]]
    config_hash: str


def seeds(scenario: Scenario) -> int:
    """How many runs a failure gets."""
    return FEWER_SEEDS if scenario.slow or scenario.whole_day else SEEDS


def run_failure(scenario: Scenario, seed: int, settings: DetectSettings) -> Run:
    """Play one failure and compare."""
    if scenario.design_delay is not None:
        settings = at_evidence(DESIGN_EVIDENCE, scenario, seed, settings)
    at_ms = begins_ms(scenario, seed)

    def told(drift: Drift) -> bool:
        return drift.signal in scenario.signals and drift.detected_at >= at_ms

    played = play_scenario(scenario, seed, settings, lambda drift: told(drift) and drift.tier == scenario.tier)
    assert played.columns is not None  # noqa: S101  it was asked for
    times_ms = played.columns.times_ms
    first = int(np.searchsorted(times_ms, at_ms))
    own = [drift for drift in played.fired if told(drift)]
    right = [drift for drift in own if drift.tier == scenario.tier]
    found = right[0] if right else None
    pages = [drift for drift in own if drift.tier == "page"]
    too_much = scenario.tier == "ticket" and found is not None and bool(pages)
    too_much = too_much and pages[0].detected_at <= found.detected_at  # type: ignore[union-attr]
    wrong = [drift for drift in played.fired if drift.detected_at < at_ms or drift.signal not in scenario.moved]
    values = {name: played.columns.values[name][first:] for name in scenario.signals if name in played.columns.values}
    floor = None
    judged = bool(values) or scenario.clear
    if judged and scenario.tier is not None and first < times_ms.size and not scenario.where.canary:
        floor = floor_of(played.baseline, settings, values, times_ms[first:], scenario.tier).records
    return Run(
        scenario=scenario.name,
        seed=seed,
        found=found is not None and not too_much,
        tier=None if not own else own[0].tier if found is None else found.tier,
        delay_records=None if found is None else _row(times_ms, found.detected_at) - first + 1,
        delay_s=None if found is None else (found.detected_at - at_ms) / 1000,
        start_error_records=None if found is None else abs(_row(times_ms, found.started_at) - first),
        floor_records=None if floor is None or not np.isfinite(floor) else floor,
        threshold=None if found is None else found.threshold,
        ticket_first=_ticket_first(own),
        false_pages=sum(drift.tier == "page" for drift in wrong),
        false_tickets=sum(drift.tier == "ticket" for drift in wrong),
        signal=found.signal if found is not None else scenario.signals[0],
        rivers=_rivers(scenario, played, first),
        config_hash=settings.digest(),
    )


def at_evidence(evidence: float, scenario: Scenario, seed: int, settings: DetectSettings) -> DetectSettings:
    """The settings under which pages of this baseline need so much evidence: as many false pages a year as that gives."""
    baseline = baseline_of(normal_of(scenario, seed), settings)
    usual = next(side.threshold for side in derive_tests(baseline, settings)[0] if side.tier == "page")
    pages = settings.false_pages_per_year * float(np.exp(usual - evidence))
    return settings.model_copy(update={"false_pages_per_year": pages})


def _row(times_ms: np.ndarray, time_ms: int) -> int:
    return int(np.searchsorted(times_ms, time_ms))


def _ticket_first(own: list[Drift]) -> bool:
    tickets = [drift.detected_at for drift in own if drift.tier == "ticket"]
    pages = [drift.detected_at for drift in own if drift.tier == "page"]
    return bool(tickets) and (not pages or tickets[0] <= pages[0])


def _rivers(scenario: Scenario, played: Played, first: int) -> dict[str, tuple[int, int | None]]:
    assert played.columns is not None  # noqa: S101  as above
    name = next((name for name in scenario.signals if name in played.columns.values), None)
    if name is None or scenario.slow:
        return {}
    column = played.columns.values[name]
    carried = ~np.isnan(column)
    row = int(np.count_nonzero(carried[:first]))
    return {each.detector: (each.before(row), each.after(row)) for each in alarms(column[carried])}


def summary(scenario: Scenario, runs: list[Run]) -> dict[str, Any]:
    """The row of a scenario over its seeds."""
    delays = [run.delay_records for run in runs if run.delay_records is not None]
    ratios = [run.delay_records / run.floor_records for run in runs if run.delay_records and run.floor_records]
    starts = [run.start_error_records for run in runs if run.start_error_records is not None]
    seconds = [run.delay_s for run in runs if run.delay_s is not None]
    rivers = {
        name: {
            "alarms_before": sum(run.rivers[name][0] for run in runs if name in run.rivers),
            "median_delay": _median([run.rivers[name][1] for run in runs if name in run.rivers]),
        }
        for name in (runs[0].rivers if runs else {})
    }
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "suite": "failures",
        "clear": scenario.clear,
        "slow": scenario.slow,
        "expected_tier": scenario.tier,
        "seeds": [run.seed for run in runs],
        "found_share": sum(run.found for run in runs) / len(runs),
        "median_delay_records": median(delays) if delays else None,
        "median_delay_s": median(seconds) if seconds else None,
        "median_floor_records": _median([run.floor_records for run in runs]),
        "median_delay_over_floor": median(ratios) if ratios else None,
        "median_start_error_records": median(starts) if starts else None,
        "threshold": _median([run.threshold for run in runs]),
        "ticket_first_share": sum(run.ticket_first for run in runs) / len(runs),
        "false_pages": sum(run.false_pages for run in runs),
        "false_tickets": sum(run.false_tickets for run in runs),
        "design_delay_records": scenario.design_delay,
        "rivers": rivers,
        "runs": [asdict(run) for run in runs],
    }


def _median(values: list[Any]) -> float | None:
    some = [value for value in values if value is not None]
    return float(median(some)) if some else None

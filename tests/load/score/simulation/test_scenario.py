"""Scenarios: their files, the size of their effects, and their disturbances."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from load.errors import LoadError
from load.score.simulation import extra_signals
from load.score.simulation.disturbances import disturb
from load.score.simulation.scenario import FOLDER, MONDAY_MS, Disturbance, Scenario, Touch, read_scenario
from load.score.simulation.stream import generate_stream
from load.world.record_columns import RecordColumns
from load.world.world import RATES, SIGNALS, World
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS
from pipeline.detect.signals.catalogue import SIGNALS as CATALOGUE
from schemas.record import Record
from schemas.topics import DAY_MS
from tests.load.score.scenarios import ALL, SEED, find_scenario

KNOWN = {signal.name for signal in (*CATALOGUE, *CATEGORIES, *EVENTS)}
FAILURES = [scenario for scenario in ALL if scenario.kind == "failure" and scenario.world == "bot"]
USUAL_RATES = {name: rate for name, (rate, _) in (RATES | extra_signals.RATES).items()} | {
    "tool_error": extra_signals.TOOL_ERROR
}

ODDS_MAX = (0.10 / 0.90) / (0.01 / 0.99) * 1.01
"""Refusals from 1 to 10 %: the largest step of a rate in the table, apart from very rare ones."""

VERY_RARE = 2e-4
"""Rates up to this may rise to any value, as empty outputs do in the table."""

FACTOR_MAX = 3.0
DEVIATIONS_MAX = math.log(3.0) / 0.6 * 1.02
"""Latency times three, in standard deviations of its logarithm."""


def odds(probability: float) -> float:
    return probability / (1.0 - probability)


def generate_healthy(records: int = 20_000, start_ms: int = MONDAY_MS + 10 * 3_600_000) -> RecordColumns:
    parts = World(SEED, start_ms).generate(records=records)
    return RecordColumns.concatenate(
        [extra_signals.add_agent_signals(extra_signals.add_extra_signals(columns, SEED), SEED) for columns in parts]
    )


def generate_columns(scenario: Scenario) -> tuple[RecordColumns, np.ndarray]:
    """The columns of a scenario, and a mask of the records after the change."""
    columns = RecordColumns.concatenate([part.columns for part in generate_stream(scenario, SEED)])
    return columns, columns.times_ms >= scenario.nominal_change_ms + 1000


@pytest.fixture(scope="module")
def healthy() -> RecordColumns:
    return generate_healthy()


def relative_size(touch: Touch, scenario: Scenario, healthy: RecordColumns) -> float:
    """The size of a change, as a share of the largest change of its kind in the design's table."""
    if touch.how in ("constant", "growth", "absent"):
        return 1.0
    if touch.how == "factor":
        return max(touch.amount, 1.0 / touch.amount) / FACTOR_MAX
    if touch.share < 1.0 and touch.how == "offset":
        # A few extreme records: the share beyond the usual hundredth is a rate.
        return odds(0.01 + 0.99 * touch.share) / odds(0.01) / ODDS_MAX
    if touch.how == "offset":
        return abs(touch.amount) / float(np.nanstd(healthy.values[touch.signal])) / DEVIATIONS_MAX
    if touch.how == "label":
        before = extra_signals.FINISH_REASONS.get(touch.label or "", 0.0) if touch.signal == "finish_reason" else 0.0
        return odds(before + touch.share * (1.0 - before)) / odds(before) / ODDS_MAX if before else 1.0
    before, share = USUAL_RATES[touch.signal], 1.0
    for name, label in scenario.where.labels.items():
        share *= {"region": extra_signals.REGIONS, "tenant": extra_signals.TENANTS}[name][label]
    after = before + share * (touch.amount - before)
    if min(before, 1.0 - before) <= VERY_RARE:
        return 1.0
    return max(odds(after) / odds(before), odds(before) / odds(after)) / ODDS_MAX


@pytest.mark.parametrize("scenario", FAILURES, ids=lambda scenario: scenario.name)
def test_no_failure_is_larger_than_those_in_the_table_of_the_design(scenario: Scenario, healthy: RecordColumns) -> None:
    for touch in scenario.touch:
        if touch.signal != "embedding":
            assert relative_size(touch, scenario, healthy) <= 1.0, touch


def test_confidence_sinks_no_faster_than_the_design_measured() -> None:
    scenario = find_scenario("confidence_sinks")
    (touch,) = scenario.touch
    assert abs(touch.amount) / (touch.ramp_s * scenario.records_per_second) <= 0.05 / 100_000


@pytest.mark.parametrize(
    ("how", "signal", "amount"),
    [("probability", "refused", 0.1), ("factor", "latency_ms", 3.0), ("offset", "similarity", -0.15)],
)
def test_a_touch_changes_its_signal_by_its_amount(how: str, signal: str, amount: float) -> None:
    touch = Touch(signal=signal, how=how, amount=amount)
    scenario = find_scenario("refusals_up").model_copy(update={"touch": (touch,), "name": "sizes"})
    columns, after = generate_columns(scenario)
    without, _ = generate_columns(scenario.model_copy(update={"touch": ()}))
    changed, unchanged = columns.values[signal][after], without.values[signal][after]
    if how == "probability":
        assert changed.mean() == pytest.approx(amount, abs=0.01)
    elif how == "factor":
        assert np.median(changed / unchanged) == pytest.approx(amount)
    else:
        assert np.median(changed - unchanged) == pytest.approx(amount)


def test_a_canary_fails_only_in_its_own_records() -> None:
    columns, after = generate_columns(find_scenario("canary_goes_bad"))
    canary = np.array([versions["prompt"] == "v42" for versions in columns.versions])
    assert not canary[~after & (columns.times_ms < columns.times_ms[after][0] - 1000)].any()
    assert canary[after].mean() == pytest.approx(0.05, abs=0.01)
    assert columns.values["refused"][canary].mean() == pytest.approx(0.1, abs=0.03)
    assert columns.values["refused"][after & ~canary].mean() == pytest.approx(0.01, abs=0.004)


def test_a_label_limits_a_failure_to_the_records_that_carry_it() -> None:
    columns, after = generate_columns(find_scenario("one_region_broken"))
    inside = np.array(columns.labels["region"]) == "us-east-1"
    assert columns.values["error"][after & inside].mean() == pytest.approx(0.23, abs=0.045)
    assert columns.values["error"][after & ~inside].mean() < 0.01
    assert columns.values["error"][after].mean() == pytest.approx(0.05, abs=0.012)


def test_tenants_have_their_shares_and_other_shares_on_a_weekend() -> None:
    for start_ms, shares in (
        (MONDAY_MS, extra_signals.TENANTS),
        (MONDAY_MS + 5 * DAY_MS, extra_signals.WEEKEND_TENANTS),
    ):
        found = Counter(generate_healthy(start_ms=start_ms + 3_600_000).labels["tenant"])
        for tenant, share in shares.items():
            assert found[tenant] / found.total() == pytest.approx(share, abs=0.015)


def test_requests_differ_slightly_between_tenants() -> None:
    plain = World(SEED, MONDAY_MS).draw(4096)
    columns = extra_signals.add_extra_signals(plain, SEED)
    ratio = columns.values["length"] / plain.values["length"]
    expected = [extra_signals.TENANT_LEVELS[str(tenant)] for tenant in columns.labels["tenant"]]
    assert np.allclose(ratio, expected)
    assert np.array_equal(columns.values["confidence"], plain.values["confidence"])


def disturbed_lines(**messages: object) -> list[dict[str, object]]:
    scenario = Scenario(name="x", title="x", why="x", kind="harmless", messages=Disturbance(**messages))
    columns = World(SEED, MONDAY_MS).draw(500)
    lines = [
        orjson.dumps({"request_id": f"r{row}", "timestamp": int(time)}) for row, time in enumerate(columns.times_ms)
    ]
    at_ms = int(columns.times_ms[250])
    random = np.random.default_rng(SEED)
    return [orjson.loads(line) for line in disturb(lines, columns, scenario, at_ms, random, before_ms=MONDAY_MS - 1)]


def test_an_event_between_two_parts_of_a_stream_happens_once() -> None:
    scenario = Scenario(name="x", title="x", why="x", kind="harmless", messages=Disturbance(storm=50))
    world = World(SEED, MONDAY_MS, records_per_second=1.0)
    parts = [world.draw(100) for _ in range(3)]
    last_ms, next_ms = int(parts[0].times_ms[-1]), int(parts[1].times_ms[0])
    random = np.random.default_rng(SEED)
    before_ms, line_counts = MONDAY_MS - 1, []
    for part in parts:
        lines = [b"{}"] * 100
        line_counts.append(len(disturb(lines, part, scenario, (last_ms + next_ms) // 2, random, before_ms=before_ms)))
        before_ms = int(part.times_ms[-1])
    assert next_ms - last_ms > 2
    assert line_counts == [100, 150, 100]


def test_without_a_disturbance_lines_are_unchanged() -> None:
    assert [line["request_id"] for line in disturbed_lines()] == [f"r{row}" for row in range(500)]


def test_records_are_sent_twice_only_after_the_change() -> None:
    found = Counter(line["request_id"] for line in disturbed_lines(twice=0.5))
    assert all(found[f"r{row}"] == 1 for row in range(250))
    assert sum(count == 2 for count in found.values()) == pytest.approx(125, abs=30)


def test_the_clock_of_one_server_in_ten_is_wrong_after_the_change() -> None:
    right, wrong = (np.array([line["timestamp"] for line in disturbed_lines(skew_s=skew)]) for skew in (0.0, 30.0))
    assert np.array_equal(np.unique(wrong - right), [0, 30_000])
    assert np.count_nonzero(wrong != right) == 25


def test_evaluations_have_distinct_ids() -> None:
    found = [line for line in disturbed_lines(evaluations=400) if str(line["request_id"]).startswith("evaluated-")]
    assert len({line["request_id"] for line in found}) == 400
    assert {tuple(line) for line in found} == {("subject", "request_id", "timestamp", "output")}
    assert sum(line["output"]["hallucinated"] for line in found) < 30  # type: ignore[index]


def test_a_misspelt_key_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    text = (FOLDER / "refusals_up.toml").read_text()
    path.write_text(text.replace("amount", "amuont"))
    with pytest.raises(LoadError, match=r'unknown key touch\.0\.amuont; did you mean "amount"\?'):
        read_scenario(path)


def test_an_unknown_key_is_an_error_that_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text((FOLDER / "refusals_up.toml").read_text() + 'tiers = "page"\n')
    with pytest.raises(LoadError, match=r"wrong\.toml is not a scenario: unknown key .*tiers"):
        read_scenario(path)


def test_a_failure_without_an_expectation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('title = "x"\nwhy = "y"\nkind = "failure"\n')
    with pytest.raises(LoadError, match="a failure needs a tier and signals"):
        read_scenario(path)


def test_without_its_event_a_scenario_that_is_only_an_hour_moves_to_an_average_one() -> None:
    night, weekend, storm = map(find_scenario, ("night", "weekend", "retry_storm"))
    assert (night.without_event().hour, weekend.without_event().day) == (9.0, 1)
    assert storm.without_event().hour == storm.hour


def test_there_are_as_many_scenarios_as_the_score_promises() -> None:
    kinds = [scenario.kind for scenario in ALL]
    assert kinds.count("failure") >= 35
    assert kinds.count("harmless") >= 20
    assert sum(scenario.clear for scenario in ALL) >= 12


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_scenario_has_a_title_a_reason_and_signals_that_exist(scenario: Scenario) -> None:
    assert len(scenario.title) > 8
    assert len(scenario.why) > 20
    assert set(scenario.signals) <= KNOWN
    assert {touch.signal for touch in scenario.touch} <= KNOWN | {"region", "tenant", "embedding"}
    assert not scenario.clear or scenario.tier == "page"


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_the_same_seed_gives_the_same_stream_of_records_of_the_contract(scenario: Scenario) -> None:
    scenario = scenario.model_copy(update={"healthy_s": 5.0, "after_s": min(scenario.after_s, 10.0)})
    first, second = ([part.lines for part in generate_stream(scenario, SEED)] for _ in range(2))
    assert first == second
    lines = [line for part in first for line in part]
    assert lines
    for line in lines[:: max(1, len(lines) // 50)]:
        Record.from_json(line)


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in ALL if scenario.touch and scenario.world == "bot"],
    ids=lambda scenario: scenario.name,
)
def test_a_touch_changes_its_signal_after_the_change_and_not_before(scenario: Scenario) -> None:
    scenario = scenario.model_copy(update={"healthy_s": 20.0, "after_s": min(scenario.after_s, 60.0)})
    untouched = scenario.model_copy(update={"touch": ()})
    for touch in scenario.touch:
        if touch.signal == "embedding" or (touch.how == "factor" and touch.amount == 1.0):
            continue
        columns = []
        for variant in (scenario, untouched):
            parts = [part.columns for part in generate_stream(variant, SEED)]
            if touch.signal in SIGNALS or touch.signal in parts[0].values:
                columns.append([str(value) for part in parts for value in part.values[touch.signal]])
            else:
                columns.append([str(label) for part in parts for label in part.labels[touch.signal]])
        first = round(20.0 * scenario.records_per_second * 0.7)
        assert columns[0][:first] == columns[1][:first]
        assert columns[0] != columns[1]


def test_an_index_that_is_rebuilt_every_night_is_up_to_three_minutes_early_or_late():
    times_ms = MONDAY_MS + np.arange(0, 5 * DAY_MS, 60_000)
    columns = extra_signals.add_rebuilds(RecordColumns(times_ms, 0, {}, [{}] * times_ms.size), SEED)
    ages = columns.values["index_age_s"]
    resets = times_ms[1:][np.diff(ages) < 0] % DAY_MS / 1000 - 2 * 3600
    assert resets.size == 5
    assert (resets >= -180).all()
    assert (resets <= 240).all()
    assert np.allclose(np.diff(ages)[np.diff(ages) > 0], 60.0)
    parts = [
        extra_signals.add_rebuilds(RecordColumns(part, 0, {}, [{}] * part.size), SEED).values["index_age_s"]
        for part in np.array_split(times_ms, 7)
    ]
    assert np.array_equal(np.concatenate(parts), ages)
    missed = extra_signals.add_rebuilds(columns, SEED, missed_from_ms=MONDAY_MS + 2 * DAY_MS + 2 * 3_600_000)
    due = times_ms < MONDAY_MS + 2 * DAY_MS + 3_600_000
    assert np.array_equal(missed.values["index_age_s"][due], ages[due])
    assert np.allclose(np.diff(missed.values["index_age_s"][~due]), 60.0)


def test_a_missed_rebuild_without_its_event_is_a_healthy_night():
    assert find_scenario("rebuild_missed").without_event().rebuilds == "nightly"

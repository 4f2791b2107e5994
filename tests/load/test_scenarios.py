"""Scenarios do what they say, by as much as they say, and nothing larger than what the design's table has."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from load.errors import LoadError
from load.score.simulation import extra_signals as further
from load.score.simulation.disturbances import disturbed
from load.score.simulation.scenario import FOLDER, Disturbance, Scenario, Touch, read, scenarios
from load.score.simulation.stream import MONDAY_MS, change_ms, joined, stream
from load.world.noise import DAY_MS
from load.world.world import RATES, Columns, World, generate

SEED = 77
FAILURES = [each for each in scenarios("failure") if each.world == "bot"]
USUAL_RATES = {name: rate for name, (rate, _) in (RATES | further.RATES).items()}

ODDS_MAX = (0.10 / 0.90) / (0.01 / 0.99) * 1.01
"""Refusals from 1 to 10 %: the largest step of a rate in the table, but for one that nearly never happens."""

NEARLY_NEVER = 2e-4
"""Rates of which the table has a step to all: outputs that are empty."""

FACTOR_MAX = 3.0
DEVIATIONS_MAX = math.log(3.0) / 0.6 * 1.02
"""Latency times three, in standard deviations of its logarithm."""


def odds(chance: float) -> float:
    return chance / (1.0 - chance)


def healthy(records: int = 20_000, start_ms: int = MONDAY_MS + 10 * 3_600_000) -> Columns:
    return joined(list(map(wide, generate(World(SEED, start_ms), records=records))))


def wide(columns: Columns) -> Columns:
    return further.widened(columns, SEED)


def played(scenario: Scenario) -> tuple[Columns, np.ndarray]:
    """The columns of a scenario, and which records are of the time after the change."""
    columns = joined([part.columns for part in stream(scenario, SEED)])
    return columns, columns.times_ms >= change_ms(scenario) + 1000


@pytest.fixture(scope="module")
def usual() -> Columns:
    return healthy()


def size(touch: Touch, scenario: Scenario, usual: Columns) -> float:
    """How large a touch is, as a share of the largest of its kind in the design's table."""
    if touch.how in ("constant", "growth", "absent"):
        return 1.0
    if touch.how == "factor":
        return max(touch.amount, 1.0 / touch.amount) / FACTOR_MAX
    if touch.share < 1.0 and touch.how == "offset":
        # A few records far out: what is beyond a hundredth of the usual ones is a rate.
        return odds(0.01 + 0.99 * touch.share) / odds(0.01) / ODDS_MAX
    if touch.how == "offset":
        return abs(touch.amount) / float(np.nanstd(usual.values[touch.signal])) / DEVIATIONS_MAX
    if touch.how == "label":
        before = further.FINISH_REASONS.get(touch.label or "", 0.0) if touch.signal == "finish_reason" else 0.0
        return odds(before + touch.share * (1.0 - before)) / odds(before) / ODDS_MAX if before else 1.0
    before, share = USUAL_RATES[touch.signal], 1.0
    for name, label in scenario.where.labels.items():
        share *= {"region": further.REGIONS, "tenant": further.TENANTS}[name][label]
    after = before + share * (touch.amount - before)
    if min(before, 1.0 - before) <= NEARLY_NEVER:
        return 1.0
    return max(odds(after) / odds(before), odds(before) / odds(after)) / ODDS_MAX


@pytest.mark.parametrize("scenario", FAILURES, ids=lambda scenario: scenario.name)
def test_no_failure_is_larger_than_those_of_the_designs_table(scenario: Scenario, usual: Columns) -> None:
    for touch in scenario.touch:
        if touch.signal != "embedding":
            assert size(touch, scenario, usual) <= 1.0, touch


def test_confidence_sinks_no_faster_than_the_design_measured() -> None:
    (scenario,) = (each for each in FAILURES if each.name == "confidence_sinks")
    (touch,) = scenario.touch
    assert abs(touch.amount) / (touch.ramp_s * scenario.records_per_second) <= 0.05 / 100_000


@pytest.mark.parametrize(
    ("how", "signal", "amount"), [("probability", "refused", 0.1), ("factor", "latency_ms", 3.0), ("offset", "similarity", -0.15)]
)  # fmt: skip
def test_a_touch_moves_its_signal_by_as_much_as_it_says(how: str, signal: str, amount: float) -> None:
    touch = Touch(signal=signal, how=how, amount=amount)
    scenario = read(FOLDER / "refusals_up.toml").model_copy(update={"touch": (touch,), "name": "sizes"})
    columns, after = played(scenario)
    without, _ = played(scenario.model_copy(update={"touch": ()}))
    moved, still = columns.values[signal][after], without.values[signal][after]
    if how == "probability":
        assert moved.mean() == pytest.approx(amount, abs=0.01)
    elif how == "factor":
        assert np.median(moved / still) == pytest.approx(amount)
    else:
        assert np.median(moved - still) == pytest.approx(amount)


def test_a_canary_fails_in_its_own_records_alone() -> None:
    columns, after = played(read(FOLDER / "canary_goes_bad.toml"))
    canary = np.array([versions["prompt"] == "v42" for versions in columns.versions])
    assert not canary[~after & (columns.times_ms < columns.times_ms[after][0] - 1000)].any()
    assert canary[after].mean() == pytest.approx(0.05, abs=0.01)
    assert columns.values["refused"][canary].mean() == pytest.approx(0.1, abs=0.03)
    assert columns.values["refused"][after & ~canary].mean() == pytest.approx(0.01, abs=0.004)


def test_a_label_limits_a_failure_to_its_records() -> None:
    columns, after = played(read(FOLDER / "one_region_broken.toml"))
    inside = np.array(columns.labels["region"]) == "us-east-1"
    assert columns.values["error"][after & inside].mean() == pytest.approx(0.23, abs=0.045)
    assert columns.values["error"][after & ~inside].mean() < 0.01
    assert columns.values["error"][after].mean() == pytest.approx(0.05, abs=0.012)


def test_tenants_have_their_shares_and_another_mix_on_a_weekend() -> None:
    for start_ms, shares in ((MONDAY_MS, further.TENANTS), (MONDAY_MS + 5 * DAY_MS, further.WEEKEND_TENANTS)):
        found = Counter(healthy(start_ms=start_ms + 3_600_000).labels["tenant"])
        for tenant, share in shares.items():
            assert found[tenant] / found.total() == pytest.approx(share, abs=0.015)


def test_each_tenant_asks_a_little_differently() -> None:
    plain = World(SEED, MONDAY_MS).draw(4096)
    columns = wide(plain)
    ratio = columns.values["length"] / plain.values["length"]
    expected = [further.TENANT_LEVELS[str(tenant)] for tenant in columns.labels["tenant"]]
    assert np.allclose(ratio, expected)
    assert np.array_equal(columns.values["confidence"], plain.values["confidence"])


def lines_with(**messages: object) -> list[dict[str, object]]:
    scenario = Scenario(
        name="x", title="x", why="x", kind="harmless", messages=Disturbance(**messages)
    )  # fmt: skip
    columns = World(SEED, MONDAY_MS).draw(500)
    lines = [
        orjson.dumps({"request_id": f"r{row}", "timestamp": int(time)}) for row, time in enumerate(columns.times_ms)
    ]
    at_ms = int(columns.times_ms[250])
    random = np.random.default_rng(SEED)
    return [orjson.loads(line) for line in disturbed(lines, columns, scenario, at_ms, random, before_ms=MONDAY_MS - 1)]


def test_what_happens_between_two_parts_of_a_stream_happens_once() -> None:
    scenario = Scenario(name="x", title="x", why="x", kind="harmless", messages=Disturbance(storm=50))
    world = World(SEED, MONDAY_MS, records_per_second=1.0)
    parts = [world.draw(100) for _ in range(3)]
    last_ms, next_ms = int(parts[0].times_ms[-1]), int(parts[1].times_ms[0])
    random = np.random.default_rng(SEED)
    before_ms, found = MONDAY_MS - 1, []
    for part in parts:
        lines = [b"{}"] * 100
        found.append(len(disturbed(lines, part, scenario, (last_ms + next_ms) // 2, random, before_ms=before_ms)))
        before_ms = int(part.times_ms[-1])
    assert next_ms - last_ms > 2
    assert found == [100, 150, 100]


def test_a_service_that_nothing_disturbs_sends_its_lines_as_they_are() -> None:
    assert [line["request_id"] for line in lines_with()] == [f"r{row}" for row in range(500)]


def test_what_comes_twice_comes_twice_in_a_row_and_only_after_the_change() -> None:
    found = Counter(line["request_id"] for line in lines_with(twice=0.5))
    assert all(found[f"r{row}"] == 1 for row in range(250))
    assert sum(count == 2 for count in found.values()) == pytest.approx(125, abs=30)


def test_the_clock_of_one_server_in_ten_is_wrong_after_the_change() -> None:
    right, wrong = (np.array([line["timestamp"] for line in lines_with(skew_s=skew)]) for skew in (0.0, 30.0))
    assert np.array_equal(np.unique(wrong - right), [0, 30_000])
    assert np.count_nonzero(wrong != right) == 25


def test_evaluations_arrive_within_a_second_each_with_its_own_id() -> None:
    found = [line for line in lines_with(evaluations=400) if str(line["request_id"]).startswith("evaluated-")]
    assert len({line["request_id"] for line in found}) == 400
    assert {tuple(line) for line in found} == {("subject", "request_id", "timestamp", "output")}
    assert sum(line["output"]["hallucinated"] for line in found) < 30  # type: ignore[index]


def test_a_wrong_key_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    text = (FOLDER / "refusals_up.toml").read_text()
    path.write_text(text.replace("amount", "amuont"))
    with pytest.raises(LoadError, match='amuont is not a key: did you mean "amount"'):
        read(path)
    path.write_text(text.replace("clear", "zzzzzz"))
    with pytest.raises(LoadError, match="zzzzzz is not a key: use one of "):
        read(path)

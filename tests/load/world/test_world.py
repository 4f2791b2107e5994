"""The simulated world: the same seed gives the same records, and planted failures change the expected signals."""

import numpy as np
import orjson
import pytest

from load.world.failure_table import FAILURES, SimulatedFailure
from load.world.json_writer import json_lines
from load.world.record_columns import RecordColumns
from load.world.world import SIGNALS, World
from pipeline.detect.signals.catalogue import SIGNALS as CATALOGUE
from schemas.deployment import Deployment
from schemas.record import Record
from schemas.timestamp import parse_timestamp

NOON = parse_timestamp("2026-11-24T12:00:00Z")
ROWS = 12_000


def generate_values(world: World, records: int = ROWS) -> dict[str, np.ndarray]:
    columns = RecordColumns.concatenate(list(world.generate(records=records)))
    return columns.values | {"times_ms": columns.times_ms}


def generate_lines(seed: int, records: int) -> list[bytes]:
    world = World(seed, NOON)
    return [line for columns in world.generate(records=records) for line in json_lines(columns, seed=seed)]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert generate_lines(7, 5000) == generate_lines(7, 5000)


def test_another_seed_gives_other_records_with_other_ids() -> None:
    first, second = (orjson.loads(generate_lines(seed, 1)[0]) for seed in (7, 8))
    assert first["request_id"] != second["request_id"]
    assert first["infrastructure"] != second["infrastructure"]


def test_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    assert generate_lines(7, 5000)[:300] == generate_lines(7, 300)


def test_every_record_fits_the_contract_and_has_its_own_id() -> None:
    records = [Record.from_json(line) for line in generate_lines(3, 2000)]
    assert len({record.request_id for record in records}) == len(records)
    assert all(record.infrastructure and record.output and record.data and record.safety for record in records)


def test_a_record_carries_every_signal_of_the_world() -> None:
    record = orjson.loads(generate_lines(3, 1)[0])
    by_name = {signal.name: signal for signal in CATALOGUE}
    assert all(by_name[name].field in record[by_name[name].section] for name in SIGNALS)


def test_a_healthy_service_stays_at_its_levels() -> None:
    values = generate_values(World(5, NOON), 40_000)
    assert values["refused"].mean() == pytest.approx(0.01, rel=0.3)
    assert values["error"].mean() == pytest.approx(0.005, rel=0.4)
    assert np.median(values["latency_ms"]) == pytest.approx(800, rel=0.3)
    assert values["schema_valid"].mean() > 0.999


def test_requests_arrive_at_the_rate_asked_for_and_in_order() -> None:
    times_ms = generate_values(World(5, parse_timestamp("2026-11-24T09:00:00Z"), records_per_second=50))["times_ms"]
    assert (np.diff(times_ms) >= 0).all()
    assert ROWS / (times_ms[-1] - times_ms[0]) * 1000 == pytest.approx(50, rel=0.05)


def test_load_is_autocorrelated_also_across_chunks() -> None:
    utilisation = generate_values(World(5, NOON), 20_000)["gpu_utilization"]
    assert np.corrcoef(utilisation[:-1], utilisation[1:])[0, 1] > 0.8
    boundary = utilisation[4095:8193]
    assert abs(boundary[1] - boundary[0]) < 0.2


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_failure_changes_its_signals_from_its_time_on_and_nothing_before(name: str) -> None:
    start_ms = NOON + 120_000
    broken = generate_values(World(11, NOON, failures=(SimulatedFailure(name, start_ms),)))
    healthy = generate_values(World(11, NOON))
    before = broken["times_ms"] < start_ms
    changed = {signal for signal in SIGNALS if not np.array_equal(broken[signal], healthy[signal])}
    assert changed == {effect.signal for effect in FAILURES[name].effects}
    assert all(np.array_equal(broken[signal][before], healthy[signal][before]) for signal in SIGNALS)


def test_refusals_rise_to_nine_percent_and_fall_when_the_failure_ends() -> None:
    failure = SimulatedFailure("refusal_spike", NOON + 60_000, until_ms=NOON + 180_000)
    values = generate_values(World(2, NOON, failures=(failure,)), 20_000)
    during = (values["times_ms"] >= failure.at_ms) & (values["times_ms"] < NOON + 180_000)
    assert values["refused"][during].mean() == pytest.approx(0.09, abs=0.015)
    assert values["refused"][~during].mean() == pytest.approx(0.011, abs=0.004)


def test_a_ramp_reaches_its_full_size_at_its_end() -> None:
    failure = SimulatedFailure("latency_degradation", at_ms=0, size=0.5, ramp_s=100.0)
    assert failure.strength(np.array([-1, 0, 50_000, 100_000, 10**9])).tolist() == [0.0, 0.0, 0.25, 0.5, 0.5]


def test_features_that_are_no_longer_refreshed_grow_older() -> None:
    values = generate_values(World(2, NOON, failures=(SimulatedFailure("stale_features", NOON),)))
    late = values["times_ms"] > NOON + 200_000
    assert values["feature_age_s"][late].min() > 200
    assert values["index_age_s"].max() <= 3600


def test_a_deployment_changes_the_version_that_records_carry() -> None:
    deployed = Deployment(
        deployment_id="d-1",
        timestamp=NOON + 1000,
        kind="prompt",
        subject="support-bot",
        from_version="v41",
        to_version="v42",
    )
    columns = next(World(1, NOON, deployments=(deployed,)).generate(records=500))
    for time_ms, versions in zip(columns.times_ms.tolist(), columns.versions, strict=True):
        assert versions["prompt"] == ("v42" if time_ms >= deployed.timestamp else "v41")


def test_generation_stops_before_the_given_time() -> None:
    parts = list(World(1, NOON).generate(until_ms=NOON + 30_000))
    assert parts[-1].times_ms[-1] < NOON + 30_000
    assert 1000 < sum(len(columns.times_ms) for columns in parts) < 2200


def test_skipping_lets_time_pass_without_records() -> None:
    world = World(1, NOON)
    world.draw(10)
    world.skip_to(NOON + 3_600_000)
    assert world.draw(10).times_ms[0] > NOON + 3_600_000


def test_every_failure_is_named_after_a_failure_mode_of_the_catalogue() -> None:
    assert {row.mode for row in FAILURES.values()} <= {signal.failure_mode for signal in CATALOGUE}


def test_an_unknown_failure_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="refusal_spike"):
        SimulatedFailure("refusals", 0)


@pytest.mark.parametrize("wrong", [{"size": 0.0}, {"ramp_s": -1.0}, {"until_ms": 0}])
def test_an_invalid_failure_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="failure outage"):
        SimulatedFailure("outage", 0, **wrong)  # type: ignore[arg-type]


def test_a_world_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="never ends"):
        next(World(1, NOON).generate())

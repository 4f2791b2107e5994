"""The simulated world: the same seed gives the same records, and what is planted is what happens."""

import numpy as np
import orjson
import pytest

from load.world.failures import FAILURES, failure
from load.world.lines import json_lines
from load.world.plan import Change, Plan
from load.world.world import SIGNALS, Columns, World, generate
from pipeline.detect.signals.catalogue import SIGNALS as CATALOGUE
from schemas.deployment import Deployment
from schemas.record import Record
from schemas.timestamp import parse_timestamp

NOON = parse_timestamp("2026-11-24T12:00:00Z")
ROWS = 12_000


def joined(world: World, records: int = ROWS) -> dict[str, np.ndarray]:
    chunks = list(generate(world, records=records))
    values = {name: np.concatenate([chunk.values[name] for chunk in chunks]) for name in SIGNALS}
    return values | {"times_ms": np.concatenate([chunk.times_ms for chunk in chunks])}


def lines(seed: int, records: int) -> list[bytes]:
    return [line for chunk in generate(World(seed, NOON), records=records) for line in json_lines(chunk, seed=seed)]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert lines(7, 5000) == lines(7, 5000)


def test_another_seed_gives_other_records_with_other_ids() -> None:
    ours, theirs = (orjson.loads(lines(seed, 1)[0]) for seed in (7, 8))
    assert ours["request_id"] != theirs["request_id"]
    assert ours["infrastructure"] != theirs["infrastructure"]


def test_a_shorter_run_is_the_beginning_of_a_longer_one() -> None:
    assert lines(7, 5000)[:300] == lines(7, 300)


def test_every_record_fits_the_contract_and_has_its_own_id() -> None:
    records = [Record.from_json(line) for line in lines(3, 2000)]
    assert len({record.request_id for record in records}) == len(records)
    assert all(record.infrastructure and record.output and record.data and record.safety for record in records)


def test_a_record_carries_every_signal_of_the_world() -> None:
    record = orjson.loads(lines(3, 1)[0])
    by_name = {signal.name: signal for signal in CATALOGUE}
    assert all(by_name[name].field in record[by_name[name].section] for name in SIGNALS)


def test_a_healthy_service_stays_at_its_levels() -> None:
    values = joined(World(5, NOON), 40_000)
    assert values["refused"].mean() == pytest.approx(0.01, rel=0.3)
    assert values["error"].mean() == pytest.approx(0.005, rel=0.4)
    assert np.median(values["latency_ms"]) == pytest.approx(800, rel=0.3)
    assert values["schema_valid"].mean() > 0.999


def test_requests_arrive_at_the_rate_asked_for_and_in_order() -> None:
    times_ms = joined(World(5, parse_timestamp("2026-11-24T09:00:00Z"), records_per_second=50))["times_ms"]
    assert (np.diff(times_ms) >= 0).all()
    assert ROWS / (times_ms[-1] - times_ms[0]) * 1000 == pytest.approx(50, rel=0.05)


def test_load_is_remembered_from_record_to_record_and_across_chunks() -> None:
    utilisation = joined(World(5, NOON), 20_000)["gpu_utilization"]
    assert np.corrcoef(utilisation[:-1], utilisation[1:])[0, 1] > 0.8
    boundary = utilisation[4095:8193]
    assert abs(boundary[1] - boundary[0]) < 0.2


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_failure_moves_what_it_says_from_its_time_on_and_nothing_before(name: str) -> None:
    start_ms = NOON + 120_000
    broken = joined(World(11, NOON, plan=Plan(changes=(Change(name, start_ms),))))
    healthy = joined(World(11, NOON))
    before = broken["times_ms"] < start_ms
    moved = {signal for signal in SIGNALS if not np.array_equal(broken[signal], healthy[signal])}
    assert moved == {effect.signal for effect in failure(name).effects}
    assert all(np.array_equal(broken[signal][before], healthy[signal][before]) for signal in SIGNALS)


def test_refusals_go_to_nine_percent_and_come_back_when_the_failure_ends() -> None:
    change = Change("refusal_spike", NOON + 60_000, until_ms=NOON + 180_000)
    values = joined(World(2, NOON, plan=Plan(changes=(change,))), 20_000)
    during = (values["times_ms"] >= change.at_ms) & (values["times_ms"] < NOON + 180_000)
    assert values["refused"][during].mean() == pytest.approx(0.09, abs=0.015)
    assert values["refused"][~during].mean() == pytest.approx(0.011, abs=0.004)


def test_a_ramp_reaches_its_size_only_at_its_end() -> None:
    change = Change("latency_degradation", at_ms=0, size=0.5, ramp_s=100.0)
    assert change.strength(np.array([-1, 0, 50_000, 100_000, 10**9])).tolist() == [0.0, 0.0, 0.25, 0.5, 0.5]


def test_an_index_that_is_no_longer_rebuilt_grows_older() -> None:
    values = joined(World(2, NOON, plan=Plan(changes=(Change("stale_features", NOON),))))
    late = values["times_ms"] > NOON + 200_000
    assert values["feature_age_s"][late].min() > 200
    assert values["index_age_s"].max() <= 3600


def test_a_deployment_changes_the_version_that_records_carry() -> None:
    deployed = Deployment(
        deployment_id="d-1", timestamp=NOON + 1000, kind="prompt", subject="support-bot",
        from_version="v41", to_version="v42",
    )  # fmt: skip
    columns = next(generate(World(1, NOON, plan=Plan(deployments=(deployed,))), records=500))
    for time_ms, versions in zip(columns.times_ms.tolist(), columns.versions, strict=True):
        assert versions["prompt"] == ("v42" if time_ms >= deployed.timestamp else "v41")


def test_generation_stops_before_the_time_it_is_told() -> None:
    chunks: list[Columns] = list(generate(World(1, NOON), until_ms=NOON + 30_000))
    assert chunks[-1].times_ms[-1] < NOON + 30_000
    assert 1000 < sum(len(chunk.times_ms) for chunk in chunks) < 2200


def test_skipping_lets_time_pass_without_records() -> None:
    world = World(1, NOON)
    world.draw(10)
    world.skip_to(NOON + 3_600_000)
    assert world.draw(10).times_ms[0] > NOON + 3_600_000


def test_every_failure_is_named_after_a_failure_mode_of_the_catalogue() -> None:
    assert {row.mode for row in FAILURES.values()} <= {signal.failure_mode for signal in CATALOGUE}


def test_an_unknown_failure_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="refusal_spike"):
        Change("refusals", 0)


@pytest.mark.parametrize("wrong", [{"size": 0.0}, {"ramp_s": -1.0}, {"until_ms": 0}])
def test_a_change_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the change outage"):
        Change("outage", 0, **wrong)  # type: ignore[arg-type]


def test_a_world_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="never ends"):
        next(generate(World(1, NOON)))

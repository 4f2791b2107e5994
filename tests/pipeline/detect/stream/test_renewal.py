"""Daily renewal of a live baseline: narrower bands, hourly profiles, no failure that becomes normal, exact restarts.

The seeds of these tests were not used to choose any constant.
"""

import random
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.detect.baselines import HourlyHistory
from pipeline.detect.offline.drifts import read_drifts
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import PANE_MS, channels
from pipeline.detect.step import DetectStep
from pipeline.detect.stream.learned_baseline import renew_baseline
from pipeline.step import OutputMessage, RawMessage
from schemas.baseline import Baseline
from schemas.topics import BASELINES
from tests.pipeline.detect.streams import START_MS, Checkpoint, as_json, full_state, message

SETTINGS = DetectSettings(ready_records=500, ready_records_rate=300)
SIGNALS = [
    channels.signal_by_name(name, kind)
    for name, kind in (
        ("latency_ms", "amount"),
        ("error", "rate"),
        ("confidence", "ratio"),
        ("input_tokens", "amount"),
    )
]
RECORDS_PER_HOUR = 400
STEP_S = 50
DAYS = 4


def rows(
    rng: np.random.Generator, day: float, *, confidence: float = 0.0, error: float = 0.01, latency: float = 0.0
) -> np.ndarray:
    """The records of one hour, with a daily cycle of the latency."""
    count = RECORDS_PER_HOUR
    cycle = 0.6 * np.sin(2 * np.pi * day)
    return np.column_stack(
        [
            np.exp(6.0 + cycle + latency + rng.normal(0, 0.3, count)),
            rng.random(count) < error,
            np.clip(0.8 + confidence + rng.normal(0, 0.1, count), 0, 1),
            rng.lognormal(5, 0.5, count),
        ]
    )


class Days:
    """A history of simulated days with daily renewals, without the step."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.history = HourlyHistory("bot")
        self.count, self.totals = 0, np.zeros(len(SIGNALS))
        self.hour = START_MS // 3_600_000 * 3600 + self.history._offset_s % 3600
        self.first = self.hour
        self.baseline: Baseline | None = None
        self.held_back: list[list[str]] = []

    def live_baseline(self) -> Baseline:
        """What the first day teaches. A learner also finds that the records are independent of each other."""
        built, _, _ = self.history.learn(
            Baseline(
                subject="bot",
                baseline_version="v",
                source="live",
                learned_from=START_MS,
                learned_to=START_MS,
                records=0,
                signals={},
            ),
            SETTINGS,
        )
        signals = {
            name: signal.model_copy(
                update={
                    "channels": {
                        channel: learned.model_copy(update={"autocorrelation_time": 1.0})
                        for channel, learned in signal.channels.items()
                    }
                }
            )
            for name, signal in built.signals.items()
        }
        return built.model_copy(update={"source": "live", "signals": signals})

    def run(self, days: int, change: Callable[[float], dict[str, float]] = lambda _day: {}) -> None:
        for _ in range(days * 24):
            day = (self.hour - self.first) / DAY_S
            values = rows(self.rng, self.hour / DAY_S % 1.0, **change(day))
            ended = self._begin_hour()
            if ended and self.baseline is None and self.history.hour_count >= 24:
                self.baseline = self.live_baseline()
            elif ended and self.baseline is not None:
                renewed = renew_baseline(self.baseline, self.history, SETTINGS)
                if renewed is not None:
                    self.baseline = renewed
                    self.held_back.append(renewed.held_back)
            self.history.add_values(values, self.hour + np.arange(len(values)) * 3600 // len(values))
            self.count, self.totals = self.count + len(values), self.totals + values.sum(axis=0)
            self.hour += 3600

    def _begin_hour(self) -> bool:
        moments = np.zeros((3, len(SIGNALS)))
        moments[0], moments[1] = self.count, self.totals / max(1, self.count)
        return self.history.advance(self.hour, SIGNALS, moments)


def half_width(baseline: Baseline, signal: str, tier: str = "ticket") -> float | None:
    """The distance of the null boundary from the mean, or None if the test does not run."""
    tests, _ = derive_tests(baseline, SETTINGS)
    widths = [
        abs(test.null_boundary - test.mean)
        for test in tests
        if (test.signal.name, test.tier) == (signal, tier) and test.channel in ("rate", "location")
    ]
    return widths[0] if widths else None


def test_bands_become_narrower_and_what_follows_the_hour_becomes_testable():
    days = Days(seed=101)
    days.run(2)
    first = days.baseline
    assert first.source == "live"
    days.run(7)
    seasoned = days.baseline
    assert seasoned.source == "renewed"
    assert half_width(first, "confidence") >= 0.15
    assert half_width(seasoned, "confidence") <= 0.5 * half_width(first, "confidence")
    assert half_width(first, "latency_ms") is None
    assert half_width(seasoned, "latency_ms") <= 0.2
    assert seasoned.signals["latency_ms"].profile is not None
    assert half_width(seasoned, "error") < half_width(first, "error")
    assert seasoned.held_back == []


@pytest.mark.parametrize("seed", [201, 202, 203])
def test_a_slow_failure_does_not_become_normal(seed):
    days = Days(seed)
    days.run(18, lambda day: {"confidence": -0.005 * day})
    held = {day for day, names in enumerate(days.held_back) if "confidence" in names}
    # It then stays as it was, so the ticket test of that baseline sees the rest of the way.
    assert held >= set(range(6, len(days.held_back)))
    knots = days.baseline.signals["confidence"].knots
    assert np.interp(0.8 - 0.005 * 14, knots, np.linspace(0, 1, len(knots))) < 0.5 - half_width(
        days.baseline, "confidence"
    )
    assert all("latency_ms" not in names for names in days.held_back)


@pytest.mark.parametrize("seed", [301, 302])
def test_a_move_in_the_good_direction_and_of_a_cause_is_adopted(seed):
    days = Days(seed)
    days.run(12, lambda day: {"confidence": 0.005 * day, "error": max(0.001, 0.01 - 0.001 * day)})
    assert all(names == [] for names in days.held_back)
    assert days.baseline.signals["error"].mean < 0.008


@pytest.mark.parametrize("seed", range(706, 711))
def test_nothing_is_held_back_in_a_service_that_does_not_change(seed):
    days = Days(seed)
    days.run(16)
    assert len(days.held_back) == 14
    assert [names for names in days.held_back if names] == []


def test_a_busy_day_and_a_quiet_night_do_not_hold_a_signal_back():
    """Most hours are quiet, so the median of all values is far from the median of the hours."""
    days = Days(seed=801)
    days.run(9, lambda day: {"latency": 1.0 if 0.3 < (days.hour / DAY_S) % 1.0 < 0.6 else 0.0})
    assert all("latency_ms" not in names for names in days.held_back)
    assert half_width(days.baseline, "latency_ms") <= 0.2


def test_what_was_learned_within_an_hour_is_no_measure_for_a_day():
    days = Days(seed=901)
    days.run(2)
    signals = {
        name: signal.model_copy(
            update={"learned_from": days.baseline.learned_to - 3_600_000, "learned_to": days.baseline.learned_to}
        )
        for name, signal in days.baseline.signals.items()
    }
    accepted = days.baseline.model_copy(update={"source": "accepted", "signals": signals})
    days.run(1)
    renewed = renew_baseline(accepted, days.history, SETTINGS)
    assert renewed.held_back == []
    assert renewed.accepted_levels == {}


def test_an_error_rate_that_steps_up_below_the_page_is_held_back():
    days = Days(seed=401)
    days.run(10, lambda day: {"error": 0.01 if day < 6 else 0.016})
    assert days.held_back[-1] == ["error"]
    assert days.baseline.signals["error"].mean == pytest.approx(0.01, abs=0.002)


def stream(seed: int) -> list[RawMessage]:
    rng = random.Random(seed)
    messages = []
    for number in range(DAYS * DAY_S // STEP_S):
        at = START_MS + number * STEP_S * 1000
        fields = {
            "subject": "bot",
            "request_id": f"r-{number}",
            "timestamp": at,
            "infrastructure": {"latency_ms": round(rng.lognormvariate(6, 0.4), 1), "error": rng.random() < 0.02},
            "output": {"confidence": round(rng.betavariate(8, 3), 4)},
            "data": {"index_age_s": (number * STEP_S + DAY_S // 2) % DAY_S},
            "versions": {"prompt": "v1"},
            "segment": {"region": rng.choice(["eu", "us"])},
        }
        messages.append(message(number, as_json(fields), at))
    return messages


@pytest.fixture(scope="module")
def messages() -> list[RawMessage]:
    return stream(seed=501)


def baselines(outputs: list[OutputMessage]) -> list[tuple[bytes, Baseline]]:
    return [(output.key, Baseline.from_json(output.value)) for output in outputs if output.topic == BASELINES]


@pytest.fixture(scope="module")
def undisturbed(messages) -> tuple[list[OutputMessage], DetectStep]:
    step = DetectStep(0, SETTINGS, replay=True)
    return step.step(messages), step


def test_a_stream_publishes_its_renewed_baseline_once_a_day_under_one_key(undisturbed):
    outputs, step = undisturbed
    (first_key, first), *renewed = baselines(outputs)
    assert first.source == "live"
    assert first_key == f"bot/{first.baseline_version}".encode()
    assert len(renewed) == 2
    assert {key for key, _ in renewed} == {b"bot/renewed/0"}
    assert {baseline.source for _, baseline in renewed} == {"renewed"}
    assert step.streams["bot"].baseline_version == renewed[-1][1].baseline_version
    assert read_drifts(outputs) == []
    ages = [baseline.signals["index_age_s"].ages for baseline in (first, *(baseline for _, baseline in renewed))]
    assert ages[0].resets == 1
    assert ages[1:] == [ages[0]] * 2
    overdue = ("index_age_s", channels.OVERDUE, "up", "ticket")
    assert overdue in step.streams["bot"].monitor.tests.keys


def test_evidence_and_segments_live_on_over_a_renewal(messages):
    step = DetectStep(0, SETTINGS, replay=True)
    checked = 0
    for start in range(0, len(messages), 20):
        stream_before = step.streams.get("bot")
        before = None if stream_before is None else stream_before.monitor
        statistics = (
            None if before is None else dict(zip(before.tests.keys, before.bank.test_statistics.copy(), strict=True))
        )
        outputs = step.step(messages[start : start + 20])
        monitor = step.streams["bot"].monitor
        if before is None or monitor is before:
            continue
        assert [baseline.source for _, baseline in baselines(outputs)] == ["renewed"]
        after = dict(zip(monitor.tests.keys, monitor.bank.test_statistics, strict=True))
        rising = [key for key in statistics if key in after and statistics[key].max() > 0.5]
        assert any(after[key].max() > 0.0 for key in rising)
        values = monitor.segments.dimensions["region"].values
        assert sum(value.recent_records for value in values.values()) > 10
        assert monitor.minute_series.dump()["sums"]
        checked += 1
    assert checked == 2


def test_restarts_and_other_batches_change_nothing(messages, undisturbed):
    outputs, expected = undisturbed
    rng = random.Random(601)
    step, checkpoint = DetectStep(0, SETTINGS, replay=True), Checkpoint()
    published: dict[bytes, RawMessage] = {}
    found: list[OutputMessage] = []
    cuts = sorted(rng.sample(range(1, len(messages)), 25))
    for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        part = step.step(messages[start:end])
        found += part
        for output in part:
            if output.topic == BASELINES:
                published[output.key] = RawMessage(BASELINES, 0, len(published), START_MS, output.key, output.value)
        checkpoint.take(step)
        step = DetectStep(0, SETTINGS, replay=True)
        for control in published.values():
            assert step.control(control) == []
        step = checkpoint.restored(step, rng)
    assert [(output.topic, output.key, output.value) for output in found] == [
        (output.topic, output.key, output.value) for output in outputs
    ]
    assert full_state(step) == full_state(expected)


def test_a_renewed_baseline_is_not_used_by_other_partitions(undisturbed, messages):
    outputs, _ = undisturbed
    live, *renewed = (output for output in outputs if output.topic == BASELINES)
    other = DetectStep(1, SETTINGS, replay=True)
    for number, output in enumerate((live, *renewed)):
        assert other.control(RawMessage(BASELINES, 0, number, START_MS, output.key, output.value)) == []
    list(other.restore([]))
    other.step(messages[:50])
    assert other.streams["bot"].baseline_version == Baseline.from_json(live.value).baseline_version


def test_a_baseline_from_a_file_is_not_renewed(messages, undisturbed):
    outputs, _ = undisturbed
    live = baselines(outputs)[0][1]
    step = DetectStep(0, SETTINGS, replay=True)
    step.step(messages[:10])
    published = live.model_copy(update={"source": "file"})
    step.control(RawMessage(BASELINES, 0, 0, START_MS, b"k", published.to_json()))
    assert baselines(step.step(messages[10:5400])) == []
    assert step.streams["bot"].history.hour_count == 0


def test_a_drift_that_is_open_prevents_a_renewal(messages):
    changed = []
    for number, sent in enumerate(messages[: 3 * DAY_S // STEP_S]):
        value = sent.value
        if number >= 1.5 * DAY_S / STEP_S:
            value = value.replace(b'"error":false', b'"error":true')
        changed.append(message(number, value, sent.timestamp))
    step = DetectStep(0, SETTINGS, replay=True)
    outputs = step.step(changed)
    assert {drift.signal for drift in read_drifts(outputs) if drift.tier == "page"} == {"error"}
    assert [baseline.source for _, baseline in baselines(outputs)] == ["live"]
    history = step.streams["bot"].history
    last = max(history._hours())
    assert last < history._hour_of(changed[-1].timestamp // PANE_MS) - 24

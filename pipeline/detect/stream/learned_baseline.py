"""Baselines that a stream has learned: the messages that publish them, and their daily renewal."""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from pipeline.detect.baselines import HourlyHistory, baseline_version
from pipeline.detect.monitor import Monitor
from pipeline.detect.one_sided_tests import compute_band
from pipeline.detect.settings import DAY_S, DetectSettings
from pipeline.detect.signals import PANE_MS, Block, ChannelName, Signal, channels
from pipeline.detect.traffic import RequestHours
from pipeline.step import OutputMessage
from schemas.baseline import Baseline, Channel, SignalBaseline, Traffic
from schemas.topics import BASELINES

if TYPE_CHECKING:
    from pipeline.detect.stream.stream import Stream

DAYS_MIN = 2
"""Minimum number of days of a renewal. One day shows no difference between days."""

HOURS_MIN = 24
"""Minimum number of hours with records."""


def baseline_output(baseline: Baseline) -> OutputMessage:
    """Return the message that publishes a baseline. Compaction retains the newest message per version."""
    return OutputMessage(BASELINES, f"{baseline.subject}/{baseline.baseline_version}".encode(), baseline.to_json())


def learn_baseline(stream: "Stream", block: Block) -> list[OutputMessage]:
    """Learn from a block of a stream. Use and return the baseline that it completes, if any."""
    minutes = stream.derived.requests.take(stream.last_pane or 0)
    if stream.learner is None:
        return []
    stream.learner.add_requests(minutes)
    stream.request_hours.add(minutes, is_excluded=True)
    baseline = stream.learner.learn(block, centroid=stream.derived.embeddings.centroid)
    if baseline is None:
        return []
    stream.replace_monitor(baseline)
    return [baseline_output(baseline)]


def partition_baseline_output(baseline: Baseline, partition: int) -> OutputMessage:
    """Return the message that publishes a renewed or provisional baseline. It replaces the one before.

    Each partition has its own, because a stream uses only those that it has built.
    """
    key = f"{baseline.subject}/renewed/{partition}"
    return OutputMessage(BASELINES, key.encode(), baseline.to_json())


def learned_to(baseline: Baseline, names: Iterable[str]) -> int:
    """Return the end of learning of the given signals in Unix milliseconds, of the one that was learned first."""
    ends = (baseline.signals[name].learned_to for name in names if name in baseline.signals)
    return min((end or baseline.learned_to for end in ends), default=baseline.learned_to)


def end_hour(stream: "Stream", pane: int, settings: DetectSettings) -> Baseline | None:
    """Store the hour of a stream if it ended before a pane. Return the renewed baseline if the hour ended a day.

    An hour with an open alert is not stored, and an open alert prevents the renewal.
    """
    monitor, moments = stream.monitor, stream.statistics.moments
    is_broken = stream.request_loss.is_open or stream.fixed_limits.is_open
    has_open_alert = is_broken or (monitor is not None and bool(monitor.open_alerts))
    is_excluded = stream.sampling.is_active or has_open_alert
    if is_excluded:
        stream.history.exclude_since(pane * PANE_MS)
    ended_day = stream.history.advance(pane, stream.columns.signals[: moments.shape[1]], moments)
    if not ended_day or is_excluded or monitor is None or stream.relearning is not None:
        return None
    renewed = renew_baseline(monitor.baseline, stream.history, settings, stream.request_hours)
    if renewed is not None:
        stream.request_hours.clear()
    return renewed


def renew_baseline(
    baseline: Baseline, history: HourlyHistory, settings: DetectSettings, requests: RequestHours | None = None
) -> Baseline | None:
    """Return the baseline with the signals that the history renews, or None if the history is too short.

    A signal is held back, which means that its baseline stays as it is, if its mean was still changing, or if its last
    day is outside the ticket band around the level that was accepted. A slow failure therefore cannot become normal:
    the signal is tested against the last baseline before it moved. A move in the good direction and a signal that can
    only be a cause are never held back.
    """
    if history.span_s < DAYS_MIN * DAY_S or history.hour_count < HOURS_MIN:
        return None
    built, accepted, levels = history.learn(baseline, settings)
    signals = {name: _with_period(signal, baseline) for name, signal in baseline.signals.items()}
    held_back = []
    for name, renewed in built.signals.items():
        adopted = _adopt(
            channels.find_signal(name, renewed.kind, baseline.subject, settings),
            renewed,
            levels.get(name, ()),
            settings,
            signal_count=len(built.signals),
            span_s=history.span_s,
        )
        if adopted is None:
            held_back.append(name)
        else:
            signals[name] = _keep_ages(adopted, baseline.signals.get(name))
    if len(held_back) == len(built.signals):
        return None
    renewed_baseline = baseline.model_copy(
        update={
            "source": "renewed",
            "learned_from": built.learned_from,
            "learned_to": built.learned_to,
            "records": built.records,
            "signals": {name: signals[name] for name in sorted(signals)},
            "dropped_slices": built.dropped_slices,
            "accepted_levels": accepted,
            "held_back": sorted(held_back),
            "effective_at": None,
            "traffic": _add_hours(baseline.traffic, requests),
        }
    )
    return renewed_baseline.model_copy(update={"baseline_version": baseline_version(renewed_baseline)})


def continue_monitor(
    before: Monitor,
    baseline: Baseline,
    settings: DetectSettings,
    *,
    pane: int,
    is_sampled: bool = False,
    restarted: Container[str] = (),
) -> Monitor:
    """Return a monitor with another baseline that continues the tests of a monitor.

    Evidence, open drifts, ADWIN windows, segment values and series stay. Evidence that was collected against the old band
    stays as it is, because each bet was made against the band that was valid at its time.

    Parameters
    ----------
    restarted
        Names of signals with another normal, whose tests start again. None of their drifts may be open.
    """
    monitor = Monitor(baseline, settings, is_sampled=is_sampled)
    state = before.dump()
    history = state["monitor"] | {"baseline_version": monitor.packed_baseline.baseline_version}
    drifts = [*history["latches"], *history["segment_drifts"]["latches"], *(drift for _, drift in history["shapes"])]
    for drift in drifts:
        # The id of a drift contains this version.
        drift["baseline_version"] = drift["baseline_version"] or before.packed_baseline.baseline_version
    series = history["minute_series"]
    # The ranks of values in the old baseline cannot be compared with those in the new one.
    values = {name for name, learned in baseline.signals.items() if learned.kind != "rate" and name in restarted}
    history["minute_series"] = series | {"signals": ["" if name in values else name for name in series["signals"]]}
    monitor.load({"monitor": history, "adwin": state["adwin"]})
    pairs = monitor.tests.pairs(before.tests, restarted)
    for index, (signal, *_) in enumerate(monitor.tests.keys):
        if signal in restarted:
            monitor.adwin.forget(int(monitor.layout.channel_columns[index]))
    monitor.bank.continue_tests(before.bank, pairs)
    monitor.segments.continue_tests(before.segments, pane, restarted)
    monitor.shapes.continue_tests(before.shapes)
    if monitor.tests.keys == before.tests.keys:
        monitor.late_bursts.load(state["evidence"]["late_bursts"])
    return monitor


def _add_hours(traffic: Traffic | None, requests: RequestHours | None) -> Traffic | None:
    """Return the traffic of a baseline with the hours since then. Its typical requests and dispersion stay."""
    if traffic is None or requests is None:
        return traffic
    return traffic.model_copy(update=requests.merge(traffic))


def _with_period(signal: SignalBaseline, baseline: Baseline) -> SignalBaseline:
    """Return a signal with the period in which it was learned, so it can be part of a baseline of another period."""
    period = {
        "learned_from": signal.learned_from or baseline.learned_from,
        "learned_to": signal.learned_to or baseline.learned_to,
    }
    return signal.model_copy(update=period)


def _keep_ages(renewed: SignalBaseline, before: SignalBaseline | None) -> SignalBaseline:
    """Return the renewed baseline of a signal with the ages that were known, because the history does not store ages.

    An age above its limit is an open alert, so none of the history is.
    """
    if before is None or before.ages is None or channels.OVERDUE not in before.channels:
        return renewed
    known = renewed.channels | {channels.OVERDUE: before.channels[channels.OVERDUE]}
    return renewed.model_copy(update={"ages": before.ages, "channels": known})


def _adopt(
    signal: Signal | None,
    renewed: SignalBaseline,
    levels: Iterable[tuple[ChannelName, float, Channel]],
    settings: DetectSettings,
    *,
    signal_count: int,
    span_s: float,
) -> SignalBaseline | None:
    """Return the renewed baseline of a signal, or None if it is held back."""
    if signal is None or signal.role in ("cause", "off"):
        return renewed
    bad = {(channel, channels.mean_rises(channel, side)) for channel, side in channels.bad_directions(signal)}
    moving = {channel: learned for channel, learned in renewed.channels.items() if learned.moving}
    if any((channel, learned.half_difference > 0.0) in bad for channel, learned in moving.items()):
        return None
    for channel, now, accepted in levels:
        band = compute_band(accepted, channel, "ticket", settings, test_count=signal_count, span_s=span_s)
        band = band.include_means(signal, renewed, channel, accepted.mean)
        if (now > band.high and (channel, True) in bad) or (now < band.low and (channel, False) in bad):
            return None
    # What still moves in the good direction can be tested against its mean so far.
    steady = {channel: learned.model_copy(update={"moving": False}) for channel, learned in moving.items()}
    return renewed.model_copy(update={"channels": renewed.channels | steady}) if steady else renewed

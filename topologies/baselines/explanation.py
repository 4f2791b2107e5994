"""Explanation of evidence as a table for people and as JSON for programs."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from pipeline.detect.offline import Explanation, TestTrace
from pipeline.detect.one_sided_tests import overdue_limit
from pipeline.detect.signal_rule import ValueLimit
from pipeline.detect.signals import channels
from pipeline.wording import percent, quantity
from schemas.baseline import Baseline
from schemas.timestamp import clock_time, format_timestamp
from topologies.console import plain_line

SPARKLINE_WIDTH = 32
"""Width of a sparkline in characters."""

SHOWN_SHARE_MIN = 0.25
"""Minimum share of the threshold that a channel must reach to appear without ``--signal``."""

_BARS = " ▁▂▃▄▅▆▇█"


def render_explanation(explained: Explanation, signals: tuple[str, ...]) -> RenderableType:
    """Return a table of the evidence per channel, for given signals or for all channels that came close to firing."""
    if explained.baseline is None:
        return plain_line(
            f"{explained.subject}: {explained.records} records, and no baseline was ready: nothing was monitored. "
            "Give a baseline with --baseline, or lower --ready-after or --ready-records"
        )
    version = explained.baseline.baseline_version
    traces = [trace for trace in explained.traces if _is_shown(trace, signals)]
    parts: list[RenderableType] = [
        plain_line(f"{explained.subject}: {explained.records} records, monitored against baseline {version}")
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("channel", overflow="fold")
    table.add_column("normal, band")
    table.add_column("evidence over time", no_wrap=True)
    table.add_column("highest", justify="right")
    table.add_column("why")
    for trace in sorted(traces, key=lambda trace: -trace.highest):
        test = trace.test
        table.add_row(
            plain_line(f"{test.signal.name} {test.channel} {test.direction}"),
            plain_line(_band(trace, explained.baseline)),
            plain_line(sparkline(trace)),
            f"{trace.highest * test.threshold:.1f} of {test.threshold:g}",
            plain_line(outcome(trace)),
        )
    parts.append(table)
    for name, applied in explained.rules.items():
        if applied and (not signals or name in signals):
            keys = ", ".join(f"{key} = {_value(value)} (detect.signals[{rule}])" for rule, key, value in applied)
            parts.append(plain_line(f"{name} by rule: {keys}"))
    quiet = len(explained.traces) - len(traces)
    if quiet:
        parts.append(
            plain_line(
                f"{quiet} of {len(explained.traces)} channels never came close to firing: show a channel with --signal NAME"
            )
        )
    for untestable in explained.not_testable:
        if not signals or untestable.signal.name in signals:
            channel = f"{untestable.signal.name} {untestable.channel} {untestable.direction}"
            parts.append(plain_line(f"{channel} is not testable ({untestable.tier}): {untestable.reason}"))
    for drift in (drift for drift in explained.other_drifts if drift.state != "evidence"):
        segment = f"{drift.segment}: " if drift.segment else ""
        parts.append(plain_line(f"{format_timestamp(drift.updated_at)} {segment}{drift.sentence}"))
    return Group(*parts)


def explanation_json(explained: Explanation) -> dict[str, Any]:
    """Return the evidence of every channel over time, as shares of the threshold."""
    return {
        "subject": explained.subject,
        "baseline_version": None if explained.baseline is None else explained.baseline.baseline_version,
        "records": explained.records,
        "channels": [
            {
                "signal": trace.test.signal.name,
                "channel": trace.test.channel,
                "side": trace.test.direction,
                "tier": trace.test.tier,
                "normal": trace.test.mean,
                "edge": trace.test.null_boundary,
                "threshold": trace.test.threshold,
                "highest": round(trace.highest * trace.test.threshold, 3),
                "why": outcome(trace),
                "evidence": [
                    [format_timestamp(at), round(share, 4)]
                    for at, share in zip(trace.times_ms, trace.evidence, strict=True)
                ],
                "drifts": [drift.model_dump(mode="json", exclude_none=True) for drift in trace.drifts],
            }
            for trace in explained.traces
        ],
        "rules": {
            name: {key: {"value": _json_value(value), "rule": rule} for rule, key, value in applied}
            for name, applied in explained.rules.items()
            if applied
        },
        "not_judged": [
            {
                "signal": untestable.signal.name,
                "channel": untestable.channel,
                "side": untestable.direction,
                "tier": untestable.tier,
                "reason": untestable.reason,
            }
            for untestable in explained.not_testable
        ],
        "others": [drift.model_dump(mode="json", exclude_none=True) for drift in explained.other_drifts],
    }


def sparkline(trace: TestTrace) -> str:
    """Draw the largest evidence per interval. A full block character marks a channel that has fired.

    >>> from types import SimpleNamespace
    >>> sparkline(SimpleNamespace(evidence=[0.0, 0.5, 1.0], times_ms=[0, 1, 2]))[-12:]
    '▄▄▄▄▄▄▄▄▄▄▄█'
    """
    if not trace.evidence:
        return ""
    times = np.array(trace.times_ms, dtype=np.float64)
    shares = np.array(trace.evidence)
    edges = np.linspace(times[0], times[-1], SPARKLINE_WIDTH + 1)
    columns = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, SPARKLINE_WIDTH - 1)
    bars, last = [], 0.0
    for column in range(SPARKLINE_WIDTH):
        interval_shares = shares[columns == column]
        last = float(interval_shares.max()) if interval_shares.size else last
        full = len(_BARS) - 1
        bars.append(_BARS[full if last >= 1.0 else min(full - 1, round(last * (full - 1)))])
    return "".join(bars)


def outcome(trace: TestTrace) -> str:
    """Describe the outcome of a channel and its reason."""
    fired = next((drift for drift in trace.drifts if drift.state == "firing"), None)
    if fired is not None:
        ended = next((drift for drift in trace.drifts if drift.state == "recovered"), None)
        recovery = f"; recovered at {clock_time(ended.updated_at)}" if ended is not None else ""
        return f"{fired.sentence}{recovery}"
    if trace.highest < SHOWN_SHARE_MIN:
        return "stayed within its band"
    at = trace.times_ms[int(np.argmax(trace.evidence))]
    return f"came close to firing at {clock_time(at)}, but the change did not last: no {trace.test.tier}"


def _value(value: str | float | tuple[ValueLimit, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _json_value(value: Any) -> Any:
    return [limit.model_dump(exclude_none=True) for limit in value] if isinstance(value, tuple) else value


def _is_shown(trace: TestTrace, signals: tuple[str, ...]) -> bool:
    if signals:
        return trace.test.signal.name in signals
    return trace.highest >= SHOWN_SHARE_MIN or bool(trace.drifts)


def _band(trace: TestTrace, baseline: Baseline) -> str:
    test = trace.test
    ages = baseline.signals[test.signal.name].ages
    if test.channel == channels.OVERDUE and ages is not None:
        longest, limit = (
            quantity(age, test.signal.unit, test.channel)
            for age in (ages.longest, overdue_limit(ages, test.signal.smallest))
        )
        return f"longest {longest}, to {limit}"
    if test.channel in channels.BINARY:
        return f"{percent(test.mean)}, {'to' if test.rising else 'from'} {percent(test.smallest_mean)}"
    return f"rank {test.mean:.2f}, {'to' if test.rising else 'from'} {test.smallest_mean:.2f}"

"""An explanation as a table for people, and as plain values for programs."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.detect.findings import percent
from pipeline.detect.offline import Explanation, TestTrace
from pipeline.detect.signals import channels
from schemas.timestamp import clock_time, format_timestamp

COLUMNS = 32
"""Characters of a picture of evidence over time."""

SHOWN_FROM = 0.25
"""Share of its threshold that a channel must have reached to be shown without being asked for."""

_BARS = " ▁▂▃▄▅▆▇█"


def explanation(explained: Explanation, signals: tuple[str, ...]) -> RenderableType:
    """What happened to each channel; those of ``signals``, or else those that something happened to."""
    if explained.baseline is None:
        return Text(
            f"{explained.subject}: {explained.records} records, and no baseline was ready: nothing was judged. Give one "
            "with --baseline, or accept less with --ready-after and --ready-records"
        )
    traces = [trace for trace in explained.traces if _is_shown(trace, signals)]
    parts: list[RenderableType] = [Text(_head(explained))]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("channel", overflow="fold")
    table.add_column("normal, band")
    table.add_column("evidence over time", no_wrap=True)
    table.add_column("most", justify="right")
    table.add_column("why")
    for trace in sorted(traces, key=lambda each: -each.highest):
        side = trace.test
        table.add_row(
            Text(f"{side.signal.name} {side.channel} {side.direction}"), Text(_band(trace)), Text(picture(trace)),
            f"{trace.highest * side.threshold:.1f} of {side.threshold:g}", Text(why(trace)),
        )  # fmt: skip
    parts.append(table)
    quiet = len(explained.traces) - len(traces)
    if quiet:
        parts.append(Text(f"{quiet} channels of {len(explained.traces)} never came near: --signal NAME shows one"))
    for gap in explained.not_testable:
        if not signals or gap.signal.name in signals:
            words = f"{gap.signal.name} {gap.channel} {gap.direction} cannot judge ({gap.tier}): {gap.reason}"
            parts.append(Text(words))
    for drift in (each for each in explained.other_drifts if each.state != "evidence"):
        where = f"{drift.segment}: " if drift.segment else ""
        parts.append(Text(f"{format_timestamp(drift.updated_at)} {where}{drift.sentence}"))
    return Group(*parts)


def to_json(explained: Explanation) -> dict[str, Any]:
    """The same for programs: every channel, its evidence as a share of the threshold by time."""
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
                "why": why(trace),
                "evidence": [
                    [format_timestamp(at), round(share, 4)]
                    for at, share in zip(trace.times_ms, trace.evidence, strict=True)
                ],
                "drifts": [drift.model_dump(mode="json", exclude_none=True) for drift in trace.drifts],
            }
            for trace in explained.traces
        ],
        "not_judged": [
            {
                "signal": gap.signal.name,
                "channel": gap.channel,
                "side": gap.direction,
                "tier": gap.tier,
                "reason": gap.reason,
            }
            for gap in explained.not_testable
        ],
        "others": [drift.model_dump(mode="json", exclude_none=True) for drift in explained.other_drifts],
    }


def picture(trace: TestTrace) -> str:
    """Evidence over time, the largest of each stretch; a full block is a channel that has fired.

    >>> from types import SimpleNamespace
    >>> picture(SimpleNamespace(evidence=[0.0, 0.5, 1.0], times_ms=[0, 1, 2]))[-12:]
    '▄▄▄▄▄▄▄▄▄▄▄█'
    """
    if not trace.evidence:
        return ""
    times = np.array(trace.times_ms, dtype=np.float64)
    shares = np.array(trace.evidence)
    edges = np.linspace(times[0], times[-1], COLUMNS + 1)
    places = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, COLUMNS - 1)
    bars, last = [], 0.0
    for column in range(COLUMNS):
        own = shares[places == column]
        last = float(own.max()) if own.size else last
        full = len(_BARS) - 1
        bars.append(_BARS[full if last >= 1.0 else min(full - 1, round(last * (full - 1)))])
    return "".join(bars)


def why(trace: TestTrace) -> str:
    """In words, what came of a channel and why."""
    fired = next((drift for drift in trace.drifts if drift.state == "firing"), None)
    if fired is not None:
        ended = next((drift for drift in trace.drifts if drift.state == "recovered"), None)
        after = f"; back at {clock_time(ended.updated_at)}" if ended is not None else ""
        return f"{fired.sentence}{after}"
    if trace.highest < SHOWN_FROM:
        return "stayed within its band"
    at = trace.times_ms[int(np.argmax(trace.evidence))]
    return f"came near at {clock_time(at)} and did not last: no {trace.test.tier}"


def _head(explained: Explanation) -> str:
    baseline = explained.baseline
    version = "" if baseline is None else f"judged by baseline {baseline.baseline_version}"
    return f"{explained.subject}: {explained.records} records, {version}"


def _is_shown(trace: TestTrace, signals: tuple[str, ...]) -> bool:
    if signals:
        return trace.test.signal.name in signals
    return trace.highest >= SHOWN_FROM or bool(trace.drifts)


def _band(trace: TestTrace) -> str:
    side = trace.test
    if side.channel in channels.BINARY:
        return f"{percent(trace.test.mean)}, {'to' if side.rising else 'from'} {percent(side.null_boundary)}"
    return f"rank {trace.test.mean:.2f}, {'to' if side.rising else 'from'} {side.null_boundary:.2f}"

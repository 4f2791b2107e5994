"""``driftwire report``: how many incidents paged, how many of them were false, and how fast people knew."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median

import click
import orjson

from pipeline.wording import duration, percent
from schemas.incident import Incident
from schemas.timestamp import format_timestamp
from topologies.commands.incidents import read_newest_revisions
from topologies.commands.options import now_ms
from topologies.commands.running_options import cluster_options
from topologies.kafka import Cluster
from topologies.terminal import echo, echo_json

WEEK_MS = 7 * 86_400_000

NOISIEST_MAX = 5
"""Maximum number of signals in a report."""


@dataclass(frozen=True, slots=True)
class NoisySignal:
    """A signal, and the number of incidents with it: all, those that paged, and those that were false alarms."""

    signal: str
    incidents: int
    pages: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """What happened in a period.

    Attributes
    ----------
    from_ms, to_ms
        The period, in Unix milliseconds. An incident belongs to the period in which it was detected.
    pages, tickets
        Number of incidents with a drift of the page tier, and of all others. Merged incidents are part of another one.
    resolved_as
        Number of pages by what a person said that they were. The others were not assessed.
    false_share
        Share of false alarms among the assessed pages, or None if there are none.
    time_to_detect_s, time_to_acknowledge_s
        Median time of the pages from the estimated start to the detection, and from there to the first acknowledgement.
        None without any.
    noisiest
        The signals with the most incidents.
    """

    from_ms: int
    to_ms: int
    pages: int
    tickets: int
    resolved_as: dict[str, int]
    false_share: float | None
    time_to_detect_s: float | None
    time_to_acknowledge_s: float | None
    noisiest: list[NoisySignal]

    @classmethod
    def from_incidents(cls, incidents: Iterable[Incident], from_ms: int, to_ms: int) -> "IncidentReport":
        """Report on the newest revisions of incidents."""
        counted = [one for one in incidents if one.status != "merged" and from_ms <= one.detected_at < to_ms]
        paged = [one for one in counted if _pages(one)]
        assessed = Counter(one.resolved_as for one in paged if one.resolved_as is not None)
        acknowledged = [seconds for one in paged if (seconds := _time_to_acknowledge_s(one)) is not None]
        return cls(
            from_ms=from_ms,
            to_ms=to_ms,
            pages=len(paged),
            tickets=len(counted) - len(paged),
            resolved_as={name: assessed[name] for name in ("failure", "false_alarm", "expected")},
            false_share=assessed["false_alarm"] / assessed.total() if assessed else None,
            time_to_detect_s=median(one.detection_gap_s for one in paged) if paged else None,
            time_to_acknowledge_s=median(acknowledged) if acknowledged else None,
            noisiest=_find_noisiest(counted),
        )

    def to_json(self) -> bytes:
        """Return the report as one JSON object."""
        content = asdict(self)
        period = {"from": format_timestamp(content.pop("from_ms")), "to": format_timestamp(content.pop("to_ms"))}
        return orjson.dumps(period | content)

    def lines(self) -> list[str]:
        """Return the report in words."""
        assessed = sum(self.resolved_as.values())
        false = "none was assessed: driftwire incident resolve --as"
        if self.false_share is not None:
            false = f"{percent(self.false_share)} of the {assessed} that were assessed"
        lines = [
            f"{format_timestamp(self.from_ms)} to {format_timestamp(self.to_ms)}",
            f"pages                {self.pages}",
            f"tickets              {self.tickets}",
            f"false pages          {false}",
            f"time to detect       {_describe(self.time_to_detect_s)}",
            f"time to acknowledge  {_describe(self.time_to_acknowledge_s)}",
        ]
        lines += ["noisiest signals"] if self.noisiest else []
        width = max((len(one.signal) for one in self.noisiest), default=0)
        for one in self.noisiest:
            counts = f"{one.incidents} incidents, {one.pages} paged, {one.false_alarms} false"
            lines.append(f"  {one.signal:{width}}  {counts}")
        return lines


@click.command("report", short_help="Show how many incidents paged, and how many were false.")
@click.option("--weeks", type=click.IntRange(1, 520), default=4, show_default=True, help="Number of weeks up to now.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@cluster_options
def command(*, weeks: int, as_json: bool, cluster: Cluster) -> None:
    """Show how many incidents paged, how many of them were false, and how fast people knew.

    Incidents count in the week in which they were detected. Times are medians over the incidents that paged: from the
    estimated start to the detection, and from there to the first acknowledgement. The share of false pages is that of
    the incidents that a person has resolved with --as. The noisiest signals are those with the most incidents.
    """
    to_ms = now_ms()
    newest = asyncio.run(read_newest_revisions(cluster))
    report = IncidentReport.from_incidents(newest.values(), to_ms - weeks * WEEK_MS, to_ms)
    if as_json:
        echo_json(report.to_json())
        return
    for line in report.lines():
        echo(line)


def _describe(seconds: float | None) -> str:
    return "no page" if seconds is None else f"{duration(seconds)} (median)"


def _pages(incident: Incident) -> bool:
    return any(line.tier == "page" for line in incident.evidence)


def _time_to_acknowledge_s(incident: Incident) -> float | None:
    """Return the seconds from the detection to the first acknowledgement in the running log, or None."""
    times = [entry.at for entry in incident.log if entry.event == "acknowledge"]
    return max(0, min(times) - incident.detected_at) / 1000 if times else None


def _find_noisiest(incidents: Iterable[Incident]) -> list[NoisySignal]:
    counts: dict[str, list[int]] = {}
    for incident in incidents:
        for signal in sorted({line.signal for line in incident.evidence}):
            paged = any(line.signal == signal and line.tier == "page" for line in incident.evidence)
            total = counts.setdefault(signal, [0, 0, 0])
            counts[signal] = [total[0] + 1, total[1] + paged, total[2] + (incident.resolved_as == "false_alarm")]
    signals = [NoisySignal(signal, *total) for signal, total in counts.items()]
    return sorted(signals, key=lambda one: (-one.incidents, -one.pages, one.signal))[:NOISIEST_MAX]

"""Terminal output of the outcome of a run: incident cards, and tables of drifts, dead letters and baselines."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from rich.console import Console
from rich.table import Table

from load.harness import Outcome
from schemas.drift import Tier
from schemas.timestamp import format_timestamp
from topologies.console import plain_line, render_card

INCIDENT_CARDS_MAX = 20
"""Maximum number of incident cards. Further incidents are only counted."""

TIERS: tuple[Tier, ...] = get_args(Tier)
UNNAMED_CHANNELS = ("rate", "location")
"""Channels whose table rows show only the name of the signal."""


def show_outcome(outcome: Outcome, console: Console) -> None:
    """Print the outcome of a run."""
    _show_incidents(outcome, console)
    _show_drifts(outcome, console)
    _show_dead_letters(outcome, console)
    _show_baselines(outcome, console)


def _show_incidents(outcome: Outcome, console: Console) -> None:
    if not outcome.incidents:
        console.print("[bold]Incidents: none[/]")
        return
    by_severity = Counter(incident.severity for incident in outcome.incidents)
    counts = ", ".join(f"{count} {severity}" for severity, count in sorted(by_severity.items()))
    console.print(f"[bold]Incidents: {len(outcome.incidents)}[/] ({counts})")
    for incident in outcome.incidents[:INCIDENT_CARDS_MAX]:
        console.print(render_card(incident))
    if len(outcome.incidents) > INCIDENT_CARDS_MAX:
        console.print(f"... and {len(outcome.incidents) - INCIDENT_CARDS_MAX} more: see driftwire incidents, or --json")


def _show_drifts(outcome: Outcome, console: Console) -> None:
    """Print a table per subject with the first drift and the number of drifts of each tier, signal and channel."""
    if not outcome.drifts:
        console.print("[bold]Drifts that fired: none[/]")
        return
    ordered = sorted(
        outcome.drifts, key=lambda drift: (drift.subject, TIERS.index(drift.tier), drift.signal, drift.channel)
    )
    for subject, drifts in groupby(ordered, key=lambda drift: drift.subject):
        table = _table(f"Drifts of {subject} that fired", ("tier", "signal", "seen at"), ("normal", "now", "times"))
        by_channel = groupby(drifts, key=lambda drift: (drift.tier, drift.signal, drift.channel))
        for (tier, signal, channel), channel_drifts in by_channel:
            group = list(channel_drifts)
            first = min(group, key=lambda drift: drift.detected_at)
            name = signal if channel in UNNAMED_CHANNELS else f"{signal} {channel}"
            row = (
                tier,
                name,
                _format_seconds(first.detected_at),
                f"{first.normal:.4g}",
                f"{first.now:.4g}",
                str(len(group)),
            )
            table.add_row(*map(plain_line, row))
        console.print(table)


def _show_dead_letters(outcome: Outcome, console: Console) -> None:
    if not outcome.dead_letters:
        console.print("[bold]Dead letters: none[/]")
        return
    table = _table("Dead letters", ("step", "reason"), ("messages",))
    for (step, reason), count in sorted(outcome.dead_letters.items()):
        table.add_row(step, reason, str(count))
    console.print(table)


def _show_baselines(outcome: Outcome, console: Console) -> None:
    if not outcome.baselines:
        return
    table = _table("Baselines learned", ("subject", "ready at"), ("records", "signals"))
    for baseline in outcome.baselines:
        ready_at = _format_seconds(baseline.learned_to)
        row = (baseline.subject, ready_at, f"{baseline.records:,}", str(len(baseline.signals)))
        table.add_row(*map(plain_line, row))
    console.print(table)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=plain_line(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in left:
        table.add_column(name, no_wrap=name.endswith(" at"))
    for name in right:
        table.add_column(name, justify="right")
    return table


def _format_seconds(time_ms: int) -> str:
    return f"{format_timestamp(time_ms)[:19]}Z"

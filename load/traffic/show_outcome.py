"""What a run found, for a person: tables of incidents, drifts, dead letters and baselines."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from load.stage import Outcome
from schemas.drift import Tier
from schemas.timestamp import format_timestamp
from topologies.console import render_card

INCIDENT_CARDS_MAX = 20
"""Cards that are shown in full; further incidents are counted."""

TIERS: tuple[Tier, ...] = get_args(Tier)
PLAIN_CHANNELS = ("rate", "location")
"""Channels that need no name: the rate itself, the value as a whole."""


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print everything that a run found."""
    show_incidents(console, outcome)
    show_drifts(console, outcome)
    show_dead_letters(console, outcome)
    show_baselines(console, outcome)


def show_incidents(console: Console, outcome: Outcome) -> None:
    """A card for each incident, by the time of its start."""
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


def show_drifts(console: Console, outcome: Outcome) -> None:
    """The drifts that fired: for each subject by tier and signal, the first of each."""
    if not outcome.drifts:
        console.print("[bold]Drifts that fired: none[/]")
        return
    ordered = sorted(outcome.drifts, key=lambda each: (each.subject, TIERS.index(each.tier), each.signal, each.channel))
    for subject, drifts in groupby(ordered, key=lambda each: each.subject):
        table = _table(f"Drifts of {subject} that fired", ("tier", "signal", "seen at"), ("normal", "now", "times"))
        for (tier, signal, channel), same in groupby(drifts, key=lambda each: (each.tier, each.signal, each.channel)):
            group = list(same)
            first = min(group, key=lambda each: each.detected_at)
            name = signal if channel in PLAIN_CHANNELS else f"{signal} {channel}"
            row = (tier, name, _seconds(first.detected_at), f"{first.normal:.4g}", f"{first.now:.4g}", str(len(group)))
            table.add_row(*map(Text, row))
        console.print(table)


def show_dead_letters(console: Console, outcome: Outcome) -> None:
    """The dead letters by step and reason."""
    if not outcome.dead_letters:
        console.print("[bold]Dead letters: none[/]")
        return
    table = _table("Dead letters", ("step", "reason"), ("messages",))
    for (step, reason), count in sorted(outcome.dead_letters.items()):
        table.add_row(step, reason, str(count))
    console.print(table)


def show_baselines(console: Console, outcome: Outcome) -> None:
    """When each subject's own baseline was ready."""
    if not outcome.baselines:
        return
    table = _table("Baselines learned", ("subject", "ready at"), ("records", "signals"))
    for each in outcome.baselines:
        row = (each.subject, _seconds(each.learned_to), f"{each.records:,}", str(len(each.signals)))
        table.add_row(*map(Text, row))
    console.print(table)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in left:
        table.add_column(name, no_wrap=name.endswith(" at"))
    for name in right:
        table.add_column(name, justify="right")
    return table


def _seconds(time_ms: int) -> str:
    return f"{format_timestamp(time_ms)[:19]}Z"

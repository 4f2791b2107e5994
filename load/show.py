"""What a run found, for a person: tables of incidents, drifts, dead letters and baselines."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from load.collect import Outcome
from load.settle import INPUTS
from schemas.timestamp import format_timestamp
from topologies.cards import card

INCIDENT_CARDS_MAX = 20
"""Cards that are shown in full; further incidents are counted."""


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
        console.print(card(incident))
    if len(outcome.incidents) > INCIDENT_CARDS_MAX:
        console.print(f"... and {len(outcome.incidents) - INCIDENT_CARDS_MAX} more: see driftwire incidents, or --json")


def show_drifts(console: Console, outcome: Outcome) -> None:
    """The drifts that fired, by subject, tier and signal."""
    table = Table(title="Drifts that fired", title_justify="left")
    for name in ("subject", "tier", "signal", "channel", "detector", "drifts", "first", "normal", "now"):
        table.add_column(name, justify="right" if name in ("drifts", "normal", "now") else "left")
    groups = Counter((each.subject, each.tier, each.signal, each.channel, each.detector) for each in outcome.drifts)
    for group, count in sorted(groups.items()):
        first = min(
            (
                each
                for each in outcome.drifts
                if (each.subject, each.tier, each.signal, each.channel, each.detector) == group
            ),
            key=lambda each: each.detected_at,
        )
        at = format_timestamp(first.detected_at)[:19] + "Z"
        table.add_row(*group, str(count), at, f"{first.normal:.4g}", f"{first.now:.4g}")
    if groups:
        console.print(table)
    else:
        console.print("[bold]Drifts that fired: none[/]")


def show_dead_letters(console: Console, outcome: Outcome) -> None:
    """The dead letters by step and reason."""
    if not outcome.dead_letters:
        console.print("[bold]Dead letters: none[/]")
        return
    table = Table(title="Dead letters", title_justify="left")
    for name in ("step", "reason", "messages"):
        table.add_column(name, justify="right" if name == "messages" else "left")
    order = {step: number for number, step in enumerate(INPUTS)}
    for (step, reason), count in sorted(outcome.dead_letters.items(), key=lambda each: (order[each[0][0]], each)):
        table.add_row(step, reason, str(count))
    console.print(table)


def show_baselines(console: Console, outcome: Outcome) -> None:
    """When each subject's own baseline was ready."""
    if not outcome.baselines:
        return
    table = Table(title="Baselines learned", title_justify="left")
    for name in ("subject", "ready", "records", "signals"):
        table.add_column(name, justify="right" if name in ("records", "signals") else "left")
    for each in outcome.baselines:
        ready = format_timestamp(each.learned_to)[:19] + "Z"
        table.add_row(each.subject, ready, str(each.records), str(len(each.signals)))
    console.print(table)

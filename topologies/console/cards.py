"""The card: one incident on one screen, for the person who was just woken by it. On a terminal or as plain text.

Read from the top: how bad and what, then what to do, because of what, and only then the evidence. Whatever a sender put
into a label is shown as text: neither colours, nor links, nor the terminal's control characters.
"""

import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipeline.wording import duration, quantity
from schemas.incident import CLOSED, Containment, Incident, SignalEvidence, Suspect
from schemas.timestamp import clock_time, date_time

WIDTH = 80
"""Columns of the plain text, and what the card is laid out for."""

EVIDENCE_ROWS_MAX = 6
"""Signals that a card shows; it says how many more there are."""

SUSPECTS_MAX = 3
"""Suspects that a card shows."""

CONTAINMENTS_MAX = 3
"""Things to do that a card shows."""

COLOURS = {"P1": "bold white on red", "P2": "bold red", "P3": "bold yellow", "P4": "bold cyan"}

_BREAKS = re.compile(r"[\n\r\t]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TIERS = ("page", "ticket", "cause")
_AFTERWARDS = ("review",)


def card(incident: Incident) -> RenderableType:
    """The card as something that a ``rich.console.Console`` prints; it is laid out for 80 columns or more."""
    return Group(*_parts(incident))


def plain_card(incident: Incident, *, width: int = WIDTH) -> str:
    """The card as plain text, each line at most ``width`` columns, ending with a line break."""
    written = StringIO()
    console = Console(file=written, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(card(incident))
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def print_card(incident: Incident, stream: TextIO) -> None:
    """Print the card, and an empty line: in colours on a terminal, as plain text anywhere else."""
    if stream.isatty():
        Console(file=stream).print(card(incident))
    else:
        stream.write(plain_card(incident))
    stream.write("\n")
    stream.flush()


def print_log(incident: Incident, stream: TextIO) -> None:
    """Print the running log, the oldest line first."""
    grid = _grid()
    for entry in incident.log:
        grid.add_row(Text(_clock(entry.at, incident.started_at), style="dim"), _text(f"{entry.event}: {entry.text}"))
    Console(file=stream, width=None if stream.isatty() else WIDTH).print(grid)


def print_drafts(incident: Incident, stream: TextIO) -> None:
    """Print the drafts as they are to be pasted, each after a line that names its audience; a line if there are none."""
    if not incident.drafts:
        stream.write(f"no drafts: a {incident.severity} that is {incident.status} needs no message\n")
    for draft in incident.drafts:
        paragraphs = [_text(each).plain for each in draft.text.split("\n\n")]
        stream.write("\n\n".join([f"--- {draft.audience} ---", _text(draft.subject).plain, *paragraphs]) + "\n\n")


def _parts(incident: Incident) -> Iterator[RenderableType]:
    colour = COLOURS[incident.severity] if incident.status not in CLOSED else "bold green"
    head = f"{incident.severity} {incident.status.upper()}"
    yield Rule(Text(f" {head} ", style=colour), style=colour, align="left", characters="━")
    yield _text(incident.title, style="bold")
    yield _text(incident.summary)
    yield Text()
    table = _grid()
    for label, content in _rows(incident):
        table.add_row(Text(label, style="dim"), content)
    yield table
    if incident.evidence:
        yield Text()
        yield _evidence(incident)
    yield Text()
    footer = _grid()
    footer.add_row(Text("runbook", style="dim"), _text(incident.runbook))
    footer.add_row(
        Text("incident", style="dim"), _text(f"{incident.incident_id}  revision {incident.revision}: {incident.change}")
    )
    yield footer


def _rows(incident: Incident) -> Iterator[tuple[str, Text]]:
    """The labelled lines between the summary and the evidence."""
    day = incident.started_at
    since = f"{_clock(incident.started_at)}, detected {_clock(incident.detected_at, day)}"
    since += f" ({duration(incident.detection_gap_s)} later)"
    if incident.resolved_at is not None:
        since += f", resolved {_clock(incident.resolved_at, day)}"
    yield "since", _text(since)
    closed = incident.status in CLOSED
    if not closed:
        to_do = sorted(incident.containment, key=_rank)[:CONTAINMENTS_MAX]
        yield from _numbered("do", map(_containment, to_do), "bold")
    suspects = sorted(incident.suspects, key=_rank)[:SUSPECTS_MAX]
    yield from _numbered("cause", map(_suspect, suspects), "")
    yield from _due(incident)
    people = [f"acknowledged by {incident.acknowledged_by}"] if incident.acknowledged_by else []
    roles = (
        ("commander", incident.commander),
        ("technical lead", incident.technical_lead),
        ("communications lead", incident.communications_lead),
    )
    people += [f"{role} {name}" for role, name in roles if name]
    if incident.merged_into is not None:
        yield "merged", _text(f"into {incident.merged_into}, which tells it from now on")
    if people:
        yield "people", _text(", ".join(people))
    yield "severity", _text(f"{incident.severity} by rule {incident.severity_rule}: {incident.severity_reason}")
    where = [*incident.segments, *(part for part in (incident.environment, incident.provider) if part)]
    if where:
        yield "where", _text(", ".join(where))


def _due(incident: Incident) -> Iterator[tuple[str, Text]]:
    """What is due by when: what is overdue by the incident's newest moment first, what is done last. Then the duties."""
    day, now, closed = incident.started_at, incident.updated_at, incident.status in CLOSED
    said: dict[str, list[str]] = {"overdue": [], "due": [], "done": []}
    for one in sorted(incident.response_targets, key=lambda target: target.due_at):
        if closed and one.name not in _AFTERWARDS:
            continue
        state = "done" if one.done_at is not None else "overdue" if one.due_at < now else "due"
        said[state].append(f"{one.name.replace('_', ' ')} {_clock(one.done_at or one.due_at, day)}")
    for label, lines in said.items():
        if lines:
            yield label, _text(", ".join(lines), style="bold" if label == "overdue" else "")
    duties = [
        f"{one.name}{' as soon as practicable' if one.due_at is None else f' by {_clock(one.due_at, day)}'}"
        for one in incident.duties
    ]
    if duties:
        yield "decide", _text(f"may apply: {', '.join(duties)}")


def _rank(one: Containment | Suspect) -> int:
    return one.rank


def _numbered(label: str, lines: Iterable[tuple[str, str]], style: str) -> Iterator[tuple[str, Text]]:
    """Lines of one label, each a head and its reason. The first is what counts, so its head alone has the style."""
    for number, (head, reason) in enumerate(lines, start=1):
        first = number == 1
        yield (
            (label if first else ""),
            Text.assemble(_text(f"{number}. {head}", style=style if first else ""), _text(reason)),
        )


def _containment(one: Containment) -> tuple[str, str]:
    return f"{one.action.replace('_', ' ')}: {one.target}", f" ({one.reason})"


def _suspect(one: Suspect) -> tuple[str, str]:
    name = one.name if one.name.startswith(one.kind) else f"{one.kind} {one.name}"
    if (one.from_version or one.to_version) and not all(v in name for v in (one.from_version, one.to_version) if v):
        name += f" {one.from_version or '?'} -> {one.to_version or '?'}"
    return name, f", score {one.score:.2f}: {one.reason}"


def _evidence(incident: Incident) -> Table:
    """The newest state of each drift, those that still fire first."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", expand=False)
    table.add_column("signal", overflow="fold", max_width=24)
    for column in ("normal", "now", "effect"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("since", no_wrap=True)
    table.add_column("detector", no_wrap=True)
    # Sorting keeps the order of the incident among equals.
    ordered = sorted(incident.evidence, key=lambda one: (one.state != "firing", _TIERS.index(one.tier)))
    for one in ordered[:EVIDENCE_ROWS_MAX]:
        style = "" if one.state == "firing" else "dim"
        table.add_row(*(_text(cell, style=style) for cell in _evidence_cells(one, incident.started_at)))
    more = len(ordered) - EVIDENCE_ROWS_MAX
    if more > 0:
        table.add_row(Text(f"and {more} more", style="dim"))
    return table


def _evidence_cells(one: SignalEvidence, day: int) -> tuple[str, str, str, str, str, str]:
    name = one.signal if one.channel in ("rate", "location") else f"{one.signal} {one.channel}"
    name += f" [{', '.join(one.segments)}]" if any(one.segments) else ""
    state = one.detector if one.state == "firing" else "recovered"
    return name, _amount(one.normal, one), _amount(one.now, one), _effect(one), _clock(one.started_at, day), state


def _amount(value: float, one: SignalEvidence) -> str:
    """Format a value for the table, which has room for the units of time only. For a tail it is the value itself."""
    return quantity(value, one.unit if one.unit in ("s", "ms") else "", one.channel)


def _effect(one: SignalEvidence) -> str:
    if one.effect_kind == "odds_ratio":
        return f"odds x{one.effect:.3g}"
    if one.effect_kind == "rank_shift":
        return f"rank {one.effect:+.2f}"
    return f"x{one.effect:.3g}"


def _clock(at: int, day: int | None = None) -> str:
    """A point in time in UTC; without its date where that is the date of ``day``."""
    same_date = day is not None and date_time(at)[:10] == date_time(day)[:10]
    return clock_time(at) if same_date else date_time(at)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _text(content: str, *, style: str = "") -> Text:
    """Text as it is, but for what would move a terminal's cursor, ring its bell or turn the line around."""
    return Text(_CONTROL.sub("\ufffd", _BREAKS.sub(" ", content)), style=style)

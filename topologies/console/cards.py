"""Cards that show one incident on one screen for the person on call, on a terminal or as plain text.

A card shows the severity and the title first, then the actions, the suspects and the evidence. Labels from senders are
shown as plain text, without colours, links or terminal control characters.
"""

from collections.abc import Iterable, Iterator
from io import StringIO
from typing import NamedTuple, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipeline.wording import duration, measurement_time, quantity, signal_name
from schemas.incident import CLOSED, Containment, Incident, SignalEvidence, Suspect
from schemas.timestamp import date_time, time_on_day
from topologies.console.plain_line import plain_line

WIDTH = 80
"""Width of a plain-text card in columns."""

EVIDENCE_ROWS_MAX = 6
"""Maximum number of signals on a card. The card shows how many more there are."""

SIGNAL_WIDTH_MIN = 12
"""Minimum number of columns for the names of signals in the table of evidence."""

SUSPECTS_MAX = 3
"""Maximum number of suspects on a card."""

ACTIONS_MAX = 3
"""Maximum number of containment actions on a card."""

COLOURS = {"P1": "bold white on red", "P2": "bold red", "P3": "bold yellow", "P4": "bold cyan"}

_TIERS = ("page", "ticket", "cause")
_DURATION_UNITS = ("s", "ms")
_TARGETS_AFTER_CLOSING = ("review",)
"""Response targets that remain due after an incident has ended."""


def render_card(incident: Incident) -> RenderableType:
    """Return the card for a ``rich.console.Console`` with 40 columns or more."""
    return Group(*_parts(incident))


def plain_card(incident: Incident, *, width: int = WIDTH) -> str:
    """Return the card as plain text with at most ``width`` columns and a final line break."""
    return render_plain(render_card(incident), width)


def render_plain(content: RenderableType, width: int) -> str:
    """Return content as plain text with at most ``width`` columns and a final line break."""
    buffer = StringIO()
    console = Console(file=buffer, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(content)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def print_card(incident: Incident, stream: TextIO) -> None:
    """Print the card and an empty line, in colours on a terminal and as plain text elsewhere."""
    if stream.isatty():
        Console(file=stream).print(render_card(incident))
    else:
        stream.write(plain_card(incident))
    stream.write("\n")
    stream.flush()


def print_running_log(incident: Incident, stream: TextIO) -> None:
    """Print the running log, oldest line first."""
    grid = _grid()
    for entry in incident.log:
        grid.add_row(
            Text(time_on_day(entry.at, incident.started_at), style="dim"), plain_line(f"{entry.event}: {entry.text}")
        )
    grid.add_row("", Text("People's names come from their commands and are not verified.", style="dim"))
    Console(file=stream, width=None if stream.isatty() else WIDTH).print(grid)


def print_drafts(incident: Incident, stream: TextIO) -> None:
    """Print a heading with the audience and the text of each draft, or a notice if the incident has no drafts."""
    if not incident.drafts:
        stream.write(f"no drafts: a {incident.severity} that is {incident.status} needs no message\n")
    for draft in incident.drafts:
        paragraphs = [plain_line(paragraph).plain for paragraph in draft.text.split("\n\n")]
        stream.write("\n\n".join([f"--- {draft.audience} ---", plain_line(draft.subject).plain, *paragraphs]) + "\n\n")


def _parts(incident: Incident) -> Iterator[RenderableType]:
    colour = COLOURS[incident.severity] if incident.status not in CLOSED else "bold green"
    head = f"{incident.severity} {incident.status.upper()}"
    yield Rule(Text(f" {head} ", style=colour), style=colour, align="left", characters="━")
    yield plain_line(incident.title, style="bold")
    yield plain_line(incident.summary)
    yield Text()
    table = _grid()
    for label, content in card_rows(incident):
        table.add_row(Text(label, style="dim"), content)
    yield table
    if incident.evidence:
        yield Text()
        yield _Evidence(incident)
    yield Text()
    footer = _grid()
    footer.add_row(Text("runbook", style="dim"), plain_line(incident.runbook))
    footer.add_row(
        Text("incident", style="dim"),
        plain_line(f"{incident.incident_id}  revision {incident.revision}: {incident.change}"),
    )
    yield footer


def card_rows(incident: Incident) -> Iterator[tuple[str, Text]]:
    """Return the labelled lines between the summary and the evidence. A line without a label belongs to the one above."""
    day = incident.started_at
    started = f"{date_time(incident.started_at)}, detected {time_on_day(incident.detected_at, day)}"
    started += f" ({duration(incident.detection_gap_s)} later)"
    if incident.resolved_at is not None:
        started += f", resolved {time_on_day(incident.resolved_at, day)}"
    yield "started", plain_line(started)
    closed = incident.status in CLOSED
    if not closed:
        actions = sorted(incident.containment, key=_rank)[:ACTIONS_MAX]
        yield from _numbered_rows("actions", map(_action_text, actions), "bold")
    suspects = sorted(incident.suspects, key=_rank)[:SUSPECTS_MAX]
    yield from _numbered_rows("suspects", map(_suspect_text, suspects), "")
    yield from _deadlines(incident)
    people = [f"acknowledged by {incident.acknowledged_by}"] if incident.acknowledged_by else []
    roles = (
        ("commander", incident.commander),
        ("technical lead", incident.technical_lead),
        ("communications lead", incident.communications_lead),
    )
    people += [f"{role} {name}" for role, name in roles if name]
    if incident.merged_into is not None:
        yield "merged", plain_line(f"into {incident.merged_into}, which represents both incidents")
    if people:
        yield "people", plain_line(", ".join(people))
    yield "severity", plain_line(f"{incident.severity} by rule {incident.severity_rule}: {incident.severity_reason}")
    scope = [*incident.segments, *(part for part in (incident.environment, incident.provider) if part)]
    if scope:
        yield "scope", plain_line(", ".join(scope))


def _deadlines(incident: Incident) -> Iterator[tuple[str, Text]]:
    """Return the response targets by state (overdue at the time of the revision, due, done) and the duties."""
    day, now, closed = incident.started_at, incident.updated_at, incident.status in CLOSED
    by_state: dict[str, list[str]] = {"overdue": [], "due": [], "done": []}
    for target in sorted(incident.response_targets, key=lambda target: target.due_at):
        if closed and target.name not in _TARGETS_AFTER_CLOSING:
            continue
        state = "done" if target.done_at is not None else "overdue" if target.due_at < now else "due"
        by_state[state].append(f"{target.name.replace('_', ' ')} {time_on_day(target.done_at or target.due_at, day)}")
    for label, lines in by_state.items():
        if lines:
            yield label, plain_line(", ".join(lines), style="bold" if label == "overdue" else "")
    duties = [
        f"{duty.name}{' as soon as practicable' if duty.due_at is None else f' by {time_on_day(duty.due_at, day)}'}"
        for duty in incident.duties
    ]
    if duties:
        yield "duties", plain_line(f"may apply: {', '.join(duties)}")


def _rank(ranked: Containment | Suspect) -> int:
    return ranked.rank


def _numbered_rows(label: str, lines: Iterable[tuple[str, str]], style: str) -> Iterator[tuple[str, Text]]:
    """Return numbered rows of headlines and reasons under one label. The style applies to the first headline."""
    for number, (headline, reason) in enumerate(lines, start=1):
        is_first = number == 1
        yield (
            (label if is_first else ""),
            Text.assemble(plain_line(f"{number}. {headline}", style=style if is_first else ""), plain_line(reason)),
        )


def _action_text(containment: Containment) -> tuple[str, str]:
    return f"{containment.action.replace('_', ' ')}: {containment.target}", f" ({containment.reason})"


def _suspect_text(suspect: Suspect) -> tuple[str, str]:
    name = suspect.name if suspect.name.startswith(suspect.kind) else f"{suspect.kind} {suspect.name}"
    versions = [version for version in (suspect.from_version, suspect.to_version) if version]
    if not all(version in name for version in versions):
        name += f" {suspect.from_version or '?'} -> {suspect.to_version or '?'}"
    return name, f", score {suspect.score:.2f}: {suspect.reason}"


class _Evidence:
    """The state of each drift and the time of its value: a table, or a list if the table is too wide."""

    def __init__(self, incident: Incident) -> None:
        rows = evidence_rows(incident)
        self._rows = rows[:EVIDENCE_ROWS_MAX]
        self._more = Text(f"and {len(rows) - EVIDENCE_ROWS_MAX} more", style="dim")
        self._has_more = len(rows) > EVIDENCE_ROWS_MAX

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table() if self._table_width() <= options.max_width else self._list()
        if self._has_more:
            yield self._more

    def _table_width(self) -> int:
        """Return the number of columns that the table needs to show all of its numbers and times."""
        _, *columns = zip(*(row.cells for row in self._rows), strict=True)
        return SIGNAL_WIDTH_MIN + sum(2 + max(map(len, column)) for column in columns)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim", expand=False)
        table.add_column("signal", overflow="fold", max_width=24)
        for column in ("normal", "value", "effect"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("since", no_wrap=True)
        table.add_column("measured", no_wrap=True)
        for row in self._rows:
            table.add_row(*(plain_line(cell, style=row.style) for cell in row.cells))
        return table

    def _list(self) -> Table:
        grid = Table.grid()
        grid.add_column(overflow="fold")
        for row in self._rows:
            signal, normal, value, effect, since, measured = row.cells
            text = f"{signal}: {value}, normally {normal} ({effect}), since {since}, measured {measured}"
            grid.add_row(plain_line(text, style=row.style))
        return grid


class EvidenceRow(NamedTuple):
    """One drift on a card.

    Attributes
    ----------
    cells
        Signal, normal, value, effect, start and time of measurement.
    is_firing
        Whether the drift is firing.
    """

    cells: tuple[str, str, str, str, str, str]
    is_firing: bool

    @property
    def style(self) -> str:
        """Style of the row on a terminal."""
        return "" if self.is_firing else "dim"


def evidence_rows(incident: Incident) -> list[EvidenceRow]:
    """Return the evidence in the order of a card: firing drifts first, and then by tier."""
    # The sort is stable: equal rows keep the order of the incident.
    ordered = sorted(incident.evidence, key=lambda drift: (drift.state != "firing", _TIERS.index(drift.tier)))
    return [EvidenceRow(_evidence_cells(drift, incident.started_at), drift.state == "firing") for drift in ordered]


def _evidence_cells(drift: SignalEvidence, day: int) -> tuple[str, str, str, str, str, str]:
    # The table has room for the units of durations only.
    unit = drift.unit if drift.unit in _DURATION_UNITS else ""
    normal, now = (quantity(value, unit, drift.channel) for value in (drift.normal, drift.now))
    since, measured = time_on_day(drift.started_at, day), measurement_time(drift, day)
    return signal_name(drift), normal, now, _effect(drift), since, measured


def _effect(drift: SignalEvidence) -> str:
    if drift.effect_kind == "odds_ratio":
        return f"odds x{drift.effect:.3g}"
    if drift.effect_kind == "rank_shift":
        return f"rank {drift.effect:+.2f}"
    return f"x{drift.effect:.3g}"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid

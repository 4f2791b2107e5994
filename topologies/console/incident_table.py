"""Incidents as a list, one row each, on a terminal or as plain text."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.wording import duration
from schemas.incident import CLOSED, Incident
from topologies.console.cards import COLOURS, render_plain
from topologies.console.plain_line import plain_line

TABLE_WIDTH_MIN = 100
"""Minimum number of columns of a terminal for the table. On a narrower one, an incident takes several lines."""

_HEADS = ("severity", "status", "age", "owner", "incident", "subject", "title")
_FILE_WIDTH = 1_000
"""Number of columns in a file or a pipe: an incident is one line for other programs."""


def print_incidents(incidents: Sequence[Incident], now_ms: int, stream: TextIO) -> None:
    """Print severity, status, age, owner, id, subject and title of each incident, in colours on a terminal."""
    rows = [_cells(incident, now_ms) for incident in incidents]
    if stream.isatty():
        console = Console(file=stream)
        console.print(_table(rows) if console.width >= TABLE_WIDTH_MIN else _list(rows))
        return
    stream.write(render_plain(_table(rows), _FILE_WIDTH))
    stream.flush()


def _table(rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in _HEADS:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _list(rows: Sequence[Sequence[Text]]) -> Table:
    grid = Table.grid()
    grid.add_column(overflow="fold")
    for severity, status, age, owner, incident_id, subject, title in rows:
        grid.add_row(Text("  ").join([severity, status, age]))
        for line in (subject, title, Text.assemble(incident_id, ", owner: ", owner), Text()):
            grid.add_row(line)
    return grid


def _cells(incident: Incident, now_ms: int) -> list[Text]:
    """Return the cells of a row. The age of an incident that has ended is its length."""
    end_ms = now_ms
    if incident.status in CLOSED:
        end_ms = incident.updated_at if incident.resolved_at is None else incident.resolved_at
    return [
        Text(incident.severity, style="bold green" if incident.status in CLOSED else COLOURS[incident.severity]),
        Text(incident.status),
        Text(duration(max(0.0, (end_ms - incident.started_at) / 1000))),
        plain_line(incident.commander or incident.acknowledged_by or "nobody"),
        plain_line(incident.incident_id),
        plain_line(incident.subject),
        plain_line(incident.title),
    ]

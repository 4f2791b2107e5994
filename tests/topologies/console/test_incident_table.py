"""The list of incidents, in a file and on terminals of different widths."""

import re

import pytest

from tests.pipeline.route.samples import STARTED, incident
from tests.topologies.console.test_cards import Terminal
from topologies.console.incident_table import TABLE_WIDTH_MIN, print_incidents

NOW = STARTED + 7_500_000
INCIDENTS = [
    incident(severity="P1", incident_id="inc-1", acknowledged_by="ana", title="[red]support-bot\x1b[31m refuses"),
    incident(incident_id="inc-2", status="resolved", resolved_at=STARTED + 60_000, commander="ben", subject="s" * 60),
]


def show(width, monkeypatch, stream):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    print_incidents(INCIDENTS, NOW, stream)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def test_a_file_has_one_line_per_incident_whatever_the_width(monkeypatch, tmp_path):
    path = tmp_path / "list"
    monkeypatch.setenv("COLUMNS", "40")
    with path.open("w") as stream:
        print_incidents(INCIDENTS, NOW, stream)
    head, first, second = path.read_text().splitlines()
    assert head.split() == ["severity", "status", "age", "owner", "incident", "subject", "title"]
    assert first.split()[:8] == ["P1", "open", "2", "h", "5", "min", "ana", "inc-1"]
    assert "[red]support-bot" in first
    assert "\x1b" not in first
    assert second.split()[:7] == ["P3", "resolved", "1", "min", "ben", "inc-2", "s" * 60]


@pytest.mark.parametrize("width", [40, TABLE_WIDTH_MIN - 1, TABLE_WIDTH_MIN, 160])
def test_a_terminal_shows_everything_within_its_width(width, monkeypatch):
    text = show(width, monkeypatch, Terminal())
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert {"P1", "inc-1", "inc-2", "resolved"} <= set(text.replace(",", " ").split())
    assert "[red]support-bot" in text
    assert ("severity" in text) == (width >= TABLE_WIDTH_MIN)
    assert text.count("s" * 20) > 0

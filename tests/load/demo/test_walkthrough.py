"""The walkthrough on a real Kafka: planted, detected, acknowledged, rolled back, mitigated, resolved, reviewed."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "docs" / "review" / "example.md"

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


def headings(draft: str) -> list[str]:
    return [line for line in draft.splitlines() if line.startswith("#")]


def test_an_incident_goes_from_its_cause_to_its_review(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "load.cli", "walk", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "open, acknowledged, mitigated, resolved" in " ".join(done.stdout.split())
    draft, picture = (tmp_path / "example.md").read_text("utf-8"), (tmp_path / "example.svg").read_text("utf-8")
    for line in (
        "Leading suspect: **prompt v41 -> v42**",
        "| incident commander | jonas |",
        "rolled back: prompt v42 -> v41 (prompt-41-again) reverts prompt-42",
        "people inside were informed by amelie",
        "| contain | 2026-11-24 03:10:17Z | 2026-11-24 03:17:00Z | **missed by",
        "(example.svg)",
    ):
        assert line in draft
    assert picture.startswith("<svg")
    assert "prompt v41 -&gt; v42" in picture
    # The example of the documentation is made in the same way.
    assert headings(draft) == headings(EXAMPLE.read_text("utf-8"))

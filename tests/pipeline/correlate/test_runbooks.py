from pathlib import Path

import pytest

from pipeline.correlate.playbook.failure_modes import MODES
from pipeline.correlate.settings import CorrelateSettings
from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / CorrelateSettings().runbooks


@pytest.mark.parametrize("name", MODES)
def test_every_failure_mode_has_a_runbook_with_all_its_parts(name):
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert text.startswith(f"# {MODES[name].title}\n")
    places = [text.index(f"\n## {part}\n") for part in ("Confirm", "Contain", "Diagnose", "Communicate")]
    assert places == sorted(places)
    assert len(text) > 800


@pytest.mark.parametrize("signal", [*SIGNALS, *CATEGORIES, *EVENTS], ids=lambda signal: signal.name)
def test_the_runbook_of_a_signals_failure_mode_names_the_signal(signal):
    assert f"`{signal.name}`" in (RUNBOOKS / f"{signal.failure_mode}.md").read_text("utf-8")


def test_no_runbook_is_left_over_and_all_are_in_the_index():
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    assert pages == set(MODES)
    assert all(f"({name}.md)" in index for name in MODES)


@pytest.mark.parametrize("name", [name for name, mode in MODES.items() if mode.containment[0] == "kill_switch"])
def test_a_runbook_of_harm_begins_with_the_switch(name):
    text = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    first = text.split("## Contain\n\n1. ")[1].split("\n")[0]
    assert first.startswith("Switch the feature off")

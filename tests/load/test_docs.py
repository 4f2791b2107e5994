"""The page about load names every command and every failure."""

from pathlib import Path

from load.cli import COMMANDS
from load.world.failure_table import FAILURES

PAGE = (Path(__file__).parents[2] / "docs" / "load.md").read_text(encoding="utf-8")


def test_the_page_names_every_command_and_every_failure() -> None:
    assert [name for name in COMMANDS if f"driftwire-load {name}" not in PAGE] == []
    assert [name for name in FAILURES if f"`{name}`" not in PAGE] == []

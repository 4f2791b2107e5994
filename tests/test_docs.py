"""The docs name everything there is, and nothing that is not."""

import importlib
import re
from pathlib import Path
from typing import get_args

import click
import pytest

from pipeline.detect.signals.catalogue import CATEGORIES, EVENTS, SIGNALS
from schemas.dead_letter import DeadLetterReason
from schemas.topics import TOPICS
from topologies.configuration.configuration import Configuration
from topologies.configuration.problems import known_keys

ROOT = Path(__file__).parents[1]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")


def page(name):
    return (ROOT / "docs" / name).read_text()


def commands(group, name):
    context = click.Context(group)
    for inner in group.list_commands(context):
        found = group.get_command(context, inner)
        if isinstance(found, click.Group):
            yield from commands(found, f"{name} {inner}")
        else:
            yield f"{name} {inner}", found


COMMANDS = [
    *commands(importlib.import_module("topologies.cli").command, "driftwire"),
    *commands(importlib.import_module("load.cli").command, "driftwire-load"),
]


@pytest.mark.parametrize("signal", [*SIGNALS, *CATEGORIES, *EVENTS], ids=lambda signal: signal.name)
def test_every_signal_has_its_row(signal):
    (row,) = [line for line in page("signals.md").splitlines() if line.startswith(f"| `{signal.name}` ")]
    assert signal.failure_mode in row
    assert signal.role in row
    assert f" {signal.direction} " in row


def test_no_row_is_about_a_signal_that_is_gone():
    rows = re.findall(r"^\| `([a-z_]+)` \|", page("signals.md"), re.MULTILINE)
    assert sorted(rows) == sorted(signal.name for signal in (*SIGNALS, *CATEGORIES, *EVENTS))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_its_row_with_its_messages(topic):
    (row,) = [line for line in page("topics.md").splitlines() if line.startswith(f"| `{topic.name}` ")]
    assert all(message.__name__ in row for message in topic.messages)


@pytest.mark.parametrize("reason", get_args(DeadLetterReason))
def test_every_reason_for_a_dead_letter_is_explained(reason):
    assert f"`{reason}`" in page("topics.md")


def test_every_key_of_the_configuration_has_its_row_and_no_other_has():
    rows = set(re.findall(r"^\| `([a-z_.0-9]+)` \|", page("configuration.md"), re.MULTILINE))
    keys = {key for key, table in known_keys(Configuration).items() if table is None or "." in key}
    assert rows == keys - {"route.routes.routes.receivers"}


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_has_its_section_with_its_options(name, command):
    sections = re.split(r"^#+ (?=driftwire)", page("commands.md"), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(f"{name}\n")]
    for option in command.params:
        if isinstance(option, click.Option):
            assert any(f"`{spelling}" in section or f", {spelling}" in section for spelling in option.opts), option.name


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_option_is_described_in_sentences_which_the_page_repeats(name, command):
    text = " ".join(page("commands.md").split())
    options = [option.help for option in command.params if isinstance(option, click.Option)]
    for described in (command.help, *options):
        sentences = re.sub(r"\s+\[default: .*\]$", "", " ".join(described.split()))
        assert sentences[0].isupper(), described
        assert sentences.endswith("."), described
        assert sentences in text, described


def test_no_section_is_about_a_command_that_is_gone():
    headings = set(re.findall(r"^#+ (driftwire\S* .+)$", page("commands.md"), re.MULTILINE))
    names = {name for name, _ in COMMANDS}
    groups = {name.rpartition(" ")[0] for name in names if name.count(" ") > 1}
    assert headings == names | groups


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(path):
    for target in LINK.findall(path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_the_readme_names_the_commands_that_a_newcomer_needs():
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^    make ([a-z]+)$|`make ([a-z]+)`", text, re.MULTILINE)
    assert len(targets) >= 3
    for target in targets:
        assert f"\n{''.join(target)}:" in makefile, target
    names = {name for name, _ in COMMANDS}
    for called in re.findall(r"\.venv/bin/(driftwire(?:-load)? [a-z]+)", text):
        assert called in names | {name.rpartition(" ")[0] for name in names}, called

"""The docs name every signal, topic, key and command, and none that does not exist."""

import importlib
import json
import re
from pathlib import Path
from typing import get_args

import click
import pytest
from pydantic import BaseModel

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


def fields_with_a_row():
    """The field of each key of the configuration, by its path. Sections have a heading and no row."""
    for prefix, table in [("", Configuration), *known_keys(Configuration).items()]:
        if table is not None and prefix != "route.routes.routes":
            for name, field in table.model_fields.items():
                if prefix:
                    yield f"{prefix}.{field.alias or name}", field


def default_cell(key, field):
    """The default of a key as its row writes it."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if key == "route.receivers":
        return "the console"
    if default is None or isinstance(default, BaseModel):
        return ""
    text = json.dumps([plain(item) for item in default] if isinstance(default, tuple) else plain(default))
    return f"`{text}`".replace("|", "\\|")


def plain(value):
    """An integral float as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def example_comments():
    """The comment above each key of the example file that is not part of a commented table."""
    section, comment = "", []
    for line in (ROOT / "driftwire.example.toml").read_text().split("\n# [[")[0].splitlines():
        if header := re.fullmatch(r"\[+([a-z_.]+)\]+", line):
            section, comment = header[1], []
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            yield f"{section}.{key[1]}", " ".join(comment)
            comment = []
        else:
            comment = [*comment, line.removeprefix("# ")] if line else []


def commands(group, name):
    context = click.Context(group)
    for inner in group.list_commands(context):
        subcommand = group.get_command(context, inner)
        if isinstance(subcommand, click.Group):
            yield from commands(subcommand, f"{name} {inner}")
        else:
            yield f"{name} {inner}", subcommand


COMMANDS = [
    *commands(importlib.import_module("topologies.cli").command, "driftwire"),
    *commands(importlib.import_module("load.cli").command, "driftwire-load"),
]


FIELDS = list(fields_with_a_row())


@pytest.mark.parametrize("signal", [*SIGNALS, *CATEGORIES, *EVENTS], ids=lambda signal: signal.name)
def test_every_signal_has_its_row(signal):
    (row,) = [line for line in page("signals.md").splitlines() if line.startswith(f"| `{signal.name}` ")]
    assert signal.failure_mode in row
    assert signal.role in row
    assert f" {signal.direction} " in row


def test_no_row_describes_a_removed_signal():
    rows = re.findall(r"^\| `([a-z_]+)` \|", page("signals.md"), re.MULTILINE)
    assert sorted(rows) == sorted(signal.name for signal in (*SIGNALS, *CATEGORIES, *EVENTS))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_its_row_with_its_messages(topic):
    (row,) = [line for line in page("topics.md").splitlines() if line.startswith(f"| `{topic.name}` ")]
    assert all(message.__name__ in row for message in topic.messages)


@pytest.mark.parametrize("reason", get_args(DeadLetterReason))
def test_every_reason_for_a_dead_letter_is_explained(reason):
    assert f"`{reason}`" in page("topics.md")


def test_the_rows_are_the_keys_of_the_configuration():
    rows = set(re.findall(r"^\| `([a-z_.0-9]+)` \|", page("configuration.md"), re.MULTILINE))
    keys = {key for key, table in known_keys(Configuration).items() if table is None or "." in key}
    assert rows == keys - {"route.routes.routes.receivers"}


@pytest.mark.parametrize(("key", "field"), FIELDS, ids=[key for key, _ in FIELDS])
def test_every_key_of_the_configuration_has_its_description_in_its_row(key, field):
    assert re.fullmatch(r"[A-Z].*\.", field.description), "full sentences"
    (row,) = [line for line in page("configuration.md").splitlines() if line.startswith(f"| `{key}` |")]
    meaning = field.description.replace("|", "\\|")
    assert row == f"| `{key}` | {default_cell(key, field)} | {meaning} |"


def test_every_comment_of_the_example_is_the_description_of_its_key():
    comments, fields = dict(example_comments()), dict(FIELDS)
    assert len(comments) > 50
    assert comments == {key: fields[key].description for key in comments}


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


def test_no_section_describes_a_removed_command():
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

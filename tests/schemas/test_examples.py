"""The examples fit their contracts and the exported schemas, and both refuse broken messages."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from schemas.deployment import Deployment
from schemas.export import MESSAGES, json_schema
from schemas.record import Data, Infrastructure, Output, Record, Safety
from tests.test_docs import page

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
FILES = sorted(EXAMPLES.glob("*/*.json"))


def contents(file):
    """The messages in an example file: one, or all records of an array."""
    content = json.loads(file.read_text("utf-8"))
    return content if isinstance(content, list) else [content]


def read(name, content):
    """Read a message as its readers do. A deployment of several subjects is one message."""
    return Deployment.read(content) if name == "deployment" else MESSAGES[name].from_json(json.dumps(content).encode())


def validator(name):
    return Draft202012Validator(json_schema(name), format_checker=FormatChecker())


@pytest.mark.parametrize("name", ["drift", "deployment", "command", "incident"])
def test_a_message_has_examples_of_several_situations(name):
    assert len(list((EXAMPLES / name).glob("*.json"))) >= 4


def test_every_folder_of_examples_is_named_after_a_message():
    assert {folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()} <= set(MESSAGES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_fits_its_contract_and_its_exported_schema(file):
    name = file.parent.name
    for content in contents(file):
        read(name, content)
        assert [problem.message for problem in validator(name).iter_errors(content)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_has_only_fields_of_the_contract(file):
    message = MESSAGES[file.parent.name]
    for content in contents(file):
        assert set(content) <= set(message.model_fields)


def test_the_page_about_records_begins_with_the_complete_record():
    block = re.search(r"(?:^    .*\n)+", page("records.md"), re.MULTILINE)
    full = json.loads((EXAMPLES / "record" / "full.json").read_text("utf-8"))
    assert json.loads(block[0]) == full


def test_the_complete_record_has_every_field():
    full = json.loads((EXAMPLES / "record" / "full.json").read_text("utf-8"))
    assert full.keys() == Record.model_fields.keys()
    for section in (Infrastructure, Output, Data, Safety):
        assert full[section.__name__.lower()].keys() == section.model_fields.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_missing_required_field_is_refused(file):
    name = file.parent.name
    for content in contents(file):
        for field in (field for field, info in MESSAGES[name].model_fields.items() if info.is_required()):
            without = {key: value for key, value in content.items() if key != field}
            assert is_refused(name, without), field


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_unknown_field_from_a_newer_writer_is_ignored(file):
    name = file.parent.name
    for content in contents(file):
        newer = content | {"added_in_a_later_version": {"deep": [1]}}
        assert read(name, newer) == read(name, content)
        assert validator(name).is_valid(newer)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("drift", {"state": "wobbling"}),
        ("drift", {"tier": "P1"}),
        ("drift", {"subject": ""}),
        ("drift", {"subject": "line\nbreak"}),
        ("drift", {"partition": "0"}),
        ("drift", {"now": "9 %"}),
        ("drift", {"version": 2}),
        ("drift", {"started_at": "yesterday"}),
        ("drift", {"partition": 2**53}),
        ("drift", {"sequence": 10**24}),
        ("drift", {"sentence": "x" * 50_001}),
        ("deployment", {"kind": ["prompt"]}),
        ("deployment", {"deployment_id": ""}),
        ("deployment", {"deployment_id": None}),
        ("deployment", {"timestamp": 17}),
        ("deployment", {"timestamp": "2026-11-24 03:12"}),
        ("deployment", {"to_version": {"chart": 2}}),
        ("deployment", {"subject": []}),
        ("deployment", {"subject": ["chat", "two\nlines"]}),
        ("deployment", {"expect_shift": "length"}),
        ("command", {"action": "shout"}),
        ("command", {"severity": "P5"}),
        ("command", {"at": True}),
        ("command", {"matchers": ["x"] * 101}),
        ("incident", {"severity": "P0"}),
        ("incident", {"status": "fine"}),
        ("incident", {"revision": 0}),
        ("incident", {"revision": 10**24}),
        ("incident", {"subject_count": 2**53}),
        ("incident", {"title": "x" * 50_001}),
        ("incident", {"segments": ["x"] * 10_001}),
        ("incident", {"evidence": {}}),
        ("incident", {"suspects": [{"rank": 1, "kind": "prompt", "name": "v42", "score": 1.2, "reason": "r"}]}),
        ("tick", {"partition": None}),
    ],
)
def test_a_broken_message_is_refused_by_the_contract_and_the_schema(name, changes):
    content = contents(min((EXAMPLES / name).glob("*.json")))[0]
    assert not is_refused(name, content)
    assert is_refused(name, content | changes)


def is_refused(name, content):
    """Whether contract and schema refuse a message. Fails if they disagree."""
    try:
        read(name, content)
    except ValidationError:
        fits = False
    else:
        fits = True
    assert validator(name).is_valid(content) == fits, (name, fits)
    return not fits

import json

import pytest
from jsonschema import Draft202012Validator

from schemas.export import DIALECT, MESSAGES, export, schema
from schemas.timestamp import format_timestamp


def test_every_message_is_exported_to_a_file_of_its_name(tmp_path):
    files = export(tmp_path / "new" / "folder")
    assert {file.name for file in files} == {f"{name}.schema.json" for name in MESSAGES}
    assert {"record", "deployment", "drift", "tick", "incident", "command", "notification", "dead_letter"} <= set(
        MESSAGES
    )
    assert all(json.loads(file.read_text("utf-8")) == schema(file.name.split(".")[0]) for file in files)


def test_exporting_twice_writes_the_same(tmp_path):
    first = [file.read_bytes() for file in export(tmp_path)]
    assert [file.read_bytes() for file in export(tmp_path)] == first


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_is_valid_in_its_dialect_and_says_what_it_is(name):
    content = schema(name)
    Draft202012Validator.check_schema(content)
    assert content["$schema"] == DIALECT
    assert content["$id"] == f"urn:driftwire:{name}:1"
    assert content["title"]
    assert content["description"]


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_fields_are_allowed_for_newer_writers(name):
    assert schema(name).get("additionalProperties", True) is not False


def test_what_others_write_may_carry_unix_milliseconds_and_what_we_write_does_not():
    at = 1_795_489_920_000
    deployment = {"deployment_id": "d-1", "timestamp": at, "kind": "prompt", "subject": "support-bot"}
    assert Draft202012Validator(schema("deployment")).is_valid(deployment)
    tick = {"partition": 0, "watermark": at}
    assert not Draft202012Validator(schema("tick")).is_valid(tick)
    assert Draft202012Validator(schema("tick")).is_valid(tick | {"watermark": format_timestamp(at)})


def test_a_message_that_no_topic_carries_has_no_schema():
    with pytest.raises(KeyError):
        schema("gossip")

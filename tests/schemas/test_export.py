import json

import pytest
from jsonschema import Draft202012Validator

from schemas.export import DIALECT, MESSAGES, export_schemas, json_schema
from schemas.timestamp import format_timestamp


def test_every_message_is_exported_to_a_file_with_its_name(tmp_path):
    files = export_schemas(tmp_path / "new" / "folder")
    assert {file.name for file in files} == {f"{name}.schema.json" for name in MESSAGES}
    assert {"record", "deployment", "drift", "tick", "incident", "command", "notification", "dead_letter"} <= set(
        MESSAGES
    )
    assert all(json.loads(file.read_text("utf-8")) == json_schema(file.name.split(".")[0]) for file in files)


def test_exporting_twice_writes_the_same_files(tmp_path):
    first = [file.read_bytes() for file in export_schemas(tmp_path)]
    assert [file.read_bytes() for file in export_schemas(tmp_path)] == first


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_is_valid_in_its_dialect_and_identifies_itself(name):
    content = json_schema(name)
    Draft202012Validator.check_schema(content)
    assert content["$schema"] == DIALECT
    assert content["$id"] == f"urn:driftwire:{name}:1"
    assert content["title"]
    assert content["description"]


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_fields_are_allowed_for_newer_writers(name):
    assert json_schema(name).get("additionalProperties", True) is not False


def test_only_external_messages_may_have_unix_milliseconds():
    at = 1_795_489_920_000
    deployment = {"deployment_id": "d-1", "timestamp": at, "kind": "prompt", "subject": "support-bot"}
    assert Draft202012Validator(json_schema("deployment")).is_valid(deployment)
    tick = {"partition": 0, "watermark": at}
    assert not Draft202012Validator(json_schema("tick")).is_valid(tick)
    assert Draft202012Validator(json_schema("tick")).is_valid(tick | {"watermark": format_timestamp(at)})


def test_a_message_without_a_topic_has_no_schema():
    with pytest.raises(KeyError):
        json_schema("gossip")

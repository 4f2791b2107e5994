"""The AsyncAPI document is valid, agrees with the table of topics, and its examples fit its schemas."""

import copy
import gzip
import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from schemas.asyncapi import RECORD_ARRAY, asyncapi_document, export_asyncapi
from schemas.export import EXTERNAL_MESSAGES, MESSAGES
from schemas.topics import RECORDS, TOPICS
from tests.schemas.test_examples import FILES
from topologies.configuration.configuration import Configuration

OFFICIAL = Path(__file__).parent / "asyncapi_3_0_0" / "schema.json.gz"
CHANNELS = [topic for topic in TOPICS if topic.messages]


@cache
def document():
    return asyncapi_document("1.2.3")


@cache
def official():
    return Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


def resolve(reference):
    value = document()
    for key in reference.removeprefix("#/").split("/"):
        value = value[key]
    return value


def references(value):
    if isinstance(value, dict):
        yield from (inner for key, inner in value.items() if key == "$ref")
        yield from (reference for inner in value.values() for reference in references(inner))
    if isinstance(value, list):
        yield from (reference for inner in value for reference in references(inner))


def payload_validator(name):
    """A validator of the payload of a message, with the document's schemas."""
    return Draft7Validator({**document()["components"]["messages"][name]["payload"], **document_schemas()})


def document_schemas():
    return {"components": {"schemas": document()["components"]["schemas"]}}


def channel(topic):
    return document()["channels"][topic.name.removeprefix("driftwire.")]


def test_it_is_valid_by_the_official_schema():
    assert [problem.json_path for problem in official().iter_errors(document())] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("asyncapi",), "2.6.0"),
        (("info", "version"), None),
        (("channels", "records", "bindings", "kafka", "partitions"), 0),
        (("channels", "alerts", "bindings", "kafka", "topicConfiguration", "cleanup.policy"), "compact"),
        (("operations", "sendRecords", "action"), "publish"),
        (("components", "messages", "Record", "examples"), [{"value": {}}]),
        (("components", "schemas", "Tick", "type"), "record"),
        (("servers", "kafka", "protocol"), None),
    ],
    ids=str,
)
def test_the_official_schema_refuses_a_broken_document(path, value):
    broken = copy.deepcopy(document())
    parent = broken
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    assert not official().is_valid(broken)


def test_every_reference_leads_somewhere():
    found = set(references(document()))
    assert len(found) > 30
    assert all(isinstance(resolve(reference), dict) for reference in found)


@pytest.mark.parametrize("topic", CHANNELS, ids=lambda topic: topic.name)
def test_a_channel_is_the_row_of_its_topic(topic):
    kafka = channel(topic)["bindings"]["kafka"]
    assert channel(topic)["address"] == kafka["topic"] == topic.name
    assert kafka.get("partitions") == topic.partitions
    settings = kafka["topicConfiguration"]
    assert settings["cleanup.policy"] == [topic.cleanup]
    assert settings.get("retention.ms") == topic.retention_ms
    assert settings["max.message.bytes"] == topic.message_bytes_max
    names = {message.__name__ for message in topic.messages}
    assert channel(topic)["messages"].keys() - {RECORD_ARRAY} == names
    for name in names:
        assert document()["components"]["messages"][name]["bindings"]["kafka"]["key"]["description"] == topic.key


def test_checkpoints_are_no_channels():
    assert len(document()["channels"]) == len(CHANNELS) < len(TOPICS)


@pytest.mark.parametrize("topic", CHANNELS, ids=lambda topic: topic.name)
def test_an_application_sends_what_driftwire_accepts_and_receives_the_rest(topic):
    (operation,) = [
        operation
        for operation in document()["operations"].values()
        if resolve(operation["channel"]["$ref"]) is channel(topic)
    ]
    is_sent = any(MESSAGES[name] in topic.messages for name in EXTERNAL_MESSAGES)
    assert operation["action"] == ("send" if is_sent else "receive")
    sent = [resolve(message["$ref"]) for message in operation["messages"]]
    assert sent == list(channel(topic)["messages"].values())


@pytest.mark.parametrize("name", [*(message.__name__ for message in MESSAGES.values()), RECORD_ARRAY])
def test_a_message_has_examples_that_fit_its_payload_and_no_other_message_of_its_channel(name):
    examples = document()["components"]["messages"][name]["examples"]
    assert examples
    (names,) = [row["messages"].keys() for row in document()["channels"].values() if name in row["messages"]]
    for example in examples:
        fitting = [other for other in names if payload_validator(other).is_valid(example["payload"])]
        assert fitting == [name], example["name"]


def test_every_example_is_in_the_document():
    messages = document()["components"]["messages"].values()
    assert sum(len(message["examples"]) for message in messages) == len(FILES)


def test_the_default_address_is_that_of_the_configuration():
    default = document()["servers"]["kafka"]["variables"]["bootstrap"]["default"]
    assert default == Configuration().kafka.bootstrap


def test_the_records_topic_has_no_fixed_number_of_partitions():
    assert "partitions" not in channel(next(topic for topic in TOPICS if topic.name == RECORDS))["bindings"]["kafka"]


def test_the_document_is_the_same_each_time(tmp_path):
    first, second = (export_asyncapi(tmp_path / name, "1.2.3") for name in ("one.json", "folder"))
    assert (first.name, second) == ("one.json", tmp_path / "folder" / "asyncapi.json")
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(first.read_text("utf-8")) == document()

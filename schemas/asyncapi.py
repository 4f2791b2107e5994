"""The contracts as one AsyncAPI 3.0 document: what an application sends to driftwire and receives from it, over Kafka."""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from schemas.export import EXTERNAL_MESSAGES, MESSAGES, schema_mode
from schemas.record import ELEMENTS_MAX
from schemas.topics import RECORDS, TOPICS, Topic

ASYNCAPI = "3.0.0"
KAFKA_BINDINGS = "0.5.0"
"""Version of the Kafka bindings, which state keys, partitions and the configuration of topics."""

CONTENT_TYPE = "application/json"

EXAMPLES = Path(__file__).parent / "examples"

RECORD_ARRAY = "RecordArray"
"""Name of the second message of the records topic, which is no contract of its own."""

_DESCRIPTION = (
    "driftwire finds drift and incidents in AI systems. An application sends records and deployments to it, and receives "
    "incidents and notifications from it. The operations are those of the application. Every number in a schema has its "
    "unit in `x-unit`, as a UCUM code."
)
_SERVER = {
    "host": "{bootstrap}",
    "protocol": "kafka",
    "description": "The Kafka cluster of driftwire. It may require TLS and SASL.",
    "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "Address of a broker, as HOST:PORT."}},
}


def asyncapi_document(version: str) -> dict[str, Any]:
    """Return the AsyncAPI document of all topics that have messages.

    Parameters
    ----------
    version
        Version of driftwire.

    >>> asyncapi_document("1.0.0")["operations"]["sendRecords"]["action"]
    'send'
    """
    topics = [topic for topic in TOPICS if topic.messages]
    payloads, definitions = models_json_schema(
        [(message, schema_mode(name)) for name, message in MESSAGES.items()],
        ref_template="#/components/schemas/{model}",
    )
    messages = {}
    for name, message in MESSAGES.items():
        (topic,) = [topic for topic in topics if message in topic.messages]
        summary = (message.__doc__ or "").partition("\n")[0]
        payload = payloads[message, schema_mode(name)]
        examples = _read_examples(name)
        single = [example for example in examples if not isinstance(example["payload"], list)]
        messages[message.__name__] = _message(topic, message.__name__, summary, payload, single)
        if topic.name == RECORDS:
            array = {"type": "array", "items": payload, "maxItems": ELEMENTS_MAX}
            arrays = [example for example in examples if example not in single]
            messages[RECORD_ARRAY] = _message(topic, RECORD_ARRAY, "Many records in one message.", array, arrays)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "driftwire",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"kafka": _SERVER},
        "channels": {_channel_name(topic): _channel(topic) for topic in topics},
        "operations": dict(_operation(topic) for topic in topics),
        "components": {"messages": messages, "schemas": definitions["$defs"]},
    }


def export_asyncapi(path: Path, version: str) -> Path:
    """Write the AsyncAPI document to ``path``, or to ``path/asyncapi.json``, and return the file.

    Parameters
    ----------
    path
        A file if its name ends in ``.json``, else a folder.
    version
        Version of driftwire.

    Raises
    ------
    OSError
        If the folder cannot be created or the file cannot be written.
    """
    file = path if path.suffix == ".json" else path / "asyncapi.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asyncapi_document(version), indent=2) + "\n", encoding="utf-8")
    return file


def _channel_name(topic: Topic) -> str:
    return topic.name.removeprefix("driftwire.")


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"Written by {', '.join(topic.written_by)}. Read by {', '.join(topic.read_by)}."
        + (" The number of partitions is configured." if topic.partitions is None else ""),
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                **({} if topic.partitions is None else {"partitions": topic.partitions}),
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup],
                    **({} if topic.retention_ms is None else {"retention.ms": topic.retention_ms}),
                    "max.message.bytes": topic.message_bytes_max,
                },
                "bindingVersion": KAFKA_BINDINGS,
            }
        },
    }


def _operation(topic: Topic) -> tuple[str, dict[str, Any]]:
    channel = _channel_name(topic)
    is_sent = any(MESSAGES[name] in topic.messages for name in EXTERNAL_MESSAGES)
    action = "send" if is_sent else "receive"
    words = channel.replace("-", " ")
    return action + words.title().replace(" ", ""), {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"Send {words} to driftwire." if is_sent else f"Receive {words} from driftwire.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in _message_names(topic)],
    }


def _message_names(topic: Topic) -> list[str]:
    names = [message.__name__ for message in topic.messages]
    return [*names, RECORD_ARRAY] if topic.name == RECORDS else names


def _message(
    topic: Topic, name: str, summary: str, payload: dict[str, Any], examples: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": KAFKA_BINDINGS},
        },
        "examples": examples,
    }


def _read_examples(name: str) -> list[dict[str, Any]]:
    files = sorted((EXAMPLES / name).glob("*.json"))
    return [{"name": file.stem, "payload": json.loads(file.read_text("utf-8"))} for file in files]

"""The contracts as JSON Schema (2020-12), one file per message, for clients in any language."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from schemas.message import Message
from schemas.topics import TOPICS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

EXTERNAL_MESSAGES = ("record", "deployment", "command")
"""Messages that other systems write. Their schema describes accepted input; all other schemas describe output."""

MESSAGES: dict[str, type[Message]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", message.__name__).lower(): message for topic in TOPICS for message in topic.messages
}
"""Messages of all topics, by the name of their module in this package."""


def schema_mode(name: str) -> Literal["validation", "serialization"]:
    """Return whether the schema of a message describes accepted input or written output.

    >>> schema_mode("record"), schema_mode("incident")
    ('validation', 'serialization')
    """
    return "validation" if name in EXTERNAL_MESSAGES else "serialization"


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a message.

    Raises
    ------
    KeyError
        If no topic has such a message.

    >>> json_schema("drift")["$id"]
    'urn:driftwire:drift:1'
    """
    message = MESSAGES[name]
    content = message.model_json_schema(mode=schema_mode(name))
    version = message.model_fields["version"].default
    head = {"$schema": DIALECT, "$id": f"urn:driftwire:{name}:{version}", "title": message.__name__}
    return {**head, "description": content["description"], **content, **head}


def export_schemas(directory: Path) -> list[Path]:
    """Write the schema of every message to ``directory/NAME.schema.json`` and return the files.

    Raises
    ------
    OSError
        If the directory cannot be created or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name in MESSAGES:
        file = directory / f"{name}.schema.json"
        file.write_text(json.dumps(json_schema(name), indent=2) + "\n", encoding="utf-8")
        files.append(file)
    return files

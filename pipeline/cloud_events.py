"""CloudEvents 1.0 in JSON: an envelope around a record, a deployment or a command.

Of the two modes of CloudEvents, this is the structured mode: the message is an envelope, and its ``data`` is the
message of the contract. In binary mode, the message is the data itself and its attributes are headers, so there is
nothing to unwrap. The other attributes of an envelope are not used.

Source: CloudEvents 1.0.2, JSON event format, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from typing import Any

VERSION_ATTRIBUTE = "specversion"
"""The attribute that marks an envelope. No message of the contracts has a field of this name."""

_VERSION = "1.0"
_REQUIRED_ATTRIBUTES = ("id", "source", "type")


def is_cloud_event(content: dict[str, Any]) -> bool:
    """Return whether a JSON object is an envelope, valid or not.

    A record has a section ``data`` of its own, and a CloudEvent can have an attribute ``subject``, so neither of them
    distinguishes the two.
    """
    return VERSION_ATTRIBUTE in content


def unwrap_cloud_event(content: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an envelope. Any other object is returned unchanged.

    Raises
    ------
    ValueError
        If the envelope cannot be used. The message states the reason and contains no text of the envelope.

    >>> unwrap_cloud_event({"specversion": "1.0", "id": "1", "source": "/a", "type": "record", "data": {"subject": "bot"}})
    {'subject': 'bot'}
    >>> unwrap_cloud_event({"subject": "bot", "data": {"input_length": 3}})
    {'subject': 'bot', 'data': {'input_length': 3}}
    """
    if not is_cloud_event(content):
        return content
    if content[VERSION_ATTRIBUTE] != _VERSION:
        raise ValueError(
            f'the CloudEvent does not have the {VERSION_ATTRIBUTE} "{_VERSION}": send CloudEvents {_VERSION}'
        )
    for name in _REQUIRED_ATTRIBUTES:
        if not isinstance(content.get(name), str) or not content[name]:
            raise ValueError(f'the CloudEvent has no "{name}": send it as text, as CloudEvents {_VERSION} requires')
    if "data_base64" in content:
        raise ValueError("the CloudEvent has data_base64: send JSON as its data")
    if content.get("data") is None:
        raise ValueError("the CloudEvent has no data")
    data = content["data"]
    if isinstance(data, dict) and is_cloud_event(data):
        raise ValueError("the data of the CloudEvent is another CloudEvent: send one envelope")
    if isinstance(data, dict):
        return data
    raise ValueError("the data of the CloudEvent must be one JSON object")

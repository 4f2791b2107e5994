"""Repair of export requests in Protobuf that contain text that is not UTF-8.

Protobuf refuses such a request as a whole. SDKs that cut long attributes in the middle of a character write it, and the
Collector passes it on. One such attribute must not cost all spans of its message.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


def clear_bad_texts(kind: type[Message], value: bytes) -> bytes:
    """Return an encoded message in which each text that is not UTF-8 is empty, and absent as a value of an attribute.

    Raises
    ------
    google.protobuf.message.DecodeError
        If the bytes are not a message for any other reason.
    """
    lenient, texts = _make_lenient(kind.DESCRIPTOR)
    message = lenient.FromString(value)
    remaining = [message]
    while remaining:
        found = remaining.pop()
        for field, content in found.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                remaining.extend(content if field.is_repeated else [content])
            elif field.full_name in texts:
                _clear(found, field.name, content)
    return bytes(message.SerializeToString())


def _clear(message: Any, name: str, content: Any) -> None:
    if isinstance(content, bytes):
        if not _is_text(content):
            # Without a value, an answer has an unknown length. With an empty text, it would be an empty answer.
            message.ClearField(name)
    else:
        content[:] = [text if _is_text(text) else b"" for text in content]


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _make_lenient(descriptor: Descriptor) -> tuple[Any, frozenset[str]]:
    """Return the class of the same message in which texts are bytes, and the full names of the fields of texts.

    Texts and bytes have the same encoding.
    """
    pool = DescriptorPool()
    texts: set[str] = set()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        content = FileDescriptorProto()
        file.CopyToProto(content)
        for message in content.message_type:
            _change_texts(message, content.package, texts)
        pool.AddSerializedFile(content.SerializeToString())

    add(descriptor.file)
    return GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name)), frozenset(texts)


def _change_texts(message: DescriptorProto, scope: str, texts: set[str]) -> None:
    """Make the texts of a message and of those within it bytes, and add their full names to ``texts``."""
    name = f"{scope}.{message.name}"
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
            texts.add(f"{name}.{field.name}")
    for nested in message.nested_type:
        _change_texts(nested, name, texts)

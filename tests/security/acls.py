"""Kafka ACLs from the kafka-acls commands of a page, which are added and removed over Kafka's protocol."""

import argparse
import asyncio
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from topologies.kafka import Cluster

PAGE = Path(__file__).parents[2] / "docs/security.md"

_KINDS = {"topic": 2, "group": 3, "transactional_id": 5}
_PATTERNS = {"literal": 3, "prefixed": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8}
_ALLOW = 3
_ANY_HOST = "*"


@dataclass(frozen=True)
class Acl:
    """One permission of one user on one resource."""

    user: str
    operation: str
    kind: str
    name: str
    pattern: str = "literal"

    def fields(self) -> tuple[object, ...]:
        """The fields of the permission, in the order of Kafka's protocol."""
        resource = (_KINDS[self.kind], self.name, _PATTERNS[self.pattern])
        return (*resource, f"User:{self.user}", _ANY_HOST, _OPERATIONS[self.operation], _ALLOW)


def documented_acls(page: Path = PAGE) -> list[Acl]:
    """Return the permissions in all kafka-acls commands of a page."""
    text = page.read_text().replace("\\\n", " ")
    return [acl for command in re.findall(r"^ *kafka-acls .*$", text, re.MULTILINE) for acl in _parse(command)]


async def add_acls(cluster: Cluster, acls: Collection[Acl]) -> None:
    """Add permissions, and wait until the broker applies them."""
    response = await _send(cluster, _CreateAcls(acls))
    assert not any(code for code, _ in response.results), response
    await _wait_until_applied(cluster, acls, exist=True)


async def remove_acls(cluster: Cluster, acls: Collection[Acl]) -> None:
    """Remove permissions that exist, and wait until the broker applies this."""
    response = await _send(cluster, _DeleteAcls(acls))
    assert all(code == 0 and len(matches) == 1 for code, _, matches in response.results), response
    await _wait_until_applied(cluster, acls, exist=False)


async def _wait_until_applied(cluster: Cluster, acls: Collection[Acl], *, exist: bool) -> None:
    """The controller answers before the broker applies a change, which takes longer on a busy machine."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        async with asyncio.timeout(60):
            for acl in acls:
                while bool((await admin._send_request(DescribeAclsRequest(*acl.fields()))).resources) != exist:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    finally:
        await admin.close()


def _parse(command: str) -> Iterator[Acl]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--command-config", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    for kind in _KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", action="append", default=[])
    given = parser.parse_args(shlex.split(command)[1:])
    for kind in _KINDS:
        for name in getattr(given, kind):
            for operation in given.operation:
                user = given.allow_principal.removeprefix("User:")
                yield Acl(user, operation, kind, name, given.resource_pattern_type)


async def _send(cluster: Cluster, request: Request) -> Response:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    try:
        return await admin._send_request(request)
    finally:
        await admin.close()


_RIGHT = (
    *(("resource_type", Int8), ("resource_name", String("utf-8")), ("pattern_type", Int8)),
    *(("principal", String("utf-8")), ("host", String("utf-8")), ("operation", Int8), ("permission", Int8)),
)


class _CreateAclsResponse(Response):
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(("throttle_time_ms", Int32), ("results", Array(("code", Int16), ("message", String("utf-8")))))


class _CreateAclsRequest(RequestStruct):
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _CreateAclsResponse
    SCHEMA = Schema(("creations", Array(*_RIGHT)))


class _DeleteAclsResponse(Response):
    API_KEY = 31
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("code", Int16),
                ("message", String("utf-8")),
                ("matches", Array(("code", Int16), ("message", String("utf-8")), *_RIGHT)),
            ),
        ),
    )


class _DeleteAclsRequest(RequestStruct):
    API_KEY = 31
    API_VERSION = 1
    RESPONSE_TYPE = _DeleteAclsResponse
    SCHEMA = Schema(("filters", Array(*_RIGHT)))


class _CreateAcls(Request[_CreateAclsRequest]):
    API_KEY = 30

    def __init__(self, acls: Collection[Acl]) -> None:
        self._fields = [acl.fields() for acl in acls]

    def build(self, request_struct_class: type[_CreateAclsRequest]) -> _CreateAclsRequest:
        return request_struct_class(self._fields)


class _DeleteAcls(Request[_DeleteAclsRequest]):
    API_KEY = 31

    def __init__(self, acls: Collection[Acl]) -> None:
        self._fields = [acl.fields() for acl in acls]

    def build(self, request_struct_class: type[_DeleteAclsRequest]) -> _DeleteAclsRequest:
        return request_struct_class(self._fields)

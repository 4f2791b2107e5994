"""What the client sends is what driftwire reads."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from driftwire_client.fields import SECTIONS, DataFields, OutcomeFields, RecordFields
from driftwire_client.message import UnusableMessage, encode_deployment, encode_outcome, encode_record
from pipeline.detect.admission.shape import ShapeCache
from schemas.deployment import Deployment
from schemas.record import Record

NOW_MS = 1795489920123
DEFAULTS = {"subject": "support-bot"}


def ignore(_: str) -> None:
    """No name is unknown in these tests."""


def read_record(defaults: dict[str, Any] | None = None, /, **fields: Any) -> Record:
    return Record.from_json(encode_record(fields, DEFAULTS if defaults is None else defaults, NOW_MS, ignore)[1])


def test_a_record_with_every_field_fits_the_contract() -> None:
    values: dict[type, Any] = {float: 0.5, bool: True, str: "text"}
    fields = {
        name: next(values[kind] for kind in values if kind.__name__ in str(RecordFields.__annotations__[name]))
        for name in SECTIONS
    }
    fields |= {"embedding": (0.1, 0.2), "request_id": "r-81", "versions": {"model": 7}, "segment": {"tenant": "acme"}}
    fields |= {"custom": {"margin": 0.1, "cached": True}, "environment": "test", "provider": "p", "provider_model": "m"}
    fields |= {"sampled": "tail", "sampling_probability": 0.5}
    record = read_record(**fields)
    assert record.model_fields_set == set(Record.model_fields) - {"version"}
    for name, section in SECTIONS.items():
        sent = list(fields[name]) if name == "embedding" else fields[name]
        assert getattr(getattr(record, section), name) == sent
    assert record.timestamp == NOW_MS


def test_labels_of_the_client_are_defaults() -> None:
    defaults = {"subject": "support-bot", "environment": "test", "versions": {"model": "m-1", "prompt": "v41"}}
    record = read_record(defaults, versions={"prompt": "v42"}, environment=None, subject="search")
    assert (record.subject, record.environment) == ("search", "test")
    assert record.versions == {"model": "m-1", "prompt": "v42"}
    assert defaults["versions"] == {"model": "m-1", "prompt": "v41"}


@pytest.mark.parametrize(
    "timestamp",
    [datetime(2026, 11, 24, 3, 12, 0, 123000, tzinfo=UTC), NOW_MS, NOW_MS / 1000, "2026-11-24T03:12:00.123Z"],
)
def test_a_timestamp_may_have_each_type(timestamp: Any) -> None:
    assert read_record(timestamp=timestamp).timestamp == NOW_MS


def test_numbers_and_arrays_of_numpy_are_sent_as_numbers() -> None:
    record = read_record(latency_ms=np.float32(0.5), error=np.bool_(True), embedding=np.array([0.5, 1.0]))
    assert record.infrastructure is not None
    assert record.data is not None
    assert (record.infrastructure.latency_ms, record.infrastructure.error) == (0.5, True)
    assert record.data.embedding == [0.5, 1.0]


@pytest.mark.parametrize("value", [Decimal(1), ValueError("private"), object(), b"private", {1}])
def test_a_value_that_json_does_not_have_is_sent_as_an_unusable_one(value: Any) -> None:
    sent = encode_record({"error_type": value, "length": 9}, DEFAULTS, NOW_MS, ignore)[1]
    assert json.loads(sent)["infrastructure"] == {"error_type": {}}
    assert json.loads(sent)["output"] == {"length": 9}


def test_an_unknown_field_is_left_out_and_named() -> None:
    named: list[str] = []
    sent = encode_record({"prompt": "private", "length": 9}, DEFAULTS, NOW_MS, named.append)[1]
    assert named == ["prompt"]
    assert b"private" not in sent


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 201, ["a"]])
def test_a_record_without_a_usable_subject_is_not_sent(subject: Any) -> None:
    with pytest.raises(UnusableMessage):
        encode_record({"subject": subject}, {}, NOW_MS, ignore)


def is_outcome(message: bytes) -> bool:
    """Whether detect reads a record as the late outcome of a request."""
    ((shape, _, _),) = ShapeCache().group_by_shape([json.loads(message)])
    return shape.is_late_outcome_if_identified


@pytest.mark.parametrize("fields", [{"refused": True}, {"latency_ms": None}, {"latency_ms": 812}])
def test_a_request_is_never_read_as_a_late_outcome(fields: dict[str, Any]) -> None:
    _, message = encode_record({"request_id": "r-81", **fields}, DEFAULTS, NOW_MS, ignore)
    assert not is_outcome(message)
    Record.from_json(message)


def test_an_outcome_is_read_as_one() -> None:
    named: list[str] = []
    fields = {"request_id": "r-81", "thumbs_down": True, "latency_ms": 812}
    key, message = encode_outcome(fields, DEFAULTS, NOW_MS, named.append)
    assert key == b"support-bot"
    assert is_outcome(message)
    assert named == ["latency_ms"]
    record = Record.from_json(message)
    assert record.output is not None
    assert record.output.thumbs_down is True


def test_an_outcome_without_a_request_is_not_sent() -> None:
    with pytest.raises(UnusableMessage, match="request_id"):
        encode_outcome({"request_id": None, "clicked": True}, DEFAULTS, NOW_MS, ignore)


def test_a_deployment_fits_the_contract() -> None:
    fields = {"kind": "prompt", "from_version": "v41", "to_version": 42, "expect_shift": ("length",)}
    key, message = encode_deployment(fields, DEFAULTS, NOW_MS, ignore)
    (deployment,) = Deployment.read(json.loads(message))
    assert key == deployment.deployment_id.encode()
    assert (deployment.subject, deployment.to_version, deployment.timestamp) == ("support-bot", "42", NOW_MS)
    _, message = encode_deployment({"kind": "model", "provider": "example-ai"}, DEFAULTS, NOW_MS, ignore)
    assert Deployment.read(json.loads(message))[0].subject is None
    with pytest.raises(UnusableMessage, match="a subject, an environment or a provider"):
        encode_deployment({"kind": "model"}, {}, NOW_MS, ignore)


def test_outcomes_have_no_field_of_their_own() -> None:
    assert set(DataFields.__annotations__) < set(OutcomeFields.__annotations__) < set(RecordFields.__annotations__)

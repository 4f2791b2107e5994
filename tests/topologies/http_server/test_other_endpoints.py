"""Deployments, telemetry and webhooks over HTTP."""

import gzip
import hashlib
import hmac
import json
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipeline.webhooks import PAYLOAD_BYTES_MAX
from schemas.topics import DEAD_LETTERS
from tests.pipeline.intake.telemetry.builders import Log, Span, logs_message, spans_message
from tests.topologies.http_server.http_worker import TopicReader
from topologies.http_server.telemetry_requests import PROTOBUF

pytestmark = pytest.mark.kafka

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "model-a",
    "gen_ai.input.messages": "s3cret",
    "gen_ai.response.id": "r-1",
}


def deployment(**changes):
    return {
        "deployment_id": "d-1",
        "timestamp": int(time.time() * 1000),
        "kind": "prompt",
        "subject": "http-bot",
        "from_version": "v1",
        "to_version": "v2",
    } | changes


def span(**changes):
    now_ns = time.time_ns()
    return Span(**({"attributes": CALL, "start_ns": now_ns - 10**9, "end_ns": now_ns} | changes))


@pytest.mark.parametrize(
    "body",
    [
        [deployment(deployment_id=7), deployment(deployment_id="7", subject="b")],
        deployment(deployment_id="7", subject=["a", "b"]),
        {"specversion": "1.0", "id": "1", "source": "/ci", "type": "x", "data": deployment(subject=["a", "b"])},
    ],
)
def test_deployments_are_written_by_their_id_one_per_subject(worker, deployments, body):
    answer = worker.send("/v1/deployments", body)
    assert (answer.status, answer.json()) == (200, {"deployments": 2})
    written = deployments.read_new()
    assert len({json.loads(message.value)["subject"] for message in written}) == 2
    assert {message.key for message in written} == {json.loads(one.value)["deployment_id"].encode() for one in written}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"kind": ["s3cret"]}, "kind", "not a valid deployment"),
        ({"deployment_id": None}, "deployment_id", "not a valid deployment"),
        ({"to_version": "v1"}, "", "the same"),
        ({"expect_shift": ["lenght"]}, "expect_shift", '"length"'),
        ({"timestamp": int(time.time() * 1000) + 10**7}, "", "after the arrival"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused_with_its_field(worker, deployments, changes, field, words):
    answer = worker.send("/v1/deployments", [deployment(), deployment(**changes)])
    (problem,) = answer.json()["problems"]
    assert (answer.status, problem["index"], problem["field"]) == (400, 1, field)
    assert words in answer.json()["error"]
    assert b"s3cret" not in answer.body
    assert deployments.read_new() == []


@pytest.mark.parametrize(("encoding", "content_type"), [("protobuf", PROTOBUF), ("json", "application/json")])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_spans_become_records_without_their_texts(worker, records, encoding, content_type, compress):
    headers = {"Content_Type": content_type} | ({"Content_Encoding": "gzip"} if compress is gzip.compress else {})
    agent = span(attributes={"gen_ai.operation.name": "invoke_agent"})
    answer = worker.send("/v1/traces", compress(spans_message(span(), agent, encoding=encoding)), **headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.body == (b"" if encoding == "protobuf" else b"{}")
    (message,) = records.read_new()
    assert message.key == b"shop-chat"
    assert json.loads(message.value)["versions"]["model"] == "model-a"
    assert b"s3cret" not in message.value


def test_log_records_become_records(worker, records):
    evaluation = {"gen_ai.evaluation.name": "hallucination", "gen_ai.evaluation.score.label": "fail"}
    log = Log(evaluation | {"gen_ai.response.id": "r-1"}, "gen_ai.evaluation.result", time_ns=time.time_ns())
    answer = worker.send("/v1/logs", logs_message(log, encoding="json"))
    assert (answer.status, answer.body) == (200, b"{}")
    assert len(records.read_new()) == 1


@pytest.mark.parametrize(("encoding", "content_type"), [("protobuf", PROTOBUF), ("json", "application/json")])
def test_a_span_that_cannot_be_read_is_a_dead_letter_and_rejected_and_the_same_when_sent_again(
    worker, broker, records, encoding, content_type
):
    letters = TopicReader(broker.bootstrap, DEAD_LETTERS)
    body = spans_message(span(), span(end_ns=1, start_ns=1), encoding=encoding)
    for _ in range(2):
        answer = worker.send("/v1/traces", body, Content_Type=content_type)
        assert answer.status == 200
        if encoding == "protobuf":
            partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
            assert (partial.rejected_spans, "dead letters" in partial.error_message) == (1, True)
        else:
            assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert len(records.read_new()) == 2
    first, again = letters.read_new()
    content = json.loads(first.value)
    assert first.key == again.key
    assert (content["step"], content["topic"], content["index"]) == ("intake", "/v1/traces", 1)
    assert "value_base64" not in content


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"\x0a\xff\xff", PROTOBUF, 400),
        (b"{}", PROTOBUF, 400),
        (b"\x0a\x00", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\x0a" * 200_000, PROTOBUF, 413),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % (b"{}," * 17_000 + b"{}"), "application/json", 413),
        (b'{"resourceSpans": 7}', "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
def test_an_error_has_the_form_of_the_protocol(worker, records, body, content_type, status):
    answer = worker.send("/v1/traces", body, Content_Type=content_type)
    assert answer.status == status
    if content_type == PROTOBUF:
        assert answer.headers["Content-Type"] == PROTOBUF
        assert answer.body[:1] == b"\x12"  # field 2 of google.rpc.Status, its message
        assert answer.body[2:].decode()
    elif content_type == "application/json":
        assert answer.json()["message"]
    assert records.read_new() == []


def test_an_empty_export_is_a_success(worker):
    assert worker.send("/v1/traces", b"", Content_Type=PROTOBUF).status == 200
    assert worker.send("/v1/traces", b'\r\n {"resourceSpans": []}').status == 200


def delivery(secret, **changes):
    status = {"state": "success", "created_at": "2026-11-24T03:12:00Z", "id": 9, "environment": "production"} | changes
    deployed = {"id": 3, "sha": "a" * 40, "ref": "main", "task": "deploy", "environment": "production", "payload": {}}
    payload = {
        "action": "created",
        "deployment_status": status,
        "deployment": deployed | {"created_at": "2026-11-24T03:11:00Z"},
        "repository": {"name": "shop", "full_name": "example/shop"},
    }
    body = json.dumps(payload).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return body, {"X_GitHub_Event": "deployment_status", "X_Hub_Signature_256": f"sha256={signature}"}


def test_a_webhook_is_checked_by_its_signature_and_becomes_a_deployment(secured, deployments):
    body, headers = delivery(b"first")
    assert secured.send("/v1/webhooks/ci", body, **headers).json()["written"] == 1
    (message,) = deployments.read_new()
    assert json.loads(message.value)["subject"] == "shop"
    ignored, headers = delivery(b"first", state="failure")
    assert "ignored" in secured.send("/v1/webhooks/ci", ignored, **headers).json()
    wrong, headers = delivery(b"wrong")
    assert secured.send("/v1/webhooks/ci", wrong, **headers).status == 401
    assert secured.send("/v1/webhooks/ci", bytes(PAYLOAD_BYTES_MAX + 1)).status == 413
    assert deployments.read_new() == []


def test_a_new_secret_of_a_webhook_needs_no_restart(secured, secrets, deployments):
    secrets.write_text("first\nsecond\n")
    body, headers = delivery(b"second", id=10)
    assert secured.send("/v1/webhooks/ci", body, **headers).status == 200
    secrets.write_text("")
    answer = secured.send("/v1/webhooks/ci", body, **headers)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    secrets.write_text("first\n")
    assert len(deployments.read_new()) == 1
    assert "is empty" in secured.output


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer wrong", 401), ("Basic t0ken", 401), ("Bearer t0ken", 200), ("bearer  t0ken", 200)],
)
def test_every_path_but_webhooks_and_health_needs_the_token(secured, authorization, status):
    headers = {} if authorization is None else {"Authorization": authorization}
    for path, body in (("/v1/deployments", deployment()), ("/v1/traces", {"resourceSpans": []})):
        answer = secured.send(path, body, **headers)
        assert answer.status == status
        assert (answer.headers["WWW-Authenticate"] == "Bearer") == (status == 401)
    assert secured.send("/healthz").status == 200
    assert "t0ken" not in secured.output

"""Bodies that are too large, too slow, not what they seem or not HTTP: an answer, bounded memory and a quiet log."""

import asyncio
import gzip
import json
import re
import socket
import time
import zlib

import pytest
from aiohttp import web

from schemas.topics import RECORDS
from tests.topologies.http_server.conftest import SMALL_BYTES
from tests.topologies.http_server.http_worker import TopicReader, http_worker
from tests.topologies.http_server.test_records_over_http import LINES, lines, record
from topologies.http_server import request_body
from topologies.http_server.backlog import Backlog, BacklogFull
from topologies.listener import HttpProblem
from topologies.listener.listener import BoundedServer

pytestmark = pytest.mark.kafka

HEAD = b"POST /v1/records HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("path", "method", "body", "headers", "status"),
    [
        ("/v1/record", "POST", b"{}", {}, 404),
        ("/v1/webhooks/absent", "POST", b"{}", {}, 404),
        ("/v1/records", "GET", None, {}, 405),
        ("/v1/deployments", "GET", None, {}, 405),
        ("/healthz", "POST", b"{}", {}, 405),
        ("/v1/records", "POST", b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ("/v1/records", "POST", b"{}", {"Content_Type": "text/plain"}, 415),
        ("/v1/records", "POST", b"{}", {"Content_Encoding": "br"}, 415),
        ("/v1/records", "POST", b"{}", {"Content_Encoding": "gzip"}, 400),
        ("/v1/records", "POST", gzip.compress(b"{}" * 500, mtime=0)[:-9], {"Content_Encoding": "gzip"}, 400),
        ("/v1/records", "POST", gzip.compress(b"", mtime=0) * 200, {"Content_Encoding": "gzip"}, 400),
        ("/v1/records", "POST", b" " * (SMALL_BYTES + 1), {}, 413),
        ("/v1/records", "POST", gzip.compress(b" " * (SMALL_BYTES + 1), mtime=0), {"Content_Encoding": "gzip"}, 413),
        ("/v1/records", "POST", b"[" + b"1," * 17_000 + b"1]", {}, 413),
        ("/v1/records", "POST", b"{}\n" * 17_000, {"Content_Type": LINES}, 413),
        ("/v1/records", "POST", record(), {"Origin": "http://evil.example"}, 403),
    ],
)
def test_a_request_that_cannot_be_used_is_answered_with_a_sentence(
    worker, records, path, method, body, headers, status
):
    answer = worker.send(path, body, **headers)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]
    assert (answer.headers["Allow"] is not None) == (status == 405)
    assert answer.headers["Server"] == "driftwire"
    assert records.read_new() == []


def test_the_server_says_that_kafka_answers(worker):
    answer = worker.send("/healthz")
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_a_bomb_and_an_endless_body_are_refused_early_in_bounded_memory(broker, tmp_path):
    zeros = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(200)) + zeros.flush()
    assert len(bomb) < 1 << 21
    with http_worker(tmp_path, broker.bootstrap) as worker:
        before = worker.peak_rss_mib()
        assert worker.send("/v1/records", bomb, Content_Encoding="gzip").status == 413
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        received = worker.send_raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert worker.send_raw(HEAD + b"Content-Length: 99999999999\r\n\r\n", wait_s=5).startswith(b"HTTP/1.1 413 ")
        many = b"[" + b"[]," * 5_000_000 + b"[]]"
        assert worker.send("/v1/records", many).status == 413
        assert worker.send("/v1/traces", b'{"resourceSpans":' + many + b"}").status == 413
        assert worker.peak_rss_mib() - before < 80


def test_a_client_waits_for_the_answer_before_it_sends_a_body_that_is_too_large(worker):
    expect = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    assert worker.send_raw(expect % 999_999, wait_s=5).startswith(b"HTTP/1.1 413 ")
    body = json.dumps(record()).encode()
    received = worker.send_raw(expect % len(body), body)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_bytes_that_are_not_http_and_clients_that_leave_log_nothing(worker, records):
    log = worker.output
    for sent in (
        b"s3cret s3cret s3cret\r\n\r\n",
        b"\x16\x03\x01\x02\x00s3cret",
        HEAD + b'Content-Length: 9\r\n\r\n{"s3cret": "s3cret"}\r\n\r\n',
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\ns3cret",
        HEAD + b"Content-Length: -1\r\n\r\n",
        b"CONNECT \r\n\r\n",
        HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    ):
        received = worker.send_raw(sent, answers=2)
        assert b" 400 " in received or b" 404 " in received or received == b"", received
        assert b"aiohttp" not in received
        assert b"s3cret" not in received
        worker.send_raw(sent, answers=0)
    worker.send_raw(HEAD + b"Content-Length: 1000\r\n\r\nabc", answers=0)
    worker.send_raw(HEAD, answers=0)
    assert worker.send("/healthz").status == 200
    assert worker.output == log
    assert records.read_new() == []


def test_pipelined_requests_are_answered_in_order(worker, records):
    body = json.dumps(record()).encode()
    good = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    bad = HEAD + b"Content-Length: 2\r\n\r\n[]"
    received = worker.send_raw((good + bad) * 20, answers=40)
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"400"] * 20
    assert len(records.read_new()) == 20


def test_more_than_can_wait_is_refused_before_its_body_is_read(broker, tmp_path):
    limits = {"request_bytes_max": 1024, "waiting_bytes_max": 1024, "waiting_requests_max": 2}
    with http_worker(tmp_path, broker.bootstrap, **limits) as worker:
        reader = TopicReader(broker.bootstrap, RECORDS)
        # Each of these clients has sent only the first byte of its body.
        for lengths in ((900,), (10, 10)):
            waiting = [socket.create_connection(("127.0.0.1", worker.port)) for _ in lengths]
            for connection, length in zip(waiting, lengths, strict=True):
                connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n{" % length)
            time.sleep(0.3)
            head = HEAD + b"Content-Length: 500\r\n\r\n"
            received = worker.send_raw(head)
            assert received.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nRetry-After: 1\r\n" in received
            for connection in waiting:
                connection.close()
            deadline = time.monotonic() + 5
            while (answer := worker.send("/v1/records", record())).status == 429 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert answer.status == 200
        assert len(reader.read_new()) == 2


async def test_a_slow_body_ends_with_its_time_limit(monkeypatch):
    monkeypatch.setattr(request_body, "BODY_TIMEOUT_S", 0.2)
    backlog = Backlog(1, 1000)

    async def respond(request):
        try:
            with backlog.admit() as reservation:
                await request_body.read_body(request, reservation, bytes_max=1000)
        except HttpProblem as problem:
            return web.Response(status=problem.status)
        return web.Response()

    server = await asyncio.get_running_loop().create_server(BoundedServer(respond), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n")
    status = asyncio.create_task(reader.readline())
    while not status.done():
        writer.write(b" ")
        await asyncio.sleep(0.05)
    assert b" 408 " in await status
    assert backlog.waiting_bytes == backlog.waiting_requests == 0
    writer.close()
    server.close()


def test_the_backlog_releases_what_it_refused():
    backlog = Backlog(2, 10)
    with backlog.admit() as one, backlog.admit() as two:
        one.ensure(6)
        with pytest.raises(BacklogFull), backlog.admit():
            pass
        with pytest.raises(BacklogFull):
            two.ensure(5)
        two.ensure(4)
    assert (backlog.waiting_requests, backlog.waiting_bytes) == (0, 0)


def test_large_and_small_requests_at_once_are_all_written(worker, records):
    async def send_all():
        large = gzip.compress(lines([record(number) for number in range(600)]))
        works = [
            asyncio.to_thread(worker.send, "/v1/records", large, Content_Type=LINES, Content_Encoding="gzip"),
            *(asyncio.to_thread(worker.send, "/v1/records", record(1000 + number)) for number in range(20)),
        ]
        return [answer.status for answer in await asyncio.gather(*works)]

    assert set(asyncio.run(send_all())) == {200}
    assert len({json.loads(message.value)["request_id"] for message in records.read_new()}) == 620

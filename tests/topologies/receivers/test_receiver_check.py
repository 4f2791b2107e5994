"""Missing secrets of receivers are found before a start, and connections are tried without sending anything."""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager

import pytest

from pipeline.route import ReceiverSettings
from tests.security.certificates import make_authority, make_certificate
from topologies.receivers import connect_to_receivers, missing_secrets, receiver_check

SECRET = "hunter2"


def hook(**settings):
    return ReceiverSettings.model_validate({"name": "hook", "webhook": settings})


@asynccontextmanager
async def listen(context=None):
    """A server that stores every byte that it receives until a client goes away."""
    received, gone = bytearray(), asyncio.Event()

    async def store(reader, writer):
        try:
            while chunk := await reader.read(1000):
                received.extend(chunk)
        finally:
            writer.close()
            gone.set()

    server = await asyncio.start_server(store, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], received, gone


def test_variables_and_files_that_cannot_be_read_are_named(monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    monkeypatch.setenv("HOOK_URL", "https://example.org")
    receivers = [
        ReceiverSettings(name="console", console=True),
        hook(
            url="${HOOK_URL}/${HOOK_PATH}", secret_file=str(tmp_path / "none"), headers={"X-Token": "a ${HOOK_TOKEN}"}
        ),
        ReceiverSettings.model_validate({"name": "pager", "pagerduty": {"routing_key_file": str(empty)}}),
        hook(url="https://example.org", headers={"X-Token": SECRET}),
    ]
    assert missing_secrets(receivers) == [
        "route.receivers[1].webhook: cannot use url: the environment variable HOOK_PATH is not set",
        f"route.receivers[1].webhook: cannot use the secret_file {tmp_path / 'none'}: No such file or directory",
        "route.receivers[1].webhook: cannot use headers.X-Token: the environment variable HOOK_TOKEN is not set",
        f"route.receivers[2].pagerduty: cannot use the routing_key_file {empty}: it is empty",
    ]


async def test_a_server_that_listens_is_ok_and_gets_not_a_byte(tmp_path):
    async with listen() as (port, received, gone):
        path = tmp_path / "url"
        path.write_text(f"http://user:{SECRET}@127.0.0.1:{port}/{SECRET}\n")
        (result,) = await connect_to_receivers([hook(url_file=str(path))])
        await gone.wait()
    assert (result.target, result.problem) == (f"receiver hook, http://127.0.0.1:{port}", None)
    assert received == b""


async def test_a_trusted_certificate_is_ok_and_an_unknown_one_a_problem(tmp_path, monkeypatch):
    authority = make_authority(tmp_path)
    certificate = make_certificate(tmp_path, authority, "server", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    async with listen(context) as (port, received, _):
        receivers = [hook(url=f"https://localhost:{port}/in"), hook(url=f"https://127.0.0.1:{port}/in")]
        unknown, _ = await connect_to_receivers(receivers)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        trusted, other_name = await connect_to_receivers(receivers)
    assert unknown.problem is not None
    assert unknown.problem.startswith("its certificate is not trusted (")
    assert trusted.problem is None
    assert "127.0.0.1" in (other_name.problem or "")
    assert received == b""


async def test_a_server_without_tls_is_a_problem():
    async def greet(_, writer):
        writer.write(b"220 this is not TLS\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        (result,) = await connect_to_receivers([hook(url=url)])
        server.close()
    assert result.problem is not None
    assert result.problem.startswith("no TLS connection (")


async def test_a_closed_port_and_an_unknown_host_are_problems():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        receivers = [hook(url=f"http://127.0.0.1:{port}"), hook(url="http://nobody.invalid/")]
        closed, unknown = await connect_to_receivers(receivers)
    assert closed.problem == "no connection (ConnectionRefusedError); check the address, the server and the firewalls"
    assert (unknown.target, unknown.problem) == (
        "receiver hook, http://nobody.invalid",
        "unknown host; check the address and the name server",
    )


async def test_servers_that_do_not_answer_are_tried_at_the_same_time_and_given_up(monkeypatch):
    monkeypatch.setattr(receiver_check, "CONNECT_TIMEOUT_S", 1.5)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        started = time.monotonic()
        results = await connect_to_receivers([hook(url=f"https://127.0.0.1:{silent.getsockname()[1]}")] * 10)
        assert time.monotonic() - started < 12
    assert {result.problem for result in results} == {
        "no connection within 1.5 s; check the address and the firewalls",
    }


async def test_every_member_of_a_cluster_is_tried(tmp_path):
    path = tmp_path / "urls"
    async with listen() as (first, _, _), listen() as (second, _, _):
        urls = [f"http://127.0.0.1:{port}/prefix" for port in (first, second)]
        path.write_text("\n".join(urls))
        receivers = [
            ReceiverSettings.model_validate({"name": "am", "alertmanager": settings})
            for settings in ({"urls": urls}, {"urls_file": str(path)})
        ]
        results = await connect_to_receivers(receivers)
    targets = [f"receiver am, http://127.0.0.1:{port}" for port in (first, second)]
    assert [(result.target, result.problem) for result in results] == [(target, None) for target in targets * 2]


@pytest.mark.parametrize(
    ("destination", "origins"),
    [
        ({"slack": {"token": "t", "channel": "C1", "api_url": "http://127.0.0.1:1/api"}}, ["http://127.0.0.1:1"]),
        ({"slack": {"url": "http://127.0.0.1:2/services/T1"}}, ["http://127.0.0.1:2"]),
        ({"github": {"repository": "a/b", "token": "t", "url": "http://127.0.0.1:3"}}, ["http://127.0.0.1:3"]),
        ({"pagerduty": {"routing_key": "k", "url": "http://127.0.0.1:4"}}, ["http://127.0.0.1:4"]),
        ({"apprise": {"url": "mailtos://user:hunter2@mail.example.org"}}, []),
    ],
)
async def test_each_kind_has_the_server_that_it_uses(destination, origins):
    results = await connect_to_receivers([ReceiverSettings.model_validate({"name": "a", **destination})])
    assert [result.target for result in results] == [f"receiver a, {origin}" for origin in origins]


async def test_the_console_and_addresses_of_other_kinds_are_left_out(tmp_path):
    path = tmp_path / "url"
    path.write_text("mailto://someone@example.org")
    receivers = [ReceiverSettings(name="console", console=True), hook(url_file=str(path))]
    assert await connect_to_receivers(receivers) == []


@pytest.mark.parametrize(
    "content", [SECRET, f"http:{SECRET}", f"https://:{SECRET}", f"HTTP://[{SECRET}", f"http://a:{SECRET}"]
)
async def test_an_address_without_a_host_is_a_problem_and_not_shown(tmp_path, content):
    path = tmp_path / "url"
    path.write_text(content)
    (result,) = await connect_to_receivers([hook(url_file=str(path))])
    assert result.target == "receiver hook"
    assert result.problem == "its address is not an http or https address with a host; correct it"

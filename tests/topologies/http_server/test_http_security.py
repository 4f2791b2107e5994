"""The address, the token and TLS: what is refused at the start, and who can connect."""

import asyncio
import re
import ssl
import subprocess
import sys
import urllib.error

import pytest
from click.testing import CliRunner

from tests.security.certificates import make_authority, make_certificate
from tests.topologies.endpoint import free_port
from tests.topologies.http_server.http_worker import http_worker
from tests.topologies.http_server.test_records_over_http import record
from topologies.cli import command
from topologies.configuration import ConfigurationError, load_configuration
from topologies.http_settings import HttpSettings


def problems(folder, text):
    path = folder / "driftwire.toml"
    path.write_text(f"[http]\n{text}")
    with pytest.raises(ConfigurationError) as error:
        load_configuration(path)
    return "\n".join(error.value.problems)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = make_authority(folder)
    make_certificate(folder, authority, "server", "IP:127.0.0.1")
    make_certificate(folder, authority, "client")
    make_certificate(folder, make_authority(folder, "stranger"), "other")
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'listen = "0.0.0.0:4318"',
            "can be reached from other machines, so clients must be authenticated; add token_file",
        ),
        ('listen = "[::]:4318"', "can be reached from other machines"),
        ('listen = "driftwire.example.com:4318"', "can be reached from other machines"),
        ('listen = "0.0.0.0:4318"\ncertificate_file = "server.pem"\nkey_file = "server.key"', "can be reached"),
        ('listen = "4318"', "must be HOST:PORT"),
        ('listen = "127.0.0.1:70000"', "must be HOST:PORT"),
        ('key_file = "server.key"', "http.key_file: needs certificate_file"),
        ('certificate_file = "server.pem"', "http.certificate_file: needs key_file"),
        ('client_ca_file = "authority.pem"', "http.client_ca_file: needs certificate_file"),
        ('token_file = "absent"', "http.token_file: absent cannot be read"),
        ('token_file = "empty"', "http.token_file: empty is empty"),
        ('token_file = "blank"', "http.token_file: blank is empty"),
        ('certificate_file = "server.pem"\nkey_file = "client.key"', "cannot be used (key values mismatch)"),
        (
            'certificate_file = "server.pem"\nkey_file = "server.key"\nclient_ca_file = "empty"',
            "contains no certificates",
        ),
        ("waiting_bytes_max = 2048", "http.waiting_bytes_max: must be at least request_bytes_max (16777216)"),
        ('[http.webhooks."a/b"]\nkind = "github"\nsecrets = ["x"]', '"a/b" is not a name'),
    ],
)
def test_settings_that_are_unsafe_or_unusable_are_refused_with_what_to_do(
    tmp_path, monkeypatch, certificates, text, expected
):
    (certificates / "empty").touch()
    (certificates / "blank").write_text(" \n")
    monkeypatch.chdir(certificates)
    assert expected in problems(tmp_path, text)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.0.1:1", "[::1]:1", "localhost:1"])
def test_a_loopback_address_needs_no_token(listen):
    assert HttpSettings(listen=listen).problems() == []


def test_an_unencrypted_token_and_files_that_all_can_read_are_warned_of(tmp_path):
    token = tmp_path / "token"
    token.write_text("t0ken")
    token.chmod(0o644)
    first, second = HttpSettings(listen="0.0.0.0:1", token_file=str(token)).warnings()
    assert "every user of this machine can read" in first
    assert "without encryption" in second


def test_a_missing_secret_of_a_webhook_is_a_problem_of_the_check(tmp_path, monkeypatch):
    monkeypatch.delenv("ABSENT_SECRET", raising=False)
    path = tmp_path / "driftwire.toml"
    path.write_text('[http.webhooks.ci]\nkind = "github"\nsecrets = ["${ABSENT_SECRET}"]\n')
    result = CliRunner().invoke(command, ["check", str(path)])
    assert result.exit_code == 1
    assert re.search(r"http\.webhooks\.ci: .*the environment variable ABSENT_SECRET is not set", result.output)


def tls(certificates, client=None):
    context = ssl.create_default_context(cafile=certificates / "authority.pem")
    if client is not None:
        context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
    return context


@pytest.mark.kafka
def test_with_client_certificates_only_those_of_the_authority_connect(broker, tmp_path, certificates):
    settings = {
        "certificate_file": str(certificates / "server.pem"),
        "key_file": str(certificates / "server.key"),
        "client_ca_file": str(certificates / "authority.pem"),
    }
    with http_worker(tmp_path, broker.bootstrap, **settings) as worker:
        assert worker.url.startswith("https://")
        assert worker.send("/v1/records", record(), context=tls(certificates, "client")).status == 200
        for client in (None, "other"):
            with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
                worker.send("/v1/records", record(), context=tls(certificates, client))
        assert worker.send_raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", wait_s=2) == b""


@pytest.mark.kafka
def test_an_address_that_is_in_use_is_named(broker, tmp_path):
    port = free_port()

    async def start_twice():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        async with server:
            return await asyncio.to_thread(start)

    def start():
        path = tmp_path / "driftwire.toml"
        path.write_text(f'[kafka]\nbootstrap = "{broker.bootstrap}"\n[http]\nlisten = "127.0.0.1:{port}"\n')
        arguments = [sys.executable, "-m", "topologies.cli", "worker", "http", "--config", path]
        done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    status, error = asyncio.run(start_twice())
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in error
    assert "set http.listen to another address" in error
    assert "Traceback" not in error
